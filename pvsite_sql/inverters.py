"""Inverters of sites."""

from __future__ import annotations

import builtins
from uuid import UUID

from .engine.inputs import as_uuid
from .engine.lookups import find_site, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .errors import NotFound
from .models import Inverter

__all__ = ["Inverters"]


class Inverters:
    """`repo.inverters`. Methods raise `NotFound` if a site or an inverter does not exist."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, *, site_uuid: UUID | str) -> Inverter:
        """Create an inverter at a site.

        Raises:
            NotFound: the site does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> Inverter:
            find_site(conn, uuid)
            return conn.one(Inverter, "inverters/create", site_uuid=uuid)

        with not_found_if_deleted():
            return self._session.run("write", work)

    def list(self, *, site_uuid: UUID | str) -> builtins.list[Inverter]:
        """Return the inverters of a site, oldest first.

        Raises:
            NotFound: the site does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> builtins.list[Inverter]:
            find_site(conn, uuid)
            return conn.rows(Inverter, "inverters/list", site_uuid=uuid)

        return self._session.run("read", work)

    def delete(self, inverter_uuid: UUID | str) -> None:
        """Delete an inverter.

        Raises:
            NotFound: the inverter does not exist.
        """
        uuid = as_uuid(inverter_uuid, "inverter_uuid")
        if not self._session.run("write", lambda conn: conn.run("inverters/delete", inverter_uuid=uuid)):
            raise NotFound(f"no inverter {uuid}")
