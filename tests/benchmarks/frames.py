"""Frames of any kind: what comes and goes by Arrow, against the same as pandas frames."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pandas as pd
import pyarrow as pa
from bench import Bench, Sides, Table, alternate, ask, run, seconds, spread, warm_up
from data import SLOTS, fill_forecasts, forecasts, make_months, sites, ticks, with_strings

from pvsite_sql import Repository

JUNE = datetime(2024, 6, 1)  # noqa: DTZ001  a name of a month
MARK = 0.9
BATCH_ROWS = 50_000


def frames(bench: Bench) -> None:
    """A million readings and a forecast of each of 1,000 sites, in and out."""
    with bench.database("bench_frames") as dsn, Repository(dsn) as repo:
        make_months(dsn, "generation", JUNE, 2)
        make_months(dsn, "forecasts", JUNE, 2)
        of = sites(dsn, bench.size(1000, 100))
        _readings_in(bench, dsn, repo, of)
        _readings_out(bench, dsn, repo, of)
        _forecasts_in(bench, dsn, repo, of)
    with bench.database("bench_frames_latest") as dsn, Repository(dsn) as repo:
        of = sites(dsn, 200)
        fill_forecasts(dsn, len(of), JUNE, bench.size(96, 12))
        run(dsn, "VACUUM ANALYZE forecasts", "CHECKPOINT")
        _latest(bench, repo, of)


def kinds(frame: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """The same rows as other libraries have them; a stream is made anew for each call."""
    table = pa.Table.from_pandas(with_strings(frame), preserve_index=False)
    made: dict[str, Callable[[], Any]] = {
        "pyarrow Table": lambda: table,
        "RecordBatchReader": lambda: table.to_reader(max_chunksize=BATCH_ROWS),
    }
    if find_spec("polars"):
        import polars as pl  # noqa: PLC0415  where it is installed

        polars_frame = pl.from_arrow(table)
        made["polars DataFrame"] = lambda: polars_frame
    return made


def _readings_in(bench: Bench, dsn: str, repo: Repository, of: list[UUID]) -> None:
    frame = ticks(of, bench.size(1000, 100))

    def rate(give: Callable[[], Any]) -> Callable[[], float]:
        def inserted() -> float:
            given = give()
            took = seconds(lambda: repo.generation.insert(given))
            assert ask(dsn, "SELECT count(*) FROM generation") == [(len(frame),)]
            return len(frame) / took

        return inserted

    strings = with_strings(frame)
    calls = {"pandas, UUID objects": lambda: frame, "pandas, strings": lambda: strings, **kinds(frame)}
    found = alternate(
        bench.size(5, 2),
        {name: rate(give) for name, give in calls.items()},
        lambda: run(dsn, "TRUNCATE generation", "CHECKPOINT"),
    )
    for name in kinds(frame):
        sides = Sides(found[name], found["pandas, UUID objects"], "rows/s")
        bench.compare(f"generation.insert, {len(frame):,} rows, {name}", "rows/s against pandas frames", MARK, sides)
    some = frame.iloc[: bench.size(100_000, 10_000)]
    run(dsn, "TRUNCATE generation")
    repo.generation.insert(some)
    models = repo.generation.read()
    run(dsn, "TRUNCATE generation", "CHECKPOINT")
    found["Generation models"] = [len(models) / seconds(lambda: repo.generation.insert(models))]
    bench.table(
        Table(
            f"Inserting {len(frame):,} readings from frames of any kind",
            f"rows/s. The reader has batches of {BATCH_ROWS:,} rows. Of the models there are {len(models):,}, once.",
            ["given", "rows/s"],
            [[name, spread(rates)] for name, rates in found.items()],
        )
    )


def _readings_out(bench: Bench, dsn: str, repo: Repository, of: list[UUID]) -> None:
    slots = bench.size(500, 50)
    run(dsn, "TRUNCATE generation")
    repo.generation.insert(ticks(of, slots))
    run(dsn, "VACUUM ANALYZE generation", "CHECKPOINT")
    rows = len(of) * slots

    def rate(call: Callable[[], Any]) -> Callable[[], float]:
        return lambda: rows / seconds(call)

    assert repo.generation.read_arrow().read_all().num_rows == len(repo.generation.read_frame()) == rows
    found = alternate(
        bench.size(7, 2),
        {
            "arrow": rate(lambda: repo.generation.read_arrow().read_all()),
            "frame": rate(repo.generation.read_frame),
            "frames": rate(lambda: list(repo.generation.read_frames())),
        },
    )
    for name, method in (("frame", "read_frame"), ("frames", "read_frames")):
        sides = Sides(found["arrow"], found[name], "rows/s")
        bench.compare(f"generation.read_arrow, {rows:,} rows", f"rows/s against {method}", MARK, sides)


def _forecasts_in(bench: Bench, dsn: str, repo: Repository, of: list[UUID]) -> None:
    hours = iter(range(1000))

    def rate(convert: Callable[[pd.DataFrame], Any]) -> Callable[[], float]:
        def inserted() -> float:
            frame = forecasts(of, JUNE + timedelta(hours=next(hours)))
            given = convert(frame)
            return len(frame) / seconds(lambda: repo.forecasts.insert(given))

        return inserted

    calls = {name: rate(lambda frame, name=name: kinds(frame)[name]()) for name in kinds(forecasts(of[:1], JUNE))}
    warm_up(lambda: repo.forecasts.insert(forecasts(of[:1], JUNE - timedelta(hours=1))))
    found = alternate(bench.size(5, 2), {"pandas": rate(lambda f: f), **calls}, lambda: run(dsn, "CHECKPOINT"))
    for name in calls:
        sides = Sides(found[name], found["pandas"], "values/s")
        work = f"forecasts.insert, {len(of):,} forecasts x {SLOTS} values, {name}"
        bench.compare(work, "values/s against pandas frames", MARK, sides)


def _latest(bench: Bench, repo: Repository, of: list[UUID]) -> None:
    asked: dict[str, Any] = {"start_utc": JUNE}
    calls: dict[str, Callable[[], float]] = {
        "arrow": lambda: seconds(lambda: repo.forecasts.latest_arrow(of, **asked)),
        "frame": lambda: seconds(lambda: repo.forecasts.latest_frame(of, **asked)),
    }
    rows = len(repo.forecasts.latest_frame(of, **asked))
    assert repo.forecasts.latest_arrow(of, **asked).num_rows == rows > 0
    warm_up(*calls.values())
    found = alternate(bench.size(9, 2), calls)
    sides = Sides(found["arrow"], found["frame"], "s", "{:.4f}")
    bench.compare(
        f"forecasts.latest_arrow, {len(of)} sites, {rows:,} values",
        "time against latest_frame",
        1.1,
        sides,
        at_most=True,
    )
