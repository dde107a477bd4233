"""The rows of the tables and the results of calls, as frozen Pydantic models: power in kW, times aware and in UTC."""

from __future__ import annotations

from typing import Annotated, Any
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


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Client(_Row):
    """A company or person that hands in sites."""

    client_uuid: UUID
    client_name: str
    created_utc: AwareDatetime


class SiteGroup(_Row):
    """A group of sites; every user is in one and sees its sites."""

    site_group_uuid: UUID
    site_group_name: str
    service_level: int
    created_utc: AwareDatetime


class User(_Row):
    """A user, in one site group."""

    user_uuid: UUID
    email: str
    site_group_uuid: UUID
    created_utc: AwareDatetime


class Site(_Row):
    """A site; None means that a property is not known. Angles are in degrees, capacities in kW."""

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


class SiteChange(_Row):
    """A change of a site: who made what of it, and when.

    Attributes:
        changed_utc: when it was made, before its commit; of a baseline, when the site was created.
        change_id: orders the changes of a site that have the same time.
        operation: insert, update or delete; baseline is what a site was that was there before its history.
        old_row: the row before, with the columns that `sites` had then; None if there was none.
        new_row: the row after; None if there is none.
        actor: who made it, as the program says: `Repository(..., actor=...)`.
        database_user: who made it, as the server knows: the user that logged in.
    """

    site_uuid: UUID
    changed_utc: AwareDatetime
    change_id: int
    operation: str
    old_row: dict[str, Any] | None
    new_row: dict[str, Any] | None
    actor: str | None
    database_user: str


class Inverter(_Row):
    """An inverter of a site."""

    inverter_uuid: UUID
    site_uuid: UUID
    created_utc: AwareDatetime


class Status(_Row):
    """A message on the state of the service."""

    status_uuid: UUID
    status: str
    message: str
    created_utc: AwareDatetime


class ApiRequest(_Row):
    """A request to the API; `user_uuid` is None where nobody was logged in or the user was deleted since."""

    uuid: UUID
    url: str
    user_uuid: UUID | None
    created_utc: AwareDatetime


class MlModel(_Row):
    """A forecasting model of one version; the version is empty where it came without one."""

    ml_model_uuid: UUID
    name: str
    version: str
    description: str | None
    created_utc: AwareDatetime


class Generation(_Row):
    """A reading: the mean power of a site over `start_utc` (included) to `end_utc` (not included)."""

    site_uuid: UUID
    start_utc: AwareDatetime
    end_utc: AwareDatetime
    generation_power_kw: float
    created_utc: AwareDatetime


class GenerationSum(_Row):
    """The summed power of the readings that begin at `start_utc`; `name` is None for sites without a DNO or GSP."""

    start_utc: AwareDatetime
    power_kw: float
    name: str | None


class Forecast(_Row):
    """A forecast, whole.

    Value i (from 0) covers `start_utc + i * resolution` (included) up to `+ (i + 1) * resolution` (not included), None
    where the forecast has no value for that slot. `probabilistic_kw` has a list for each of `probabilistic_levels`,
    such as p10, with a value for each slot.
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


class ForecastValue(_Row):
    """A value of a forecast: the mean power over `start_utc` (included) to `end_utc` (not included).

    `timestamp_utc` and `created_utc` are the forecast's; `probabilistic_values` are in kW, such as {"p10": 1.2}.
    """

    start_utc: AwareDatetime
    end_utc: AwareDatetime
    forecast_power_kw: float
    horizon_minutes: int
    timestamp_utc: AwareDatetime
    created_utc: AwareDatetime
    forecast_uuid: UUID
    probabilistic_values: dict[str, float] | None


class ForecastValueSum(_Row):
    """The summed power of the values that begin at `start_utc`; `name` is None for sites without a DNO or GSP."""

    start_utc: AwareDatetime
    power_kw: float
    name: str | None


class InsertResult(_Row):
    """What became of the rows (of `forecasts`: the forecasts) given; the three add up to their number.

    Attributes:
        inserted: new ones.
        updated: ones whose stored values were replaced.
        skipped: ones that changed nothing: equal to what was stored, refused in its favour, or superseded in the call.
    """

    inserted: int = 0
    updated: int = 0
    skipped: int = 0


_Degrees = Annotated[float, Field(allow_inf_nan=False)]


class LatitudeLongitudeLimits(_Row):
    """A box on the map in degrees, its edges included.

    Raises:
        InvalidInput: an edge is no finite number, or a minimum lies above its maximum.
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
    def _min_below_max(self) -> LatitudeLongitudeLimits:
        if self.latitude_min > self.latitude_max or self.longitude_min > self.longitude_max:
            raise ValueError("a minimum lies above its maximum")
        return self
