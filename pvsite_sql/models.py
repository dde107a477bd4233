"""Table rows and results as frozen Pydantic models. Power is in kW; times are aware and in UTC."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import InvalidInput

__all__ = [
    "ApiRequest",
    "Client",
    "Forecast",
    "ForecastValue",
    "ForecastValueSum",
    "Generation",
    "GenerationSum",
    "InsertResult",
    "Inverter",
    "LatitudeLongitudeLimits",
    "MlModel",
    "Site",
    "SiteChange",
    "SiteGroup",
    "Status",
    "User",
]

SumBy = Literal["total", "dno", "gsp"]

# The ranges of the CHECK constraints of the table
Orientation = Annotated[float, Field(ge=0, le=360)]
Tilt = Annotated[float, Field(ge=0, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
CapacityKw = Annotated[float, Field(ge=0)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Client(_Row):
    """A company or person that owns sites."""

    client_uuid: UUID
    client_name: str
    created_utc: AwareDatetime


class SiteGroup(_Row):
    """A group of sites. Each user belongs to one group and can see its sites."""

    site_group_uuid: UUID
    site_group_name: str
    service_level: int
    created_utc: AwareDatetime


class User(_Row):
    """A user, who belongs to one site group."""

    user_uuid: UUID
    email: str
    site_group_uuid: UUID
    site_group_name: str
    created_utc: AwareDatetime


class Site(_Row):
    """A site. None means unknown. Angles are in degrees, capacities in kW.

    Attributes:
        ml_id: the number that machine learning knows the site by.
        ml_model_uuid: the model that the site uses; None for any model.
        metadata: more about the site, for the programs that use it.
    """

    site_uuid: UUID
    client_uuid: UUID | None
    client_site_id: int | None
    client_site_name: str | None
    country: str
    region: str | None
    dno: str | None
    gsp: str | None
    asset_type: str
    active: bool
    orientation: float | None
    tilt: float | None
    latitude: float | None
    longitude: float | None
    capacity_kw: float | None
    inverter_capacity_kw: float | None
    module_capacity_kw: float | None
    ml_id: int
    created_utc: AwareDatetime
    ml_model_uuid: UUID | None
    metadata: dict[str, Any]

    def __hash__(self) -> int:
        return hash(self.site_uuid)


class SiteChange(_Row):
    """A change of a site: what was changed, when and by whom.

    Attributes:
        changed_utc: when the row was changed, before the commit. For a baseline: when the site was created.
        change_id: the order of changes of a site at the same time.
        operation: `insert`, `update` or `delete`. `baseline` is the state of a site that is older than its history.
        old_row: the row before the change, with the columns of `sites` at that time; None for an insert or a baseline.
        new_row: the row after the change; None for a delete.
        actor: who made the change according to the program, see `Repository(..., actor=...)`.
        database_user: the database user that was logged in.
    """

    site_uuid: UUID
    changed_utc: AwareDatetime
    change_id: int
    operation: str
    old_row: dict[str, Any] | None
    new_row: dict[str, Any] | None
    actor: str | None
    database_user: str

    def __hash__(self) -> int:
        return hash((self.site_uuid, self.changed_utc, self.change_id))


class Inverter(_Row):
    """An inverter of a site."""

    inverter_uuid: UUID
    site_uuid: UUID
    created_utc: AwareDatetime


class Status(_Row):
    """A message about the state of the service."""

    status_uuid: UUID
    status: str
    message: str
    created_utc: AwareDatetime


class ApiRequest(_Row):
    """A request to the API. `user_uuid` and `email` are None if no user was logged in or the user has been deleted."""

    uuid: UUID
    url: str
    user_uuid: UUID | None
    email: str | None
    created_utc: AwareDatetime


class MlModel(_Row):
    """A version of a forecasting model. The version is an empty string for a model without one."""

    ml_model_uuid: UUID
    name: str
    version: str
    description: str | None
    created_utc: AwareDatetime


class Generation(_Row):
    """A reading: the mean power of a site from `start_utc` (inclusive) to `end_utc` (exclusive)."""

    site_uuid: UUID
    start_utc: AwareDatetime
    end_utc: AwareDatetime
    generation_power_kw: float
    created_utc: AwareDatetime


class GenerationSum(_Row):
    """The total power of the readings that start at `start_utc`. `name` is None for sites without a DNO or GSP."""

    start_utc: AwareDatetime
    power_kw: float
    name: str | None


class Forecast(_Row):
    """A forecast with all its values.

    Slot i (from 0) lasts from `start_utc + i * resolution` (inclusive) to `start_utc + (i + 1) * resolution`
    (exclusive). `power_kw` has one value per slot, None for a slot without a value. `probabilistic_kw` has one list per
    level in `probabilistic_levels`, such as "p10", with one value per slot.
    """

    forecast_uuid: UUID
    site_uuid: UUID
    timestamp_utc: AwareDatetime
    ml_model_uuid: UUID | None
    forecast_version: str
    created_utc: AwareDatetime
    start_utc: AwareDatetime
    resolution_minutes: int
    power_kw: list[float | None]
    probabilistic_levels: list[str] | None
    probabilistic_kw: list[list[float | None]] | None
    end_utc: AwareDatetime

    def __hash__(self) -> int:
        return hash((self.forecast_uuid, self.created_utc))


class ForecastValue(_Row):
    """A value of a forecast: the mean power from `start_utc` (inclusive) to `end_utc` (exclusive).

    `timestamp_utc`, `created_utc` and the fields from `forecast_uuid` to `model_version` belong to the forecast. The
    name and version of the model are None if the model is unknown. `probabilistic_values` are in kW, such as
    {"p10": 1.2}.
    """

    start_utc: AwareDatetime
    end_utc: AwareDatetime
    forecast_power_kw: float
    horizon_minutes: int
    timestamp_utc: AwareDatetime
    created_utc: AwareDatetime
    forecast_uuid: UUID
    forecast_version: str
    model_name: str | None
    model_version: str | None
    probabilistic_values: dict[str, float] | None

    def __hash__(self) -> int:
        return hash((self.forecast_uuid, self.start_utc))


class ForecastValueSum(_Row):
    """The total power of the values that start at `start_utc`. `name` is None for sites without a DNO or GSP."""

    start_utc: AwareDatetime
    power_kw: float
    name: str | None


class InsertResult(_Row):
    """The number of readings or forecasts that an `insert` wrote or skipped.

    `inserted + updated + skipped` is the number in the input; `differing` is a part of `skipped`.

    Attributes:
        inserted: new readings or forecasts.
        updated: stored ones that were replaced by different values.
        skipped: ones that changed nothing: they equal the stored one, the stored one was kept, or another one in the
            same call was stored instead.
        differing: how many of the skipped ones differ from what is stored after the call. With a reading, its power or
            end differs; with a forecast, a value or its start, resolution or `created_utc`. Rows that were combined to
            one reading count as that reading.
    """

    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    differing: int = 0


_Degrees = Annotated[float, Field(allow_inf_nan=False)]


class LatitudeLongitudeLimits(_Row):
    """A rectangle on the map, in degrees, including its edges.

    Raises:
        InvalidInput: a limit is not a finite number, or a minimum is greater than its maximum.
    """

    latitude_min: _Degrees = -90
    latitude_max: _Degrees = 90
    longitude_min: _Degrees = -180
    longitude_max: _Degrees = 180

    def __init__(
        self,
        *,
        latitude_min: float = -90,
        latitude_max: float = 90,
        longitude_min: float = -180,
        longitude_max: float = 180,
    ) -> None:
        edges: dict[str, Any] = {"latitude_min": latitude_min, "latitude_max": latitude_max}
        edges |= {"longitude_min": longitude_min, "longitude_max": longitude_max}
        try:
            super().__init__(**edges)
        except ValidationError as error:
            first = error.errors()[0]
            reason = first["msg"].removeprefix("Value error, ")
            raise InvalidInput(reason, column=str(first["loc"][0]) if first["loc"] else None) from None

    @model_validator(mode="after")
    def _check_order(self) -> LatitudeLongitudeLimits:
        if self.latitude_min > self.latitude_max or self.longitude_min > self.longitude_max:
            raise ValueError("a minimum is greater than its maximum")
        return self
