"""Forecasts: each one whole, as one row; and every question that people ask of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg

from .engine import partitions
from .engine.binary_copy import decode_in_blocks, decode_with_tails, encode_rows, real_array, text_array
from .engine.columns import frame_of, uuid_of
from .engine.forecast_frames import LATEST, NewForecast, forecasts
from .engine.inputs import as_filter, as_integer, as_text, as_utc, as_uuid, as_uuids, window
from .engine.lookups import all_sites
from .engine.rows import decoded_models
from .engine.session import QueryConnection, Session
from .errors import Duplicate, InvalidInput, NotFound
from .models import Forecast, ForecastValue, ForecastValueSum, InsertResult, MlModel

__all__ = ["Forecasts", "OnConflict", "SumBy"]

OnConflict = Literal["replace", "ignore", "error"]
SumBy = Literal["total", "dno", "gsp"]

_HOURS = 24
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_BLOCK_ROWS = 8_192  # decoded at a time, while the next ones arrive
_JSONB_VERSION = b"\x01"  # before the text in the binary format


class Forecasts:
    """`repo.forecasts`: power in kW, horizons in minutes from a forecast's timestamp to a value's start."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(
        self,
        frame: pd.DataFrame,
        *,
        on_conflict: OnConflict = "replace",
        site_uuid: UUID | str | None = None,
        timestamp_utc: datetime | None = None,
        forecast_version: str | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        created_utc: datetime | None = None,
    ) -> InsertResult:
        """Store forecasts, all of them or none, and make the month partitions that they need.

        A forecast is all rows of one site, timestamp, model and forecast version. Its values all last equally long
        (whole minutes) and lie on one grid; they may leave slots out, and come in any order.

        Args:
            frame: a row a value: `site_uuid`, `timestamp_utc`, `start_utc`, `end_utc`, `forecast_power_kw` (finite;
                seven digits are kept), and optionally `forecast_version`, `model_name`, `model_version`,
                `created_utc`, `horizon_minutes` (which must agree with the times) and probabilistic values in kW:
                columns `p10`, `p50`, any `pNN`, or one column `probabilistic_values` of dicts. Others are passed over.
            on_conflict: what happens to a forecast of a key that is stored. `replace`: it takes the place of the stored
                one, which keeps its `forecast_uuid`; an equal one is skipped. `ignore`: the stored one stays. `error`:
                nothing is written.
            site_uuid: the site of all rows, where the frame has no such column; likewise the next five.
            timestamp_utc: the "now" that the forecasts were made for.
            forecast_version: the version of the software; empty where it is not given.
            model_name: the model; made where it is not known yet. Not given: not known.
            model_version: the model's version; a model may come without one.
            created_utc: when the forecasts were made, for a backfill; now where it is not given.

        Returns:
            how many forecasts were inserted, updated and skipped.

        Raises:
            InvalidInput: rows that cannot be stored; names column, rows, site and start. Nothing is written.
            MissingReference: a site does not exist. Nothing is written.
            Duplicate: with `error`, a forecast of that key is stored already. Nothing is written.
        """
        if on_conflict not in get_args(OnConflict):
            raise InvalidInput(f"replace, ignore or error, not {on_conflict!r}", column="on_conflict")
        given = {
            "site_uuid": site_uuid,
            "timestamp_utc": timestamp_utc,
            "forecast_version": forecast_version,
            "model_name": model_name,
            "model_version": model_version,
            "created_utc": created_utc,
        }
        new = forecasts(frame, given)
        if not new:
            return InsertResult()

        months = sorted({forecast.month for forecast in new})

        def attempt(conn: QueryConnection, *, straight: bool) -> InsertResult:
            with conn.transaction():
                return _write(conn, new, on_conflict, straight=straight)

        def attempts(conn: QueryConnection) -> InsertResult:
            try:
                return attempt(conn, straight=True)
            except Duplicate:
                if on_conflict == "error":
                    raise
                return attempt(conn, straight=False)  # another writer was there between the look and the write

        def work(conn: QueryConnection) -> InsertResult:
            return partitions.write(self._session, conn, "forecasts", months, lambda: attempts(conn))

        return self._session.run_in_steps("bulk", work)

    def get(self, forecast_uuid: UUID | str) -> Forecast:
        """The forecast of that uuid, whole.

        Raises:
            NotFound: there is none.
        """
        uuid = as_uuid(forecast_uuid, "forecast_uuid")
        return self._session.run("read", lambda conn: _found(conn, uuid))

    def values(self, forecast_uuid: UUID | str) -> list[ForecastValue]:
        """The values of a forecast, by start; slots without a value are left out.

        Raises:
            NotFound: there is no such forecast.
        """
        uuid = as_uuid(forecast_uuid, "forecast_uuid")

        def work(conn: QueryConnection) -> list[ForecastValue]:
            _found(conn, uuid)
            return conn.rows(ForecastValue, "forecasts/values", forecast_uuid=uuid)

        return self._session.run("read", work)

    def latest_values(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        created_before: datetime | None = None,
        min_horizon_minutes: int | None = None,
        model_name: str | None = None,
    ) -> dict[UUID, list[ForecastValue]]:
        """For each target start the value of the newest forecast that has one.

        The newest is that of the newest `timestamp_utc`, then `created_utc`, then the greatest `forecast_uuid`. An
        older forecast still supplies the target starts that newer ones leave out.

        Args:
            site_uuids: the sites; None: all that there are, an empty list: none.
            start_utc: target starts from here on; None: from the first.
            end_utc: target starts before this; None: up to the last.
            created_before: only forecasts created before this: what was known then.
            min_horizon_minutes: only values made at least so long ahead.
            model_name: only forecasts of this model, in any version.

        Returns:
            for every site asked for, in that order, its values by start.
        """
        asked = _latest(start_utc, end_utc, created_before, min_horizon_minutes, model_name)
        asked["probabilistic"] = True
        return self._values_by_site("forecasts/latest_values", site_uuids, asked)

    def latest_frame(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        created_before: datetime | None = None,
        min_horizon_minutes: int | None = None,
        model_name: str | None = None,
    ) -> pd.DataFrame:
        """The same as a frame, without probabilistic values, by site and start, and faster.

        Returns:
            `site_uuid` (object: UUID), `start_utc`, `end_utc`, `forecast_power_kw` (float32), `horizon_minutes`
            (int32), `timestamp_utc`, `created_utc` and `forecast_uuid`; the times are `datetime64[us, UTC]`.
        """
        asked = _latest(start_utc, end_utc, created_before, min_horizon_minutes, model_name)
        given = _given(site_uuids)

        def work(conn: QueryConnection) -> pd.DataFrame:
            sites = _sites(conn, given)
            rows = conn.copy_out("forecasts/latest_values", site_uuids=sites, probabilistic=False, **asked)
            return frame_of(LATEST, decode_in_blocks({**LATEST, "probabilistic_values": "null"}, rows, _BLOCK_ROWS))

        return self._session.run("bulk", work)

    def latest_sums(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        by: SumBy = "total",
        created_before: datetime | None = None,
        min_horizon_minutes: int | None = None,
        model_name: str | None = None,
    ) -> list[ForecastValueSum]:
        """The latest values summed for each target start, by start and name.

        Args:
            site_uuids: see `latest_values`; likewise the others.
            start_utc: target starts from here on; None: from the first.
            end_utc: target starts before this; None: up to the last.
            by: `total` (one row a start, named "total"), `dno` or `gsp`: sites without one sum under the name None.
            created_before: only forecasts created before this.
            min_horizon_minutes: only values made at least so long ahead.
            model_name: only forecasts of this model, in any version.

        Raises:
            InvalidInput: `by` is none of the three.
        """
        if by not in get_args(SumBy):
            raise InvalidInput(f"total, dno or gsp, not {by!r}", column="by")
        asked = _latest(start_utc, end_utc, created_before, min_horizon_minutes, model_name)
        given = _given(site_uuids)

        def work(conn: QueryConnection) -> list[ForecastValueSum]:
            return conn.rows(ForecastValueSum, "forecasts/latest_sums", by=by, site_uuids=_sites(conn, given), **asked)

        return self._session.run("bulk", work)

    def latest_per_site(self, site_uuids: Iterable[UUID | str] | None = None) -> dict[UUID, Forecast]:
        """The newest forecast, whole, of each site that has one; None: of all sites that there are."""
        given = _given(site_uuids)

        def work(conn: QueryConnection) -> list[Forecast]:
            return conn.rows(Forecast, "forecasts/latest_per_site", site_uuids=_sites(conn, given))

        return {row.site_uuid: row for row in self._session.run("read", work)}

    def day_ahead_values(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        hour: int,
        timezone: str | ZoneInfo,
        model_name: str | None = None,
    ) -> dict[UUID, list[ForecastValue]]:
        """What was known the day before: the latest values of forecasts created before an hour of that day.

        The target day and the hour are those of the local clock. An hour that the clock skips is taken as one later; of
        one that it shows twice, the second counts.

        Args:
            site_uuids: the sites; None: all that there are, an empty list: none.
            start_utc: target starts from here on; None: from the first.
            end_utc: target starts before this; None: up to the last.
            hour: 0 to 24: only forecasts created before it, on the day before the target day.
            timezone: of the IANA, such as "Europe/London".
            model_name: only forecasts of this model, in any version.

        Returns:
            for every site asked for, in that order, its values by start.

        Raises:
            InvalidInput: there is no such hour or time zone.
        """
        if not 0 <= as_integer(hour, "hour") <= _HOURS:
            raise InvalidInput(f"0 to {_HOURS}, not {hour}", column="hour")
        zone = as_text(timezone.key if isinstance(timezone, ZoneInfo) else timezone, "timezone")
        if not _ZONE.fullmatch(zone):  # the server takes "$5" and the like for zones of its own making
            raise InvalidInput(f"not a name of a time zone: {zone!r}", column="timezone")
        asked = {**window(start_utc, end_utc), "model_name": as_filter(model_name, "model_name")}
        asked |= {"hour": hour, "timezone": zone}
        try:
            return self._values_by_site("forecasts/day_ahead_values", site_uuids, asked)
        except psycopg.errors.InvalidParameterValue as error:
            raise InvalidInput(f"not a time zone that the server knows: {zone!r}", column="timezone") from error

    def values_at_horizon(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        horizon_minutes: int,
        model_name: str | None = None,
    ) -> dict[UUID, list[ForecastValue]]:
        """For each target start the value that was made exactly so long ahead.

        Of several such forecasts the newest `created_utc` that has a value counts, then the greatest `forecast_uuid`.

        Args:
            site_uuids: the sites; None: all that there are, an empty list: none.
            start_utc: target starts from here on; None: from the first.
            end_utc: target starts before this; None: up to the last.
            horizon_minutes: from the forecast's timestamp to the target start; may be negative.
            model_name: only forecasts of this model, in any version.

        Returns:
            for every site asked for, in that order, its values by start.
        """
        asked = {
            **window(start_utc, end_utc),
            "horizon_minutes": as_integer(horizon_minutes, "horizon_minutes"),
            "model_name": as_filter(model_name, "model_name"),
        }
        return self._values_by_site("forecasts/values_at_horizon", site_uuids, asked)

    def error_by_horizon(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        model_name: str | None = None,
    ) -> pd.DataFrame:
        """How far forecasts were off, for each horizon, all sites together.

        The error of a value is forecast - generation; the generation of its slot is the mean of the readings that lie
        in it, weighted by how long they do, and a slot counts only where they cover at least half of it. All forecasts
        count, not only the latest.

        Args:
            site_uuids: the sites; None: all that there are, an empty list: none.
            start_utc: target starts from here on; None: from the first.
            end_utc: target starts before this; None: up to the last.
            model_name: only forecasts of this model, in any version.

        Returns:
            a row a horizon, ascending: `horizon_minutes` and `count` (int64); `mean_error_kw`, `mae_kw` (mean absolute
            error) and `rmse_kw` (root mean square error); and as shares of the site's capacity `mean_error_share`,
            `mae_share`, `rmse_share`, NaN where no site's capacity is known.
        """
        asked = {**window(start_utc, end_utc), "model_name": as_filter(model_name, "model_name")}
        given = _given(site_uuids)

        def work(conn: QueryConnection) -> list[dict[str, Any]]:
            return conn.records("forecasts/error_by_horizon", site_uuids=_sites(conn, given), **asked)

        rows = self._session.run("bulk", work)
        whole = {"horizon_minutes": "int64", "count": "int64"}
        return pd.DataFrame(rows, columns=list(_ERRORS)).astype({name: whole.get(name, "float64") for name in _ERRORS})

    def _values_by_site(
        self, name: str, site_uuids: Iterable[UUID | str] | None, asked: dict[str, Any]
    ) -> dict[UUID, list[ForecastValue]]:
        given = _given(site_uuids)
        return self._session.run("bulk", lambda conn: _by_site(conn, _sites(conn, given), name, **asked))


