"""What a call names has to exist: the look-ups that several aggregates begin with, in a call under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from ..errors import MissingReference, NotFound
from ..models import Site, SiteGroup, User
from .inputs import as_text
from .session import QueryConnection

__all__ = ["all_sites", "find_site", "find_site_group", "find_user", "not_found_if_deleted"]


def all_sites(conn: QueryConnection) -> list[UUID]:
    """The uuids of all sites that there are, ascending."""
    return conn.values("engine/all_sites")


def find_site(conn: QueryConnection, site_uuid: UUID) -> Site:
    """The site of that uuid.

    Raises:
        NotFound: there is none.
    """
    found = conn.row(Site, "sites/get", site_uuid=site_uuid)
    if found is None:
        raise NotFound(f"no site {site_uuid}")
    return found


def find_site_group(conn: QueryConnection, name: str) -> SiteGroup:
    """The site group of that name.

    Raises:
        NotFound: there is none.
    """
    found = conn.row(SiteGroup, "site_groups/get", site_group_name=as_text(name, "site_group_name"))
    if found is None:
        raise NotFound(f"no site group {name!r}")
    return found


def find_user(conn: QueryConnection, email: str) -> User:
    """The user of that email.

    Raises:
        NotFound: there is none.
    """
    found = conn.row(User, "users/get", email=as_text(email, "email"))
    if found is None:
        raise NotFound(f"no user {email!r}")
    return found


@contextmanager
def not_found_if_deleted() -> Iterator[None]:
    """Around a write that refers to what was looked up before it, which another may delete in between.

    Raises:
        NotFound: another did.
    """
    try:
        yield
    except MissingReference as error:
        raise NotFound(f"deleted by another at this moment: {error}") from error
