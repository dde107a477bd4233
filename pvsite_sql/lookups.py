"""What a call names has to exist: the look-ups that several aggregates begin with, in a call under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from .errors import MissingReference, NotFound
from .inputs import as_text
from .models import Site, SiteGroup, User
from .session import Call

__all__ = ["all_sites", "find_site", "find_site_group", "find_user", "still_there"]


def all_sites(call: Call) -> list[UUID]:
    """The uuids of all sites that there are, ascending."""
    return call.values("lookups/all_sites")


def find_site(call: Call, site_uuid: UUID) -> Site:
    """The site of that uuid.

    Raises:
        NotFound: there is none.
    """
    found = call.row(Site, "sites/get", site_uuid=site_uuid)
    if found is None:
        raise NotFound(f"no site {site_uuid}")
    return found


def find_site_group(call: Call, name: str) -> SiteGroup:
    """The site group of that name.

    Raises:
        NotFound: there is none.
    """
    found = call.row(SiteGroup, "site_groups/get", site_group_name=as_text(name, "site_group_name"))
    if found is None:
        raise NotFound(f"no site group {name!r}")
    return found


def find_user(call: Call, email: str) -> User:
    """The user of that email.

    Raises:
        NotFound: there is none.
    """
    found = call.row(User, "users/get", email=as_text(email, "email"))
    if found is None:
        raise NotFound(f"no user {email!r}")
    return found


@contextmanager
def still_there() -> Iterator[None]:
    """Around a write that refers to what was looked up before it, which another may delete in between.

    Raises:
        NotFound: another did.
    """
    try:
        yield
    except MissingReference as error:
        raise NotFound(f"deleted by another at this moment: {error}") from error
