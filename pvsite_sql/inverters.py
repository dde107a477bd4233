"""Inverters of sites."""

from __future__ import annotations

import builtins
from uuid import UUID

from .inputs import as_uuid
from .lookups import find_site, still_there
from .models import Inverter
from .session import Call, Session

__all__ = ["Inverters"]


class Inverters:
    """`repo.inverters`; an unknown site raises `NotFound`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, *, site_uuid: UUID | str) -> Inverter:
        """Make an inverter at a site."""
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(call: Call) -> Inverter:
            find_site(call, uuid)
            return call.one(Inverter, "inverters/create", site_uuid=uuid)

        with still_there():
            return self._session.run("write", work)

    def list(self, *, site_uuid: UUID | str) -> builtins.list[Inverter]:
        """The inverters of a site, oldest first."""
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(call: Call) -> builtins.list[Inverter]:
            find_site(call, uuid)
            return call.rows(Inverter, "inverters/list", site_uuid=uuid)

        return self._session.run("read", work)
