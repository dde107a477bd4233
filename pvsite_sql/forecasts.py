"""Forecasts: bulk inserts with COPY, and queries for their values, sums and errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from datetime import timezone as fixed_offset
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from .engine import libraries, partitions
from .engine.binary_copy import encode_rows, real_array, text_array
from .engine.inputs import as_filter, as_integer, as_text, as_time_zone, as_utc, as_uuid, as_uuids, window
from .engine.lookups import all_sites
from .engine.session import QueryConnection, Session
from .engine.timestamps import microseconds_of
from .errors import Duplicate, InvalidInput, NotFound
from .models import Forecast, ForecastValue, ForecastValueSum, InsertResult, MlModel, SumBy

if TYPE_CHECKING:  # slow to import, and most calls never need it
    import pandas as pd
    import pyarrow as pa

    from .engine.forecast_frames import NewForecast
    from .engine.forecast_pieces import Values
    from .engine.frames import AnyFrame

__all__ = ["ErrorsBy", "ForecastOnConflict", "Forecasts"]

ForecastOnConflict = Literal["replace", "ignore", "error"]
ErrorsBy = Literal["total", "site"]

_HOURS, _MINUTES = 24, 60


class Forecasts:
    """`repo.forecasts`: forecasts of power, in kW.

    The horizon of a value is the number of minutes from the forecast's `timestamp_utc` to the value's `start_utc`. A
    window selects the values with `start_utc <= value.start_utc < end_utc`. Naive times are taken as UTC.
    """

    def __init__(self, session: Session) -> None:
        self._unprepared = session

    @property
    def _session(self) -> Session:
        """The session, with the libraries that its calls need."""
        libraries.load_pandas()
        return self._unprepared

    def insert(
        self,
        frame: AnyFrame | Iterable[AnyFrame] | Iterable[ForecastValue] | Mapping[UUID, Iterable[ForecastValue]],
        *,
        on_conflict: ForecastOnConflict = "replace",
        site_uuid: UUID | str | None = None,
        timestamp_utc: datetime | None = None,
        forecast_version: str | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        created_utc: datetime | None = None,
    ) -> InsertResult:
        """Store forecasts, all or none, and create the month partitions that they need.

        Rows with the same site, timestamp, model and forecast version make up one forecast. All values of a forecast
        must have the same duration, a whole number of minutes, and start a whole number of durations after its first
        value. Slots can be missing. The order of rows does not matter.

        Args:
            frame: a pandas frame, or anything with `__arrow_c_stream__` (of polars, pyarrow, DuckDB ...; requires
                pyarrow). It has one row per value and the columns `site_uuid` or `location_uuid`, `timestamp_utc`,
                `start_utc`, `end_utc` and `forecast_power_kw` (finite; stored with seven digits). Optional columns are
                `forecast_version`, `model_name`, `model_version`, `created_utc`, `horizon_minutes` (must match the
                times), and probabilistic values in kW: either columns such as `p10` and `p50`, or a column
                `probabilistic_values` of dicts or of their JSON text, which are empty for a value without any. A level
                can also be called `P10`, `plevel_10` or `forecast_power_kw_plevel_10`; names that may mean a level
                otherwise, such as `p10_kw` or `q10`, are refused. `insert` ignores other columns and the index. A
                stream is read to its end first. Or an iterable of such frames that are stored one after another in one
                transaction, so that only one of them needs to be in memory. All rows of a forecast must be in one
                frame: to a later frame, it is stored already. Or a list of `ForecastValue` models with the argument
                `site_uuid`, or a dict of sites to such lists, as `values` and `latest_values` return them.
            on_conflict: what to do with a forecast that is already stored. `replace` replaces the stored forecast,
                which keeps its `forecast_uuid`; if the two are equal, it is skipped. `ignore` keeps the stored
                forecast. `error` raises `Duplicate`.
            site_uuid: the site of all rows. This and the following arguments stand for a column that the frame does
                not have; of models they replace the field.
            timestamp_utc: the time that the forecasts were made for.
            forecast_version: the version of the forecasting software; empty by default.
            model_name: the name of the model, which is created if it does not exist. By default the model is unknown.
            model_version: the version of the model; empty by default.
            created_utc: the time when the forecasts were made; now by default.

        Returns:
            the number of forecasts inserted, updated and skipped, and how many of the skipped ones differ from the
            stored ones, which `ignore` keeps.

        Raises:
            InvalidInput: a row or an argument is invalid; names the frame, column, rows, site and start.
            MissingReference: a site does not exist.
            Duplicate: `on_conflict` is `error` and a forecast is already stored.

        If an error is raised, nothing is stored.
        """
        if on_conflict not in get_args(ForecastOnConflict):
            raise InvalidInput(f"must be 'replace', 'ignore' or 'error', got {on_conflict!r}", column="on_conflict")
        constants = {
            "site_uuid": site_uuid,
            "timestamp_utc": timestamp_utc,
            "forecast_version": forecast_version,
            "model_name": model_name,
            "model_version": model_version,
            "created_utc": created_utc,
        }
        libraries.load_pandas()
        from .engine.forecast_frames import parts_of

        parts, is_one = parts_of(frame, constants)
        if is_one:
            return self._insert_one(next(parts), on_conflict)
        return self._insert_several(parts, on_conflict)

    def _insert_one(self, new: list[NewForecast], on_conflict: ForecastOnConflict) -> InsertResult:
        if not new:
            return InsertResult()
        months = _months(new)

        def work(conn: QueryConnection) -> InsertResult:
            return partitions.write(
                self._session, conn, "forecasts", months, lambda: _write_or_merge(conn, new, on_conflict)
            )

        return self._session.run_in_steps("bulk", work)

    def _insert_several(self, parts: Iterator[list[NewForecast]], on_conflict: ForecastOnConflict) -> InsertResult:
        first = next(parts, [])
        total = InsertResult()
        with self._session.connection("bulk") as conn:  # no retry: what an iterator gave is gone
            partitions.ensure(conn, "forecasts", _months(first), wait=not self._session.may_block_itself)
            with conn.transaction():
                for part in chain([first], parts):
                    if not part:
                        continue
                    if part is not first:
                        partitions.ensure_while_writing(self._session, conn, "forecasts", _months(part))
                    written = _write_or_merge(conn, part, on_conflict)
                    total = InsertResult(**{name: value + getattr(written, name) for name, value in total})
        return total

    def get(self, forecast_uuid: UUID | str, *, timestamp_utc: datetime | None = None) -> Forecast:
        """Return a forecast with all its values.

        Args:
            forecast_uuid: the forecast.
            timestamp_utc: the forecast's exact `timestamp_utc`, if you know it. The server then looks into one month
                partition instead of all of them.

        Raises:
            NotFound: the forecast does not exist, or has another timestamp.
        """
        name = "forecasts/get" if timestamp_utc is None else "forecasts/get_with_timestamp"
        which = _which(forecast_uuid, timestamp_utc)
        found = self._session.run("read", lambda conn: conn.row(Forecast, name, **which))
        if found is None:
            raise _not_found(which)
        return found

    def values(self, forecast_uuid: UUID | str, *, timestamp_utc: datetime | None = None) -> list[ForecastValue]:
        """Return the values of a forecast, ordered by start. Slots without a value are left out.

        Args:
            forecast_uuid: the forecast.
            timestamp_utc: the forecast's exact `timestamp_utc`, if you know it. The server then looks into one month
                partition instead of all of them.

        Raises:
            NotFound: the forecast does not exist, or has another timestamp.
        """
        name = "forecasts/values" if timestamp_utc is None else "forecasts/values_with_timestamp"
        which = _which(forecast_uuid, timestamp_utc)
        found = self._session.run("read", lambda conn: conn.rows(ForecastValue, name, **which))
        if not found:  # a stored forecast has at least one value
            raise _not_found(which)
        return found

    def latest_values(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        min_horizon_minutes: int | None = None,
        max_horizon_minutes: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> dict[UUID, list[ForecastValue]]:
        """Return for each start the value of the newest forecast that has one.

        The newest forecast is the one with the latest `timestamp_utc`, then the latest `created_utc`, then the greatest
        `forecast_uuid`. Older forecasts supply the values that newer ones lack.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            min_horizon_minutes: use only values with at least this horizon.
            max_horizon_minutes: use only values with at most this horizon.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a dict with every requested site, in the order of the request, and the list of its values by start. The list
            is empty for a site without values.

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _horizons(min_horizon_minutes, max_horizon_minutes)
        return self._values_by_site("forecasts/latest_values", site_uuids, filters)

    def latest_frame(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        min_horizon_minutes: int | None = None,
        max_horizon_minutes: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> pd.DataFrame:
        """Return the values of `latest_values` as a frame, without probabilistic values. Faster.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            min_horizon_minutes: use only values with at least this horizon.
            max_horizon_minutes: use only values with at most this horizon.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a frame, ordered by site and start, with the columns `site_uuid` (object, UUID), `start_utc`, `end_utc`,
            `forecast_power_kw` (float32), `horizon_minutes` (int32), `timestamp_utc`, `created_utc`, `forecast_uuid`
            (object, UUID), `forecast_version`, `model_name` and `model_version`. Times are `datetime64[us, UTC]`. The
            last three are categories of strings; name and version of an unknown model are missing (NaN).

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _horizons(min_horizon_minutes, max_horizon_minutes)
        return self._frame("forecasts/latest_values", site_uuids, filters)

    def latest_arrow(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        min_horizon_minutes: int | None = None,
        max_horizon_minutes: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> pa.Table:
        """Return the values of `latest_frame` as an Arrow table. Requires pyarrow.

        polars (`pl.from_arrow`), DuckDB and other libraries that know Arrow take the table as it is. It is a table, not
        a stream, so that no connection stays in use and the call can be retried.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            min_horizon_minutes: use only values with at least this horizon.
            max_horizon_minutes: use only values with at most this horizon.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a table, ordered by site and start, with the columns of `latest_frame`: uuids are strings, times
            `timestamp[us, UTC]`, `forecast_power_kw` is a float, `horizon_minutes` an int32; `forecast_version`,
            `model_name` and `model_version` are dictionaries of strings.

        Raises:
            InvalidInput: an argument is invalid.
            PvsiteSqlError: pyarrow is not installed.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _horizons(min_horizon_minutes, max_horizon_minutes)
        requested = _as_sites(site_uuids)
        libraries.pyarrow()

        def work(conn: QueryConnection) -> pa.Table:
            from .engine.arrow_results import table_of_values

            sites = _sites(conn, requested)
            return table_of_values(_values(conn, "forecasts/latest_values", sites, filters, probabilistic=False))

        return self._session.run("bulk", work)

    def latest_sums(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        by: SumBy = "total",
        min_horizon_minutes: int | None = None,
        max_horizon_minutes: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> list[ForecastValueSum]:
        """Return the sums of `latest_values` for each start, ordered by start and name.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            by: `total` sums all sites, under the name "total". `dno` and `gsp` sum the sites of each DNO or GSP; sites
                without one are summed under the name None.
            min_horizon_minutes: use only values with at least this horizon.
            max_horizon_minutes: use only values with at most this horizon.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _horizons(min_horizon_minutes, max_horizon_minutes)
        return self._sums("forecasts/latest_sums", site_uuids, by, filters)

    def latest_per_site(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> dict[UUID, Forecast]:
        """Return the newest forecast of each site with all its values.

        The newest forecast is the one with the latest `timestamp_utc`, then the latest `created_utc`, then the greatest
        `forecast_uuid`. With a window, it is the newest of the forecasts that have a value in it.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive) in which a value has to start. None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a dict of the sites that have such a forecast, by uuid.

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model)
        requested = _as_sites(site_uuids)
        in_window = start_utc is not None or end_utc is not None
        name = "forecasts/latest_per_site_in_window" if in_window else "forecasts/latest_per_site"
        if not in_window:
            filters = {key: value for key, value in filters.items() if key not in ("start_utc", "end_utc")}

        def work(conn: QueryConnection) -> list[Forecast]:
            return conn.rows(Forecast, name, site_uuids=_sites(conn, requested), **filters)

        return {row.site_uuid: row for row in self._session.run("read", work)}

    def day_ahead_values(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        hour: int,
        minute: int = 0,
        timezone: str | ZoneInfo | fixed_offset,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> dict[UUID, list[ForecastValue]]:
        """Return for each start the newest value that was known on the day before.

        A forecast is used if it was created before the given time on the day before the value's start. Day and time are
        local times in `timezone`. If the clock skips the time, one hour later is used; if it shows the time twice, the
        second one is used.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            hour: the hour on the day before, from 0 to 24.
            minute: the minute of that hour.
            timezone: an IANA time zone, such as "Europe/London", or a fixed offset from UTC as a `datetime.timezone`.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a dict with every requested site, in the order of the request, and the list of its values by start. The list
            is empty for a site without values.

        Raises:
            InvalidInput: an argument is invalid, or the server does not know the time zone.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _day_ahead(hour, minute, timezone)
        with _unknown_time_zone(filters["timezone"]):
            return self._values_by_site("forecasts/day_ahead_values", site_uuids, filters)

    def day_ahead_values_frame(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        hour: int,
        minute: int = 0,
        timezone: str | ZoneInfo | fixed_offset,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> pd.DataFrame:
        """Return the values of `day_ahead_values` as a frame with the columns of `latest_frame`. Faster.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            hour: the hour on the day before, from 0 to 24.
            minute: the minute of that hour.
            timezone: an IANA time zone, such as "Europe/London", or a fixed offset from UTC as a `datetime.timezone`.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Raises:
            InvalidInput: an argument is invalid, or the server does not know the time zone.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _day_ahead(hour, minute, timezone)
        with _unknown_time_zone(filters["timezone"]):
            return self._frame("forecasts/day_ahead_values", site_uuids, filters)

    def day_ahead_values_sums(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        by: SumBy = "total",
        hour: int,
        minute: int = 0,
        timezone: str | ZoneInfo | fixed_offset,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> list[ForecastValueSum]:
        """Return the sums of `day_ahead_values` for each start, ordered by start and name.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            by: `total` sums all sites, under the name "total". `dno` and `gsp` sum the sites of each DNO or GSP; sites
                without one are summed under the name None.
            hour: the hour on the day before, from 0 to 24.
            minute: the minute of that hour.
            timezone: an IANA time zone, such as "Europe/London", or a fixed offset from UTC as a `datetime.timezone`.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Raises:
            InvalidInput: an argument is invalid, or the server does not know the time zone.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _day_ahead(hour, minute, timezone)
        with _unknown_time_zone(filters["timezone"]):
            return self._sums("forecasts/day_ahead_values_sums", site_uuids, by, filters)

    def values_at_horizon(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        horizon_minutes: int,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> dict[UUID, list[ForecastValue]]:
        """Return for each start the value with exactly this horizon.

        If several forecasts have such a value, the one with the latest `created_utc` is used, then the one with the
        greatest `forecast_uuid`.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            horizon_minutes: the horizon as the values say it: whole minutes, rounded down; can be negative.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a dict with every requested site, in the order of the request, and the list of its values by start. The list
            is empty for a site without values.

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | {"horizon_minutes": as_integer(horizon_minutes, "horizon_minutes")}
        return self._values_by_site("forecasts/values_at_horizon", site_uuids, filters)

    def values_at_horizon_frame(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        horizon_minutes: int,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> pd.DataFrame:
        """Return the values of `values_at_horizon` as a frame with the columns of `latest_frame`. Faster.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            horizon_minutes: the horizon as the values say it: whole minutes, rounded down; can be negative.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | {"horizon_minutes": as_integer(horizon_minutes, "horizon_minutes")}
        return self._frame("forecasts/values_at_horizon", site_uuids, filters)

    def values_at_horizon_sums(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        by: SumBy = "total",
        horizon_minutes: int,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> list[ForecastValueSum]:
        """Return the sums of `values_at_horizon` for each start, ordered by start and name.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            by: `total` sums all sites, under the name "total". `dno` and `gsp` sum the sites of each DNO or GSP; sites
                without one are summed under the name None.
            horizon_minutes: the horizon as the values say it: whole minutes, rounded down; can be negative.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Raises:
            InvalidInput: an argument is invalid.
        """
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | {"horizon_minutes": as_integer(horizon_minutes, "horizon_minutes")}
        return self._sums("forecasts/values_at_horizon_sums", site_uuids, by, filters)

    def error_by_horizon(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        by: ErrorsBy = "total",
        bucket_minutes: int = 1,
        created_hour: int | None = None,
        timezone: str | ZoneInfo | fixed_offset | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        of_site_model: bool = False,
    ) -> pd.DataFrame:
        """Return the forecast errors for each horizon, over all sites together or for each site.

        The error of a value is forecast minus generation. The generation of a slot is the mean of the readings that
        overlap it, weighted by the length of the overlap. A slot is used only if readings cover at least half of it.
        All forecasts are used, not only the latest.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            by: `total` for all sites together, `site` for a row for each site and horizon.
            bucket_minutes: count horizons in steps of so many minutes. `horizon_minutes` is the start of the step: with
                60, the horizons from 0 to 59 minutes count together as 0.
            created_hour: use only forecasts created in this hour of the day, from 0 to 23, in local time.
            timezone: the time zone of `created_hour`, which requires it: an IANA time zone, such as "Europe/London", or
                a fixed offset from UTC as a `datetime.timezone`.
            created_after: use only forecasts created at or after this time.
            created_before: use only forecasts created before this time.
            model_name: use only forecasts of this model.
            model_version: use only this version of the model; an empty string is the model without a version. By
                default any version. Requires a `model_name`.
            of_site_model: for each site, use only forecasts of the site's own model (`Site.ml_model_uuid`), or of any
                model if it has none. Not together with a `model_name`.

        Returns:
            a frame with one row per horizon, in ascending order, and the columns `horizon_minutes`, `count` (int64),
            `mean_error_kw`, `mae_kw` (mean absolute error), `rmse_kw` (root mean square error), and the same errors as
            shares of the site's capacity: `mean_error_share`, `mae_share`, `rmse_share` (all float64). The shares are
            NaN if no site has a known capacity. With `by="site"`, the first column is `site_uuid` (object, UUID), and
            rows are ordered by site and horizon.

        Raises:
            InvalidInput: an argument is invalid, or the server does not know the time zone.
        """
        if by not in get_args(ErrorsBy):
            raise InvalidInput(f"must be 'total' or 'site', got {by!r}", column="by")
        if as_integer(bucket_minutes, "bucket_minutes") < 1:
            raise InvalidInput(f"must be at least 1, got {bucket_minutes}", column="bucket_minutes")
        filters = _filters(
            start_utc, end_utc, created_after, created_before, model_name, model_version, of_site_model
        ) | _created_hour(created_hour, timezone)
        filters |= {"by": by, "bucket_minutes": bucket_minutes}
        requested = _as_sites(site_uuids)

        def work(conn: QueryConnection) -> list[dict[str, Any]]:
            return conn.records("forecasts/error_by_horizon", site_uuids=_sites(conn, requested), **filters)

        with _unknown_time_zone(filters["timezone"]):
            rows = self._session.run("bulk", work)
        types = _ERRORS if by == "total" else {"site_uuid": "object", **_ERRORS}
        import pandas as pd

        return pd.DataFrame(rows, columns=list(types)).astype(types)

    def delete(
        self,
        *,
        forecast_uuid: UUID | str | None = None,
        site_uuids: Iterable[UUID | str] | None = None,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        created_after: datetime | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete one forecast, or all forecasts that match the given filters, all or none.

        A forecast is deleted with all its values. Here the window selects the forecasts with
        `start_utc <= timestamp_utc < end_utc`, wherever their values lie. Forecasts that other transactions commit in
        the meantime may remain. Models are kept.

        Args:
            forecast_uuid: the forecast. The other filters cannot be given with it.
            site_uuids: delete only forecasts of these sites. None selects all sites, an empty list none.
            start_utc: the first timestamp of the forecasts (inclusive). None means no limit.
            end_utc: the end of the timestamps (exclusive). None means no limit.
            model_name: delete only forecasts of this model.
            model_version: delete only forecasts of this version of the model. An empty string selects the model that
                was stored without a version, None all versions.
            created_after: delete only forecasts created at this time or later. A replaced forecast was created when it
                was replaced.
            dry_run: only count the forecasts.

        Returns:
            the number of forecasts deleted, or counted.

        Raises:
            InvalidInput: no filter is given, or `forecast_uuid` with another one, or `model_version` without
                `model_name`; or an argument is invalid.
            NotFound: the forecast `forecast_uuid` does not exist.
        """
        filters = (site_uuids, start_utc, end_utc, model_name, model_version, created_after)
        if forecast_uuid is not None:
            if any(each is not None for each in filters):
                raise InvalidInput("must be the only filter: give either it or the others", column="forecast_uuid")
            return self._delete_one(as_uuid(forecast_uuid, "forecast_uuid"), dry_run=dry_run)
        if all(each is None for each in filters):
            raise InvalidInput(
                "delete requires a filter: forecast_uuid, site_uuids, start_utc, end_utc, model_name or created_after"
            )
        if model_version is not None and model_name is None:
            raise InvalidInput("requires a model_name", column="model_version")
        parameters: dict[str, Any] = {
            **window(start_utc, end_utc),
            "created_after": "-infinity" if created_after is None else as_utc(created_after, "created_after"),
            "model_name": as_filter(model_name, "model_name"),
            "model_versions": [] if model_version is None else [as_text(model_version, "model_version")],
        }
        names = ("forecasts/delete_all_sites", "forecasts/delete_count_all_sites")
        if site_uuids is not None:
            names = ("forecasts/delete", "forecasts/delete_count")
            parameters["site_uuids"] = as_uuids(site_uuids, "site_uuids")
        delete, count = names
        if dry_run:
            return self._session.run("bulk", lambda conn: int(conn.values(count, **parameters)[0]))
        return self._session.run("bulk", lambda conn: conn.run(delete, **parameters))

    def _delete_one(self, uuid: UUID, *, dry_run: bool) -> int:
        if dry_run:
            self.get(uuid)
        elif not self._session.run("write", lambda conn: conn.run("forecasts/delete_by_uuid", forecast_uuid=uuid)):
            raise _not_found({"forecast_uuid": uuid})
        return 1

    def _values_by_site(
        self, name: str, site_uuids: Iterable[UUID | str] | None, filters: dict[str, Any]
    ) -> dict[UUID, list[ForecastValue]]:
        requested = _as_sites(site_uuids)

        def work(conn: QueryConnection) -> dict[UUID, list[ForecastValue]]:
            sites = _sites(conn, requested)
            return _values(conn, name, sites, filters, probabilistic=True).by_site(sites)

        return self._session.run("bulk", work)

    def _frame(self, name: str, site_uuids: Iterable[UUID | str] | None, filters: dict[str, Any]) -> pd.DataFrame:
        requested = _as_sites(site_uuids)

        def work(conn: QueryConnection) -> pd.DataFrame:
            return _values(conn, name, _sites(conn, requested), filters, probabilistic=False).frame()

        return self._session.run("bulk", work)

    def _sums(
        self, name: str, site_uuids: Iterable[UUID | str] | None, by: SumBy, filters: dict[str, Any]
    ) -> list[ForecastValueSum]:
        if by not in get_args(SumBy):
            raise InvalidInput(f"must be 'total', 'dno' or 'gsp', got {by!r}", column="by")
        requested = _as_sites(site_uuids)

        def work(conn: QueryConnection) -> list[ForecastValueSum]:
            return conn.rows(ForecastValueSum, name, by=by, site_uuids=_sites(conn, requested), **filters)

        return self._session.run("bulk", work)


_ERRORS = {
    "horizon_minutes": "int64",
    "count": "int64",
    "mean_error_kw": "float64",
    "mae_kw": "float64",
    "rmse_kw": "float64",
    "mean_error_share": "float64",
    "mae_share": "float64",
    "rmse_share": "float64",
}


def _as_sites(site_uuids: Iterable[UUID | str] | None) -> list[UUID] | None:
    return None if site_uuids is None else as_uuids(site_uuids, "site_uuids")


def _sites(conn: QueryConnection, requested: list[UUID] | None) -> list[UUID]:
    return all_sites(conn) if requested is None else requested


def _filters(
    start_utc: datetime | None,
    end_utc: datetime | None,
    created_after: datetime | None,
    created_before: datetime | None,
    model_name: str | None,
    model_version: str | None,
    of_site_model: bool,  # noqa: FBT001
) -> dict[str, Any]:
    if model_version is not None and model_name is None:
        raise InvalidInput("requires a model_name", column="model_version")
    if not isinstance(of_site_model, bool):
        raise InvalidInput(f"must be True or False, got {of_site_model!r}", column="of_site_model")
    if of_site_model and model_name is not None:
        raise InvalidInput("must not be given together with a model_name", column="of_site_model")
    return {
        **window(start_utc, end_utc),
        "created_after": "-infinity" if created_after is None else as_utc(created_after, "created_after"),
        "created_before": "infinity" if created_before is None else as_utc(created_before, "created_before"),
        "model_name": as_filter(model_name, "model_name"),
        "model_versions": [] if model_version is None else [as_text(model_version, "model_version")],
        "of_site_model": of_site_model,
    }


def _horizons(min_horizon_minutes: int | None, max_horizon_minutes: int | None) -> dict[str, Any]:
    given = {"min_horizon_minutes": min_horizon_minutes, "max_horizon_minutes": max_horizon_minutes}
    return {name: "" if value is None else str(as_integer(value, name)) for name, value in given.items()}


def _day_ahead(hour: int, minute: int, timezone: str | ZoneInfo | fixed_offset) -> dict[str, Any]:
    if not 0 <= as_integer(hour, "hour") <= _HOURS:
        raise InvalidInput(f"must be from 0 to {_HOURS}, got {hour}", column="hour")
    if not 0 <= as_integer(minute, "minute") < _MINUTES:
        raise InvalidInput(f"must be from 0 to {_MINUTES - 1}, got {minute}", column="minute")
    if hour == _HOURS and minute:
        raise InvalidInput(f"must be 0 if the hour is {_HOURS}, the end of the day, got {minute}", column="minute")
    return {"hour": hour, "minute": minute, "timezone": as_time_zone(timezone, "timezone")}


def _created_hour(created_hour: int | None, timezone: str | ZoneInfo | fixed_offset | None) -> dict[str, str]:
    if created_hour is None and timezone is None:
        return {"created_hour": "", "timezone": ""}
    if created_hour is None:
        raise InvalidInput("is the time zone of created_hour, which is not given", column="timezone")
    if not 0 <= as_integer(created_hour, "created_hour") < _HOURS:
        raise InvalidInput(f"must be from 0 to {_HOURS - 1}, got {created_hour}", column="created_hour")
    if timezone is None:
        raise InvalidInput("requires a timezone, such as 'Europe/London' or 'UTC'", column="created_hour")
    return {"created_hour": str(int(created_hour)), "timezone": as_time_zone(timezone, "timezone")}


@contextmanager
def _unknown_time_zone(zone: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InvalidParameterValue as error:
        raise InvalidInput(f"the server does not know the time zone {zone!r}", column="timezone") from error


def _values(
    conn: QueryConnection, name: str, sites: list[UUID], filters: dict[str, Any], *, probabilistic: bool
) -> Values:
    from .engine.forecast_pieces import read_values

    return read_values(conn.copy_out(name, site_uuids=sites, probabilistic=probabilistic, **filters))


def _which(forecast_uuid: UUID | str, timestamp_utc: datetime | None) -> dict[str, Any]:
    uuid = as_uuid(forecast_uuid, "forecast_uuid")
    if timestamp_utc is None:
        return {"forecast_uuid": uuid}
    return {"forecast_uuid": uuid, "timestamp_utc": as_utc(timestamp_utc, "timestamp_utc")}


def _not_found(which: dict[str, Any]) -> NotFound:
    at = f" with the timestamp {which['timestamp_utc']}" if "timestamp_utc" in which else ""
    return NotFound(f"no forecast {which['forecast_uuid']}{at}")


def _months(new: list[NewForecast]) -> list[date]:
    return sorted({forecast.month for forecast in new})


def _write_or_merge(conn: QueryConnection, new: list[NewForecast], on_conflict: ForecastOnConflict) -> InsertResult:
    """Write forecasts in a transaction or savepoint. Once more if another writer was there after the probe."""

    def attempt(*, straight: bool) -> InsertResult:
        with conn.transaction():
            return _write(conn, new, on_conflict, straight=straight)

    try:
        return attempt(straight=True)
    except Duplicate:
        if on_conflict == "error":
            raise
        return attempt(straight=False)


def _write(
    conn: QueryConnection, new: list[NewForecast], on_conflict: ForecastOnConflict, *, straight: bool
) -> InsertResult:
    """Copy forecasts straight into the table if none of them is stored, otherwise into a staging table first."""
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
        now = microseconds_of(probed["now_utc"])
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
    skipped = len(new) - inserted - updated
    differing = 0
    if skipped and on_conflict == "ignore":  # those that `replace` skips are equal
        differing = conn.values("forecasts/insert_differing", start_utc=first, end_utc=last)[0]
    conn.run("forecasts/insert_unstage")
    return InsertResult(inserted=inserted, updated=updated, skipped=skipped, differing=differing)


def _model_uuids(conn: QueryConnection, new: list[NewForecast]) -> dict[tuple[str, str] | None, bytes | None]:
    """Get or create the models, in sorted order, so that concurrent writers do not deadlock."""
    uuids: dict[tuple[str, str] | None, bytes | None] = {None: None}
    for name, version in sorted({forecast.model for forecast in new if forecast.model is not None}):
        model = conn.get_or_create(MlModel, "ml_models/get_or_create_new", name=name, version=version, description="")
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
