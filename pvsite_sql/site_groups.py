"""Site groups: what a user may see."""

from __future__ import annotations

import builtins
from uuid import UUID

from .engine.inputs import as_integer, as_text, as_uuid
from .engine.lookups import find_site, find_site_group, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .errors import ConstraintError, MissingReference
from .models import Site, SiteGroup, User

__all__ = ["SiteGroups"]


class SiteGroups:
    """`repo.site_groups`; wherever a group or a site is named that does not exist, `NotFound` is raised."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> SiteGroup:
        """The group of that name.

        Raises:
            NotFound: there is none.
        """
        return self._session.run("read", lambda conn: find_site_group(conn, name))

    def get_or_create(self, name: str) -> SiteGroup:
        """The group of that name, made if there is none; safe for any number of concurrent callers."""
        return self._session.run(
            "write",
            lambda conn: conn.get_or_create(
                SiteGroup, "site_groups/get_or_create", site_group_name=as_text(name, "name")
            ),
        )

    def list(self) -> builtins.list[SiteGroup]:
        """All groups, by name."""
        return self._session.run("read", lambda conn: conn.rows(SiteGroup, "site_groups/list"))

    def create(self, name: str, *, service_level: int = 0) -> SiteGroup:
        """Make a group.

        Raises:
            Duplicate: there is one of that name.
            CheckFailed: the level is below zero.
        """
        level = as_integer(service_level, "service_level")
        return self._session.run(
            "write",
            lambda conn: conn.one(
                SiteGroup, "site_groups/create", site_group_name=as_text(name, "name"), service_level=level
            ),
        )

    def sites(self, name: str) -> builtins.list[Site]:
        """The sites of a group, by site_uuid."""

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_site_group(conn, name)
            return conn.rows(Site, "site_groups/sites", site_group_name=name)

        return self._session.run("read", work)

    def users(self, name: str) -> builtins.list[User]:
        """The users of a group, by email."""

        def work(conn: QueryConnection) -> builtins.list[User]:
            find_site_group(conn, name)
            return conn.rows(User, "site_groups/users", site_group_name=name)

        return self._session.run("read", work)

    def add_site(self, name: str, *, site_uuid: UUID | str) -> builtins.list[Site]:
        """Put a site into a group, where it may stand already; returns the group's sites, by site_uuid."""
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_site_group(conn, name)
            find_site(conn, uuid)
            conn.run("site_groups/add_site", site_group_name=name, site_uuid=uuid)
            return conn.rows(Site, "site_groups/sites", site_group_name=name)

        with not_found_if_deleted():
            return self._session.run("write", work)

    def remove_site(self, name: str, *, site_uuid: UUID | str) -> builtins.list[Site]:
        """Take a site out of a group, where it may be missing already; returns the group's sites, by site_uuid."""
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_site_group(conn, name)
            find_site(conn, uuid)
            conn.run("site_groups/remove_site", site_group_name=name, site_uuid=uuid)
            return conn.rows(Site, "site_groups/sites", site_group_name=name)

        return self._session.run("write", work)

    def set_service_level(self, name: str, *, level: int) -> SiteGroup:
        """Set what a group is entitled to, from 0; returns the group.

        Raises:
            CheckFailed: the level is below zero.
        """

        def work(conn: QueryConnection) -> SiteGroup:
            find_site_group(conn, name)
            return conn.one(
                SiteGroup, "site_groups/set_service_level", site_group_name=name, level=as_integer(level, "level")
            )

        return self._session.run("write", work)

    def delete(self, name: str) -> None:
        """Delete a group and its memberships; its sites stay.

        Raises:
            ConstraintError: users are in it; nothing is deleted.
        """
        try:

            def work(conn: QueryConnection) -> None:
                find_site_group(conn, name)
                conn.run("site_groups/delete", site_group_name=name)

            self._session.run("write", work)
        except MissingReference as error:
            raise ConstraintError(
                f"site group {name!r} still has users: move or delete them first", constraint_name=error.constraint_name
            ) from error