_ERRORS = (
    "horizon_minutes",
    "count",
    "mean_error_kw",
    "mae_kw",
    "rmse_kw",
    "mean_error_share",
    "mae_share",
    "rmse_share",
)


def _given(site_uuids: Iterable[UUID | str] | None) -> list[UUID] | None:
    return None if site_uuids is None else as_uuids(site_uuids, "site_uuids")


def _sites(conn: QueryConnection, given: list[UUID] | None) -> list[UUID]:
    return all_sites(conn) if given is None else given


def _latest(
    start_utc: datetime | None,
    end_utc: datetime | None,
    created_before: datetime | None,
    min_horizon_minutes: int | None,
    model_name: str | None,
) -> dict[str, Any]:
    horizon = "" if min_horizon_minutes is None else str(as_integer(min_horizon_minutes, "min_horizon_minutes"))
    return {
        **window(start_utc, end_utc),
        "created_before": "infinity" if created_before is None else as_utc(created_before, "created_before"),
        "min_horizon_minutes": horizon,
        "model_name": as_filter(model_name, "model_name"),
    }


def _by_site(conn: QueryConnection, sites: list[UUID], name: str, **asked: Any) -> dict[UUID, list[ForecastValue]]:
    block, tails = decode_with_tails(LATEST, "probabilistic_values", conn.copy_out(name, site_uuids=sites, **asked))
    probabilistic = [None if tail is None else _probabilistic(tail) for tail in tails]
    values = decoded_models(ForecastValue, LATEST, block, {"probabilistic_values": probabilistic})
    found: dict[UUID, list[ForecastValue]] = {site: [] for site in sites}
    of = block["site_uuid"]
    if values:
        for first, past in pairwise(np.flatnonzero(np.r_[True, of[1:] != of[:-1], True]).tolist()):
            found[uuid_of(of[first])] = values[first:past]
    return found


