"""The forecasts' errors by horizon, against pandas from frames that are in memory already."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pandas as pd
import psycopg
from bench import Bench, Figure, Sides, Table, alternate, ask, run, seconds, spread
from data import SLOTS, fill_forecasts, fill_ticks, make_months, sites
from latest import NEWEST
from numpy.testing import assert_allclose

from pvsite_sql import Repository
from pvsite_sql.engine.binary_copy import decode
from pvsite_sql.engine.columns import frame_of

END = NEWEST + timedelta(hours=1)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
SLOT = pd.Timedelta(minutes=15)
CAPACITY_KW = 4.0
UNNESTED = """
    SELECT v.slot, count(*), avg(v.power_kw::double precision)
    FROM forecasts AS f CROSS JOIN LATERAL unnest(f.power_kw) WITH ORDINALITY AS v (power_kw, slot)
    WHERE f.site_uuid = ANY(%s)
    GROUP BY v.slot
"""
SENT = """COPY (
    SELECT f.site_uuid, f.start_utc, f.timestamp_utc, f.resolution_minutes, f.power_kw FROM forecasts AS f
    WHERE f.site_uuid = ANY(%(sites)s) AND f.end_utc > %(start)s AND f.start_utc < %(end)s
) TO STDOUT (FORMAT binary)"""
SENT_READINGS = """COPY (
    SELECT g.site_uuid, g.start_utc, g.end_utc, g.generation_power_kw FROM generation AS g
    WHERE g.site_uuid = ANY(%(sites)s) AND g.start_utc >= %(start)s - interval '1 day' AND g.start_utc < %(end)s
) TO STDOUT (FORMAT binary)"""


def errors(bench: Bench) -> None:
    """A week of all hourly forecasts that reach into it, of sites whose readings came tick by tick, with gaps."""
    with bench.database("bench_errors") as dsn:
        start = END - (WEEK if not bench.quick else DAY)
        many, of = bench.size(400, 50), bench.size(50, 10)
        hours = (END - start) // timedelta(hours=1) + SLOTS // 4 - 1
        make_months(dsn, "forecasts", datetime(2024, 11, 1), 3)  # noqa: DTZ001  a name of a month
        make_months(dsn, "generation", datetime(2024, 11, 1), 3)  # noqa: DTZ001
        fill_forecasts(dsn, of, NEWEST, hours)
        slots = (END - start + 2 * DAY) // timedelta(minutes=5)
        fill_ticks(dsn, many, start - DAY, slots, by_time=True, kept="(r.i * 31 + r.n) % 23 > 3")
        run(dsn, "VACUUM ANALYZE forecasts", "VACUUM ANALYZE generation", "CHECKPOINT")
        some = sites(dsn, of)
        with Repository(dsn) as repo:
            values, readings = _values(dsn), repo.generation.read_frame(some)
            readings["site_uuid"] = pd.Categorical(readings["site_uuid"], values["site_uuid"].cat.categories)

            values_of_objects = values.astype({"site_uuid": object})
            readings_of_objects = readings.astype({"site_uuid": object})

            def ours() -> pd.DataFrame:
                return repo.forecasts.error_by_horizon(some, start_utc=start, end_utc=END)

            def with_pandas() -> pd.DataFrame:
                return _with_pandas(values, readings, start, END)

            compared, expected = ours(), with_pandas()
            assert list(compared) == list(expected), "not the same columns"
            assert_allclose(compared.to_numpy("f8"), expected.to_numpy("f8"), rtol=1e-9, err_msg="not the same errors")
            calls = {
                "error_by_horizon": ours,
                "pandas, sites as a category": with_pandas,
                "pandas, sites as UUID objects": lambda: _with_pandas(
                    values_of_objects, readings_of_objects, start, END
                ),
                "the server, to average the values of each slot": lambda: ask(dsn, UNNESTED, some),
                "COPY, drained, of the arrays and the readings": lambda: _drain(dsn, some, start),
            }
            found = alternate(bench.size(3, 2), {name: lambda call=call: seconds(call) for name, call in calls.items()})
        work = f"forecasts.error_by_horizon, {of} sites, {len(values):,} values"
        bench.compare(
            work,
            "time against pandas from frames in memory",
            1.0,
            Sides(found["error_by_horizon"], found["pandas, sites as a category"], "s", "{:.2f}"),
            at_most=True,
        )
        bench.table(
            Table(
                f"The errors by horizon of {of} sites, {len(values):,} values",
                "The mark is pandas with the sites as a category; `read_frame` returns UUID objects. pandas has in "
                "memory what the server reads first. The last two rows are the least that has to be done: by SQL, and "
                "by a client that computes for itself.",
                ["what", "seconds"],
                [[name, spread(took, "{:.2f}")] for name, took in found.items()],
            )
        )
        bench.add(
            Figure(
                work,
                f"MB of temporary files at work_mem {ask(dsn, 'SHOW work_mem')[0][0]}",
                0,
                [_temporary_mb(dsn, some, start)],
                at_most=True,
            )
        )


def _values(dsn: str) -> pd.DataFrame:
    """All values of all forecasts, as a program that works with pandas would keep them: sites as a category."""
    types = {"site_uuid": "uuid", "start_utc": "timestamptz", "horizon_minutes": "integer", "power_kw": "real"}
    question = "SELECT site_uuid, start_utc, horizon_minutes, forecast_power_kw FROM forecast_values"
    with (
        psycopg.connect(dsn) as connection,
        connection.cursor().copy(f"COPY ({question}) TO STDOUT (FORMAT binary)") as copy,
    ):
        frame = frame_of(types, [decode(types, copy)])
    return frame.astype({"site_uuid": "category"})


def _drain(dsn: str, some: list[UUID], start: datetime) -> None:
    """Send what the errors are computed from to a client that does nothing with it."""
    with psycopg.connect(dsn) as connection:
        for statement in (SENT, SENT_READINGS):
            text = psycopg.ClientCursor(connection).mogrify(statement, {"sites": some, "start": start, "end": END})
            with connection.cursor().copy(text) as copy:
                for _ in copy:
                    pass


def _with_pandas(values: pd.DataFrame, readings: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """Readings lie wholly in one slot here, so a mean is enough; three fill a slot, and two are half of it."""
    slot = readings["start_utc"].dt.floor(SLOT)
    slots = readings.groupby(["site_uuid", slot], observed=True)["generation_power_kw"].agg(["mean", "size"])
    measured = slots.loc[slots["size"] >= 2, "mean"].reset_index()
    asked = values[(values["start_utc"] >= start) & (values["start_utc"] < end)]
    both = asked.merge(measured, on=["site_uuid", "start_utc"])  # quicker than reindex and merge_asof
    kw = both["power_kw"].astype("f8") - both["mean"]
    found = pd.DataFrame({"kw": kw, "absolute": kw.abs(), "square": kw**2})
    grouped = found.groupby(both["horizon_minutes"])
    means = grouped.mean()
    errors = pd.DataFrame(
        {
            "count": grouped.size(),
            "mean_error_kw": means["kw"],
            "mae_kw": means["absolute"],
            "rmse_kw": means["square"] ** 0.5,
        }
    )
    for name in ("mean_error", "mae", "rmse"):
        errors[f"{name}_share"] = errors[f"{name}_kw"] / CAPACITY_KW
    return errors.reset_index()


def _temporary_mb(dsn: str, some: list[UUID], start: datetime) -> float:
    """What one call writes into temporary files; the server counts it by the end of the connection."""
    asked = "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()"
    before = ask(dsn, asked)[0][0]
    with Repository(dsn, min_size=1, max_size=1) as repo:
        repo.forecasts.error_by_horizon(some, start_utc=start, end_utc=END)
    return (ask(dsn, asked)[0][0] - before) / 1e6
