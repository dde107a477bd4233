"""Look up what a call names, or raise `NotFound`, inside the call's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from ..errors import MissingReference, NotFound
from ..models import Client, Site, SiteGroup, User
from .inputs import as_text
from .session import QueryConnection

__all__ = ["all_sites", "find_client", "find_site", "find_site_group", "find_user", "not_found_if_deleted"]


def all_sites(conn: QueryConnection) -> list[UUID]:
    """Return the UUIDs of all sites, in ascending order."""
    return conn.values("engine/all_sites")


def find_client(conn: QueryConnection, name: str) -> Client:
    """Return the client with this name.

    Raises:
        NotFound: it does not exist.
    """
    client = conn.row(Client, "clients/get", client_name=as_text(name, "client_name"))
    if client is None:
        raise NotFound(f"no client {name!r}")
    return client


def find_site(conn: QueryConnection, site_uuid: UUID) -> Site:
    """Return the site with this UUID.

    Raises:
        NotFound: it does not exist.
    """
    site = conn.row(Site, "sites/get", site_uuid=site_uuid)
    if site is None:
        raise NotFound(f"no site {site_uuid}")
    return site


def find_site_group(conn: QueryConnection, name: str) -> SiteGroup:
    """Return the site group with this name.

    Raises:
        NotFound: it does not exist.
    """
    group = conn.row(SiteGroup, "site_groups/get", site_group_name=as_text(name, "site_group_name"))
    if group is None:
        raise NotFound(f"no site group {name!r}")
    return group


def find_user(conn: QueryConnection, email: str) -> User:
    """Return the user with this email.

    Raises:
        NotFound: it does not exist.
    """
    user = conn.row(User, "users/get", email=as_text(email, "email"))
    if user is None:
        raise NotFound(f"no user {email!r}")
    return user


@contextmanager
def not_found_if_deleted() -> Iterator[None]:
    """Wrap a write that refers to a row looked up before it, which another transaction can delete in between.

    Raises:
        NotFound: the row has been deleted.
    """
    try:
        yield
    except MissingReference as error:
        raise NotFound(f"deleted by a concurrent transaction: {error}") from error