def _probabilistic(jsonb: bytes) -> dict[str, float]:
    of: dict[str, float] = json.loads(jsonb[len(_JSONB_VERSION) :], parse_int=float)
    return of


def _found(conn: QueryConnection, forecast_uuid: UUID) -> Forecast:
    found = conn.row(Forecast, "forecasts/get", forecast_uuid=forecast_uuid)
    if found is None:
        raise NotFound(f"no forecast {forecast_uuid}")
    return found


def _write(conn: QueryConnection, new: list[NewForecast], on_conflict: OnConflict, *, straight: bool) -> InsertResult:
    """Forecasts of which none is stored go straight into the table, others through the staging table."""
    models = _model_uuids(conn, new)
    new = sorted(new, key=lambda f: (f.site, f.timestamp_us, models[f.model] or b"", f.version))
    first, last = min(f.timestamp_utc for f in new), max(f.timestamp_utc for f in new)
    probed = conn.records(
        "forecasts/insert_probe",
        site_uuids=[f.site_uuid for f in new],
        timestamps_utc=[f.timestamp_utc for f in new],
        start_utc=first,
        end_utc=last,
    )[0]
    if straight and (on_conflict == "error" or not probed["taken"]):
        now = _microseconds(probed["now_utc"])
        try:
            conn.copy_in("forecasts/insert_copy", encode_rows(_fields(f, models[f.model], now) for f in new))
        except Duplicate as error:
            if on_conflict == "error":
                raise Duplicate(str(error), constraint_name="forecasts_key") from error.__cause__
            raise
        return InsertResult(inserted=len(new))
    conn.run("forecasts/insert_staging")
    conn.copy_in("forecasts/insert_stage", encode_rows(_fields(f, models[f.model], None) for f in new))
    inserted = conn.run("forecasts/insert_new", start_utc=first, end_utc=last)
    updated = 0
    if on_conflict == "replace":
        updated = conn.run("forecasts/insert_replaced", start_utc=first, end_utc=last)
    conn.run("forecasts/insert_unstage")
    return InsertResult(inserted=inserted, updated=updated, skipped=len(new) - inserted - updated)


