"""Sites: the places that generate power."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, Unpack, get_args
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from .engine.constraints import range_of_check
from .engine.inputs import (
    as_filter,
    as_integer,
    as_json_object,
    as_name,
    as_optional_text,
    as_text,
    as_utc,
    as_uuid,
    as_uuids,
    page,
)
from .engine.lookups import find_client, find_site, find_site_group, find_user
from .engine.session import QueryConnection, Session
from .errors import CheckFailed, Duplicate, InvalidInput, MissingReference, NotFound
from .models import (
    CapacityKw,
    Latitude,
    LatitudeLongitudeLimits,
    Longitude,
    Orientation,
    Site,
    SiteChange,
    SiteGroup,
    Tilt,
)

__all__ = ["AssetType", "SiteFields", "SiteOrder", "SiteProperties", "Sites"]

AssetType = Literal["pv", "wind"]
SiteOrder = Literal["site_uuid", "created_utc", "client_site_name"]
_Text = Annotated[str, Field(strict=True)]  # strict: no bytes
_Integer = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_MlId = Annotated[int, Field(ge=0, lt=2**31)]


_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=False)
_MAX_COUNTS = 100
_OUT_OF_RANGE = ("greater_than_equal", "less_than_equal")


@with_config(_CONFIG)
class SiteProperties(TypedDict, total=False):
    """The fields of a new site in `get_or_create`, which has `client_site_name`, `client_name` and `country` itself."""

    client_site_id: _Integer | None
    region: _Text | None
    dno: _Text | None
    gsp: _Text | None
    asset_type: AssetType
    active: bool
    orientation: Orientation | None
    tilt: Tilt | None
    latitude: Latitude | None
    longitude: Longitude | None
    capacity_kw: CapacityKw | None
    inverter_capacity_kw: CapacityKw | None
    module_capacity_kw: CapacityKw | None
    ml_id: _MlId | None
    ml_model_uuid: UUID | None
    metadata: dict[_Text, Any]


@with_config(_CONFIG)
class SiteFields(SiteProperties, total=False):
    """The fields of `create` and `update`: columns of `sites`. Angles are in degrees, capacities in kW.

    A request model in FastAPI: the ranges of the values are in its schema.
    """

    client_uuid: UUID | None
    client_site_name: _Text | None
    country: _Text


_FIELDS = TypeAdapter(SiteFields)
Result = TypeVar("Result")


class Sites:
    """`repo.sites`. Methods raise `NotFound` if a site, user or client does not exist."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, **fields: Unpack[SiteFields]) -> Site:
        """Create a site. Fields that are not given are unknown (None), except for these defaults.

        `country` is "uk", `asset_type` is "pv", `active` is True, `metadata` is empty, and `inverter_capacity_kw`
        equals `capacity_kw`. Without an `ml_id`, or with None, the database counts one that no site has. You can give
        one from 0 on. `ml_model_uuid` is the model that the site uses; None means any model.

        Raises:
            InvalidInput: a field does not exist, a value has the wrong type, or `metadata` cannot be stored as JSON.
            NotFound: the client does not exist.
            Duplicate: another site has this `ml_id`.
            MissingReference: the model does not exist.
            CheckFailed: a value is out of range, such as a negative capacity.
        """
        return self._write("sites/create", fields)

    def get_or_create(
        self,
        *,
        client_site_name: str,
        client_name: str | None = None,
        country: str | None = None,
        **fields: Unpack[SiteProperties],
    ) -> Site:
        """Return the site with this client_site_name, the oldest one if there are several. Create it if necessary.

        Concurrent calls return the same site. An existing site is only read and never changed, so that the call also
        works on a hot standby. A concurrent `create` of a site with this name is not held up.

        Args:
            client_site_name: the client's name for the site; must not be empty.
            client_name: look only among the sites of this client, who also gets a new site. None: look among all sites;
                a new site has no client.
            country: look only among the sites in this country, where a new site is too. None: look in all countries; a
                new site is in "uk".
            **fields: the other fields of a new site, see `create`. An existing site keeps its own.

        Raises:
            InvalidInput: an argument is invalid, see `create`, even if the site exists.
            NotFound: the client does not exist.
            Duplicate: another site has the `ml_id` for the new site.
            MissingReference: the model for the new site does not exist.
            CheckFailed: a value for the new site is out of range, even if the site exists.
        """
        key = {
            "client_site_name": as_name(client_site_name, "client_site_name"),
            "client_name": as_filter(client_name, "client_name"),
            "country": as_filter(country, "country"),
        }
        if "client_uuid" in fields:
            raise InvalidInput("give the name of the client as client_name instead", column="client_uuid")
        new = _checked(fields)
        new["client_site_name"] = client_site_name
        if country is not None:
            new["country"] = country

        def work(conn: QueryConnection) -> Site:
            existing = conn.row(Site, "sites/get_or_create_existing", **key)
            if existing is None:
                if client_name is not None:
                    new["client_uuid"] = find_client(conn, client_name).client_uuid
                conn.records("sites/get_or_create_lock", client_site_name=client_site_name)
                existing = conn.row(Site, "sites/get_or_create_existing", **key)
            return existing or conn.one(Site, "sites/create", fields=_json(new))

        return self._counting(work, new)

    def get(self, site_uuid: UUID | str) -> Site:
        """Return the site with this UUID.

        Raises:
            NotFound: the site does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        return self._session.run("read", lambda conn: find_site(conn, uuid))

    def get_as_of(self, site_uuid: UUID | str, *, at_utc: datetime) -> Site:
        """Return a site as it was after its last change at or before a time.

        If the site is older than its history, it is assumed not to have changed before the history started.

        Raises:
            NotFound: the site did not exist at this time.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        at_utc = as_utc(at_utc, "at_utc")
        site = self._session.run("read", lambda conn: conn.row(Site, "sites/get_as_of", site_uuid=uuid, at_utc=at_utc))
        if site is None:
            raise NotFound(f"no site {uuid} at {at_utc}")
        return site

    def history(self, site_uuid: UUID | str, *, limit: int | None = None, offset: int = 0) -> builtins.list[SiteChange]:
        """Return all changes of a site, oldest first. Works for deleted sites too.

        Args:
            site_uuid: the site.
            limit: return at most this many. None means no limit.
            offset: skip this many.

        Raises:
            NotFound: the site has never existed.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        part = page(limit, offset)

        def work(conn: QueryConnection) -> builtins.list[SiteChange]:
            changes = conn.rows(SiteChange, "sites/history", site_uuid=uuid, **part)
            if not changes and not conn.values("sites/history", site_uuid=uuid, **page(1, 0)):
                raise NotFound(f"no site {uuid}, and no history of it")
            return changes

        return self._session.run("read", work)

    def groups(self, site_uuid: UUID | str) -> builtins.list[SiteGroup]:
        """Return the site groups that a site belongs to, ordered by name.

        Raises:
            NotFound: the site does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")

        def work(conn: QueryConnection) -> builtins.list[SiteGroup]:
            find_site(conn, uuid)
            return conn.rows(SiteGroup, "sites/groups", site_uuid=uuid)

        return self._session.run("read", work)

    def get_by_client_site_id(
        self, client_site_id: int, *, client_site_name: str | None = None, client_name: str | None = None
    ) -> Site:
        """Return the site with this client_site_id, the oldest one if there are several.

        Args:
            client_site_id: the client's number for the site.
            client_site_name: the client's name for the site. Give either this or `client_name`.
            client_name: the name of the client.

        Raises:
            InvalidInput: not exactly one of `client_site_name` and `client_name` is given.
            NotFound: the site does not exist.
        """
        if (client_site_name is None) == (client_name is None):
            raise InvalidInput("requires exactly one of client_site_name and client_name", column="client_name")
        site = self._session.run(
            "read",
            lambda conn: conn.row(
                Site,
                "sites/get_by_client_site_id",
                client_site_id=as_integer(client_site_id, "client_site_id"),
                client_site_name=as_filter(client_site_name, "client_site_name"),
                client_name=as_filter(client_name, "client_name"),
            ),
        )
        if site is None:
            raise NotFound(f"no site with client_site_id {client_site_id} of {client_site_name or client_name!r}")
        return site

    def get_by_client_site_name(self, name: str) -> Site:
        """Return the site with this client_site_name, the oldest one if there are several.

        Raises:
            NotFound: the site does not exist.
        """
        site = self._session.run(
            "read", lambda conn: conn.row(Site, "sites/get_by_client_site_name", client_site_name=as_text(name, "name"))
        )
        if site is None:
            raise NotFound(f"no site with client_site_name {name!r}")
        return site

    def list(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        country: str | None = None,
        asset_type: AssetType | None = None,
        active: bool | None = None,
        client_name: str | None = None,
        client_site_name_contains: str | None = None,
        site_group_name: str | None = None,
        order_by: SiteOrder = "site_uuid",
        limit: int | None = None,
        offset: int = 0,
    ) -> builtins.list[Site]:
        """Return the sites that match all filters, ordered by UUID. None disables a filter.

        Texts are compared exactly as they are stored: upper and lower case differ.

        Args:
            site_uuids: return only these sites. UUIDs of nonexistent sites are ignored. An empty list returns no sites.
            country: return only sites in this country.
            asset_type: return only sites of this type, "pv" or "wind".
            active: return only active (True) or inactive (False) sites.
            client_name: return only sites of this client.
            client_site_name_contains: return only sites whose `client_site_name` contains this string. `%` and `_` are
                ordinary characters.
            site_group_name: return only sites in this site group.
            order_by: "site_uuid", "created_utc" or "client_site_name". Sites that are equal in this order are ordered
                by UUID. Sites without a name come last.
            limit: return at most this many. None means no limit.
            offset: skip this many.

        Raises:
            InvalidInput: an argument is invalid, or a filter is an empty string.
            NotFound: the client or the site group does not exist.
        """
        if asset_type is not None and asset_type not in get_args(AssetType):
            raise InvalidInput(f"must be 'pv' or 'wind', got {asset_type!r}", column="asset_type")
        if active not in (None, True, False):
            raise InvalidInput(f"must be True, False or None, got {active!r}", column="active")
        if order_by not in get_args(SiteOrder):
            raise InvalidInput(f"must be one of {', '.join(get_args(SiteOrder))}, got {order_by!r}", column="order_by")
        filters = {
            "country": as_filter(country, "country"),
            "asset_type": asset_type or "",
            "active": "" if active is None else str(bool(active)),
            "client_name": as_filter(client_name, "client_name"),
            "client_site_name_contains": as_filter(client_site_name_contains, "client_site_name_contains"),
            "site_group_name": as_filter(site_group_name, "site_group_name"),
            "order_by": order_by,
            **page(limit, offset),
        }
        uuids = None if site_uuids is None else as_uuids(site_uuids, "site_uuids")

        def work(conn: QueryConnection) -> builtins.list[Site]:
            if client_name is not None:
                find_client(conn, client_name)
            if site_group_name is not None:
                find_site_group(conn, site_group_name)
            if uuids is None:
                return conn.rows(Site, "sites/list", **filters)
            return conn.rows(Site, "sites/list_by_uuid", site_uuids=uuids, **filters)

        return self._session.run("read", work)

    def list_for_user(
        self,
        email: str,
        *,
        within: LatitudeLongitudeLimits | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> builtins.list[Site]:
        """Return the sites that a user can see, ordered by UUID.

        Args:
            email: the email of the user.
            within: return only sites inside this rectangle. Sites without coordinates are left out.
            limit: return at most this many. None means no limit.
            offset: skip this many.

        Raises:
            NotFound: the user does not exist.
        """
        part = page(limit, offset)

        def work(conn: QueryConnection) -> builtins.list[Site]:
            find_user(conn, email)
            if within is None:
                return conn.rows(Site, "sites/list_for_user", email=email, **part)
            return conn.rows(Site, "sites/list_for_user_within", email=email, **within.model_dump(), **part)

        return self._session.run("read", work)

    def visible(self, email: str, *, site_uuids: Iterable[UUID | str]) -> set[UUID]:
        """Return those of the given sites that a user can see.

        Raises:
            NotFound: the user does not exist.
        """
        uuids = as_uuids(site_uuids, "site_uuids")

        def work(conn: QueryConnection) -> set[UUID]:
            find_user(conn, email)
            return set(conn.values("sites/visible", email=email, site_uuids=uuids))

        return self._session.run("read", work)

    def update(self, site_uuid: UUID | str, **changes: Unpack[SiteFields]) -> Site:
        """Change the given fields of a site and return the site. None clears a field.

        With `ml_model_uuid=None` the site uses any model. With `ml_id=None` the database counts a new one. `metadata`
        replaces the whole object.

        Raises:
            InvalidInput: a field does not exist, a value has the wrong type, or `metadata` cannot be stored as JSON.
            NotFound: the site or the client does not exist.
            Duplicate: another site has this `ml_id`.
            MissingReference: the model does not exist.
            CheckFailed: a value is out of range, such as a negative capacity.
        """
        return self._write("sites/update", changes, as_uuid(site_uuid, "site_uuid"))

    def set_ml_model(self, site_uuid: UUID | str, name: str, version: str | None = None) -> Site:
        """Set the model that a site uses, by name, and return the site.

        `update(site_uuid, ml_model_uuid=None)` sets it back to any model.

        Args:
            site_uuid: the site.
            name: the name of the model.
            version: the version of the model; an empty string is the model without a version. None: the version that
                was created last.

        Raises:
            NotFound: the site or the model does not exist.
        """
        uuid = as_uuid(site_uuid, "site_uuid")
        parameters: dict[str, object] = {
            "site_uuid": uuid,
            "model_name": as_text(name, "name"),
            "model_version": as_optional_text(version, "version"),
            "newest": version is None,
        }

        def work(conn: QueryConnection) -> Site:
            site = conn.row(Site, "sites/set_ml_model", **parameters)
            if site is None:
                find_site(conn, uuid)
                raise NotFound(f"no model {name!r}" + ("" if version is None else f" with version {version!r}"))
            return site

        return self._session.run("write", work)

    def delete(self, site_uuid: UUID | str, *, delete_generation: bool = False) -> None:
        """Delete a site, its forecasts, its inverters and its site group memberships.

        Args:
            site_uuid: the site.
            delete_generation: delete the readings of the site too. By default they are kept and can still be read.

        Raises:
            NotFound: the site does not exist.
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
        parameters: dict[str, object] = {"fields": _json(_checked(fields))}
        if site_uuid is not None:
            parameters["site_uuid"] = site_uuid
        site = self._counting(lambda conn: conn.row(Site, name, **parameters), fields)
        if site is None:
            raise NotFound(f"no site {site_uuid}")
        return site

    def _counting(self, work: Callable[[QueryConnection], Result], fields: SiteFields) -> Result:
        """Write fields, again if a concurrent transaction gave another site the ml_id that was counted here."""
        for attempt in range(1, _MAX_COUNTS + 1):
            try:
                return self._session.run("write", work)
            except MissingReference as error:
                if error.constraint_name != "sites_client_uuid_fkey":
                    raise
                raise NotFound(f"no client {fields.get('client_uuid')}") from error
            except Duplicate as error:
                is_counted = error.constraint_name == "sites_ml_id_key" and fields.get("ml_id") is None
                if not is_counted or attempt == _MAX_COUNTS:
                    raise
        raise AssertionError  # the last attempt returns or raises


def _checked(fields: SiteProperties) -> SiteFields:
    try:
        checked = _FIELDS.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        column = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            near = get_close_matches(column, SiteFields.__annotations__, n=1, cutoff=0.7)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidInput(f"a site has no field {column}{hint}", column=column) from None
        constraint_name = f"sites_{column}_check"
        if first["type"] in _OUT_OF_RANGE and (text := range_of_check(constraint_name)):
            raise CheckFailed(text, constraint_name=constraint_name) from None
        raise InvalidInput(f"{first['msg']} ({first['input']!r})", column=column) from None
    for name, value in checked.items():
        if isinstance(value, str):
            as_text(value, name)
        elif isinstance(value, dict):
            as_json_object(value, name)
    return checked


def _json(fields: SiteFields) -> str:
    return _FIELDS.dump_json(fields).decode()
