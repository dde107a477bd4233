"""Site groups: the sites that their users can see."""

from __future__ import annotations

import builtins
from uuid import UUID

from .engine.inputs import as_integer, as_name, as_text, as_uuid, page
from .engine.lookups import find_site, find_site_group, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .errors import ConstraintError, MissingReference, NotFound
from .models import Site, SiteGroup, User

__all__ = ["SiteGroups"]


class SiteGroups:
    """`repo.site_groups`. Methods raise `NotFound` if a site group or site does not exist."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> SiteGroup:
        """Return the site group with this name.

        Raises:
            NotFound: the site group does not exist.
        """
        return self._session.run("read", lambda conn: find_site_group(conn, name))

    def get_by_uuid(self, site_group_uuid: UUID | str) -> SiteGroup:
        """Return the site group with this UUID.

        Raises:
            NotFound: the site group does not exist.
        """
        uuid = as_uuid(site_group_uuid, "site_group_uuid")
        group = self._session.run(
            "read", lambda conn: conn.row(SiteGroup, "site_groups/get_by_uuid", site_group_uuid=uuid)
        )
        if group is None:
            raise NotFound(f"no site group {uuid}")
        return group

    def get_or_create(self, name: str) -> SiteGroup:
        """Return the site group with this name. Create it if necessary. Concurrent calls return the same site group.

        An existing site group is only read, so that the call also works on a hot standby.
        """
        group_name = as_text(name, "name")

        def work(conn: QueryConnection) -> SiteGroup:
            existing = conn.row(SiteGroup, "site_groups/get", site_group_name=group_name)
            return existing or conn.get_or_create(SiteGroup, "site_groups/get_or_create", site_group_name=group_name)

        return self._session.run("write", work)

    def list(self, *, limit: int | None = None, offset: int = 0) -> builtins.list[SiteGroup]:
        """Return all site groups, ordered by name.

        Args:
            limit: return at most this many. None means no limit.
            offset: skip this many.
        """
        part = page(limit, offset)
        return self._session.run("read", lambda conn: conn.rows(SiteGroup, "site_groups/list", **part))

    def create(self, name: str, *, service_level: int = 0) -> SiteGroup:
        """Create a site group.

        Args:
            name: the name of the site group.
            service_level: the level of service that its users get, at least 0.

        Raises:
            Duplicate: a site group with this name already exists.
            CheckFailed: the level is negative.
        """
        level = as_integer(service_level, "service_level")
        return self._session.run(
            "write",
            lambda conn: conn.one(
                SiteGroup, "site_groups/create", site_group_name=as_text(name, "name"), service_level=level
            ),
        )

    def sites(self, name: str, *, limit: int | None = None, offset: int = 0) -> builtins.list[Site]:
        """Return the sites of a site group, ordered by UUID. `sites.list(site_group_name=...)` also filters them.

        Args:
            name: the name of the site group.
            limit: return at most this many. None means no limit.
            offset: skip this many.

        Raises:
            NotFound: the site group does not exist.
        """
        part = page(limit, offset)

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_site_group(conn, name)
            return conn.rows(Site, "site_groups/sites", site_group_name=name, **part)

        return self._session.run("read", work)

    def users(self, name: str, *, limit: int | None = None, offset: int = 0) -> builtins.list[User]:
        """Return the users of a site group, ordered by email.

        Args:
            name: the name of the site group.
            limit: return at most this many. None means no limit.
            offset: skip this many.

        Raises:
            NotFound: the site group does not exist.
        """
        part = page(limit, offset)

        def work(conn: QueryConnection) -> builtins.list[User]:
            find_site_group(conn, name)
            return conn.rows(User, "site_groups/users", site_group_name=name, **part)

        return self._session.run("read", work)

    def add_site(self, name: str, *, site_uuid: UUID | str) -> builtins.list[Site]:
        """Add a site to a site group and return the group's sites, ordered by UUID.

        Does nothing if the site already belongs to the group.

        Raises:
            NotFound: the site group or the site does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_site_group(conn, name)
            find_site(conn, uuid)
            conn.run("site_groups/add_site", site_group_name=name, site_uuid=uuid)
            return conn.rows(Site, "site_groups/sites", site_group_name=name, **page(None, 0))

        with not_found_if_deleted():
            return self._session.run("write", work)

    def remove_site(self, name: str, *, site_uuid: UUID | str) -> builtins.list[Site]:
        """Remove a site from a site group and return the group's remaining sites, ordered by UUID.

        Does nothing if the site does not belong to the group.

        Raises:
            NotFound: the site group or the site does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_site_group(conn, name)
            find_site(conn, uuid)
            conn.run("site_groups/remove_site", site_group_name=name, site_uuid=uuid)
            return conn.rows(Site, "site_groups/sites", site_group_name=name, **page(None, 0))

        return self._session.run("write", work)

    def set_service_level(self, name: str, *, level: int) -> SiteGroup:
        """Set the service level of a site group and return the site group.

        Args:
            name: the name of the site group.
            level: the level of service that its users get, at least 0.

        Raises:
            NotFound: the site group does not exist.
            CheckFailed: the level is negative.
        """

        def work(conn: QueryConnection) -> SiteGroup:
            find_site_group(conn, name)
            return conn.one(
                SiteGroup, "site_groups/set_service_level", site_group_name=name, level=as_integer(level, "level")
            )

        return self._session.run("write", work)

    def rename(self, name: str, new_name: str) -> SiteGroup:
        """Give a site group another name and return the site group. It keeps its users and sites.

        Args:
            name: the name of the site group.
            new_name: the new name; must not be empty.

        Raises:
            NotFound: the site group does not exist.
            Duplicate: a site group with the new name already exists.
        """
        new = as_name(new_name, "new_name")

        def work(conn: QueryConnection) -> SiteGroup:
            find_site_group(conn, name)
            return conn.one(SiteGroup, "site_groups/rename", site_group_name=name, new_name=new)

        return self._session.run("write", work)

    def delete(self, name: str) -> None:
        """Delete a site group. Its sites are kept.

        Raises:
            NotFound: the site group does not exist.
            ConstraintError: the site group still has users. Nothing is deleted.
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