def _model_uuids(conn: QueryConnection, new: list[NewForecast]) -> dict[tuple[str, str] | None, bytes | None]:
    """The models, made where they are not known, in one order for all writers."""
    uuids: dict[tuple[str, str] | None, bytes | None] = {None: None}
    for name, version in sorted({forecast.model for forecast in new if forecast.model is not None}):
        model = conn.get_or_create(MlModel, "ml_models/get_or_create", name=name, version=version, description="")
        uuids[name, version] = model.ml_model_uuid.bytes
    return uuids


def _fields(forecast: NewForecast, model: bytes | None, now_us: int | None) -> list[bytes | None]:
    created = now_us if forecast.created_us is None else forecast.created_us
    return [
        forecast.site.ljust(16, b"\0"),
        forecast.timestamp_us.to_bytes(8, "big", signed=True),
        model,
        forecast.version.encode(),
        None if created is None else created.to_bytes(8, "big", signed=True),
        forecast.start_us.to_bytes(8, "big", signed=True),
        forecast.resolution_minutes.to_bytes(4, "big"),
        real_array(forecast.power_kw),
        text_array(forecast.levels) if forecast.levels else None,
        None if forecast.level_kw is None else real_array(forecast.level_kw),
    ]


def _microseconds(moment: datetime) -> int:
    return int(np.datetime64(moment.replace(tzinfo=None), "us").view("i8")) - 946_684_800_000_000
