"""Inverters of sites."""

from __future__ import annotations

import builtins
from uuid import UUID

from .inputs import as_uuid
from .lookups import find_site, still_there
from .models import Inverter
from .session import Session

__all__ = ["Inverters"]


class Inverters:
    """`repo.inverters`; an unknown site raises `NotFound`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, *, site_uuid: UUID | str) -> Inverter:
        """Make an inverter at a site."""
        uuid = as_uuid(site_uuid, "site_uuid")
        with self._session.call() as call, still_there():
            find_site(call, uuid)
            return call.one(Inverter, "inverters/create", site_uuid=uuid)

    def list(self, *, site_uuid: UUID | str) -> builtins.list[Inverter]:
        """The inverters of a site, oldest first."""
        uuid = as_uuid(site_uuid, "site_uuid")
        with self._session.call() as call:
            find_site(call, uuid)
            return call.rows(Inverter, "inverters/list", site_uuid=uuid)
