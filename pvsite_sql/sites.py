"""Sites: where power is generated, and what is known of them."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal, Unpack, get_args
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from .engine.inputs import as_filter, as_integer, as_text, as_utc, as_uuid, as_uuids
from .engine.lookups import find_site, find_user
from .engine.session import QueryConnection, Session
from .errors import InvalidInput, MissingReference, NotFound
from .models import LatitudeLongitudeLimits, Site, SiteChange

__all__ = ["AssetType", "SiteFields", "Sites"]

AssetType = Literal["pv", "wind"]
_Text = Annotated[str, Field(strict=True)]  # no bytes
_Integer = Annotated[int, Field(ge=-(2**31), lt=2**31)]


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=False))
class SiteFields(TypedDict, total=False):
    """What `create` and `update` take: the columns of `sites` but for its identity. Angles in degrees, power in kW."""

    client_uuid: UUID | None
    client_site_id: _Integer | None
    client_site_name: _Text | None
    country: _Text
    region: _Text | None
    dno: _Text | None
    gsp: _Text | None
    asset_type: AssetType
    active: bool
    orientation: float | None
    tilt: float | None
    latitude: float | None
    longitude: float | None
    capacity_kw: float | None
    inverter_capacity_kw: float | None
    module_capacity_kw: float | None


_FIELDS = TypeAdapter(SiteFields)


class Sites:
    """`repo.sites`; wherever a site, user or client is named that does not exist, `NotFound` is raised."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, **fields: Unpack[SiteFields]) -> Site:
        """Make a site of the given fields; what is not given is not known.

        The country is 'uk', the asset type 'pv', the site active and the inverters' capacity that of the site, unless
        they are given.

        Raises:
            InvalidInput: a field that there is not, or a value of the wrong type.
            CheckFailed: a value outside of its range, such as a capacity below zero.
        """
        return self._write("sites/create", fields)

    def get(self, site_uuid: UUID | str) -> Site:
        """The site of that uuid.

        Raises:
            NotFound: there is none.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        return self._session.run("read", lambda conn: find_site(conn, uuid))

    def get_as_of(self, site_uuid: UUID | str, *, at_utc: datetime) -> Site:
        """The site as it was at a time: what its last change up to then, that one included, made of it.

        A site that is older than its history is taken to have been from the start what it was when the history began.

        Raises:
            NotFound: there was none then.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        at_utc = as_utc(at_utc, "at_utc")
        found = self._session.run("read", lambda conn: conn.row(Site, "sites/get_as_of", site_uuid=uuid, at_utc=at_utc))
        if found is None:
            raise NotFound(f"no site {uuid} at {at_utc}")
        return found

    def history(self, site_uuid: UUID | str) -> builtins.list[SiteChange]:
        """The changes of a site, from the first one on; also of one that was deleted.

        Raises:
            NotFound: there was never such a site.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        changes = self._session.run("read", lambda conn: conn.rows(SiteChange, "sites/history", site_uuid=uuid))
        if not changes:
            raise NotFound(f"no site {uuid}, and no history of one")
        return changes

    def get_by_client_site_id(
        self, client_site_id: int, *, client_site_name: str | None = None, client_name: str | None = None
    ) -> Site:
        """The site to which a client gave that number; the oldest one if there are several.

        Args:
            client_site_id: the number.
            client_site_name: the name that the client gave the site, or
            client_name: the client's own name; exactly one of the two.
        """
        if (client_site_name is None) == (client_name is None):
            raise InvalidInput("either client_site_name or client_name is wanted", column="client_name")
        found = self._session.run(
            "read",
            lambda conn: conn.row(
                Site,
                "sites/get_by_client_site_id",
                client_site_id=as_integer(client_site_id, "client_site_id"),
                client_site_name=as_filter(client_site_name, "client_site_name"),
                client_name=as_filter(client_name, "client_name"),
            ),
        )
        if found is None:
            raise NotFound(f"no site with client_site_id {client_site_id} of {client_site_name or client_name!r}")
        return found

    def get_by_client_site_name(self, name: str) -> Site:
        """The site to which its client gave that name; the oldest one if there are several."""
        found = self._session.run(
            "read", lambda conn: conn.row(Site, "sites/get_by_client_site_name", client_site_name=as_text(name, "name"))
        )
        if found is None:
            raise NotFound(f"no site with client_site_name {name!r}")
        return found

    def list(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        country: str | None = None,
        asset_type: AssetType | None = None,
        active: bool | None = None,
        client_name: str | None = None,
    ) -> builtins.list[Site]:
        """The sites that fit every filter given, by site_uuid; `site_uuids` None: any, an empty list: none.

        Raises:
            InvalidInput: a filter that no site could fit, or an empty text.
        """
        if asset_type is not None and asset_type not in get_args(AssetType):
            raise InvalidInput(f"pv or wind, not {asset_type!r}", column="asset_type")
        if active not in (None, True, False):
            raise InvalidInput(f"True or False, not {active!r}", column="active")
        filters = {
            "country": as_filter(country, "country"),
            "asset_type": asset_type or "",
            "active": "" if active is None else str(bool(active)),
            "client_name": as_filter(client_name, "client_name"),
        }
        if site_uuids is None:
            return self._session.run("read", lambda conn: conn.rows(Site, "sites/list", **filters))
        uuids = as_uuids(site_uuids, "site_uuids")
        return self._session.run(
            "read", lambda conn: conn.rows(Site, "sites/list_by_uuid", site_uuids=uuids, **filters)
        )

    def list_for_user(self, email: str, *, within: LatitudeLongitudeLimits | None = None) -> builtins.list[Site]:
        """The sites that a user may see, by site_uuid.

        Args:
            email: the user's.
            within: only sites in this box, its edges included; a site whose place is not known is in no box.
        """

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_user(conn, email)
            if within is None:
                return conn.rows(Site, "sites/list_for_user", email=email)
            return conn.rows(Site, "sites/list_for_user_within", email=email, **within.model_dump())

        return self._session.run("read", work)

    def visible(self, email: str, *, site_uuids: Iterable[UUID | str]) -> set[UUID]:
        """Those of the sites that the user may see."""
        uuids = as_uuids(site_uuids, "site_uuids")

        def work(conn: QueryConnection) -> set[UUID]:
            find_user(conn, email)
            return set(conn.values("sites/visible", email=email, site_uuids=uuids))

        return self._session.run("read", work)

    def update(self, site_uuid: UUID | str, **changes: Unpack[SiteFields]) -> Site:
        """Change the given fields and leave the others; None makes a field not known. Returns the site.

        Raises:
            InvalidInput: a field that there is not, or a value of the wrong type.
            CheckFailed: a value outside of its range, such as a capacity below zero.
        """
        return self._write("sites/update", changes, as_uuid(site_uuid, "site_uuid"))

    def delete(self, site_uuid: UUID | str, *, delete_generation: bool = False) -> None:
        """Delete a site with its forecasts, inverters and places in groups.

        Its readings stay, and stay readable, unless `delete_generation` is set.
        """
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> None:
            if not conn.values("sites/delete_lock", site_uuid=uuid):
                raise NotFound(f"no site {uuid}")
            conn.run("sites/delete_forecasts", site_uuid=uuid)
            if delete_generation:
                conn.run("sites/delete_generation", site_uuid=uuid)
            conn.run("sites/delete_site", site_uuid=uuid)

        self._session.run("bulk", work)

    def _write(self, name: str, fields: SiteFields, site_uuid: UUID | None = None) -> Site:
        parameters: dict[str, object] = {"fields": _json(fields)}
        if site_uuid is not None:
            parameters["site_uuid"] = site_uuid
        try:
            site = self._session.run("write", lambda conn: conn.row(Site, name, **parameters))
        except MissingReference as error:
            raise NotFound(f"no client {fields.get('client_uuid')}") from error
        if site is None:
            raise NotFound(f"no site {site_uuid}")
        return site


def _json(fields: SiteFields) -> str:
    try:
        checked = _FIELDS.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        column = str(first["loc"][0])
        raise InvalidInput(f"{first['msg']} ({first['input']!r})", column=column) from None
    for name, value in checked.items():
        if isinstance(value, str):
            as_text(value, name)
    return _FIELDS.dump_json(checked).decode()
