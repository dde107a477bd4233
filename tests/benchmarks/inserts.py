"""Writing: a million readings, a tick of one reading a site, forecasts; against the limit and against the peers."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pandas as pd
import psycopg
from bench import Bench, Figure, Sides, Table, alternate, ask, run, seconds, spread, warm_up
from data import SLOTS, binary, forecasts, make_months, save, sites, ticks, with_strings
from peers import COPYING, ask_peer, make_old_database

from pvsite_sql import PvsiteSqlError, Repository
from pvsite_sql.engine.queries import query

COPY = query("generation/insert_copy").statement
_REFUSALS = re.compile(r"check constraint|duplicate key|unknown site")
ON_DISK = "bytes on disk, indexes included"
JUNE = datetime(2024, 6, 1)  # noqa: DTZ001  a name of a month


def insert(bench: Bench) -> None:
    """A million new rows, from one frame."""
    with (
        bench.database("bench_insert") as dsn,
        bench.database("bench_insert_old", "template1") as old_dsn,
        Repository(dsn) as repo,
    ):
        make_months(dsn, "generation", JUNE, 2)
        make_old_database(bench, dsn, old_dsn)
        of, slots = sites(dsn, bench.size(1000, 100)), bench.size(1000, 100)
        frame = ticks(of, slots)
        strings = with_strings(frame)
        file = bench.folder / "ready.bin"
        file.write_bytes(binary(frame))

        def clear() -> None:
            run(dsn, "TRUNCATE generation", "CHECKPOINT")

        def ours(given: pd.DataFrame) -> float:
            took = seconds(lambda: repo.generation.insert(given))
            assert ask(dsn, "SELECT count(*) FROM generation") == [(len(given),)]
            return len(given) / took

        calls: dict[str, Callable[[], float]] = {
            "psql": lambda: len(frame) / _psql(bench, dsn, file),
            "objects": lambda: ours(frame),
            "strings": lambda: ours(strings),
        }
        found = alternate(bench.size(5, 2), calls, clear)
        for kind, cells in (("objects", "UUID objects"), ("strings", "strings")):
            work = f"generation.insert, {len(frame):,} rows, {cells}"
            bench.compare(work, "rows/s against psql \\copy", 1.3, Sides(found[kind], found["psql"], "rows/s"))
        row = "a generation row (one bulk insert)"
        bench.add(Figure(ON_DISK, row, 150, [bytes_a_row(dsn, len(frame))], at_most=True))
        _peers(bench, dsn, old_dsn, repo, frame, {"psql": found["psql"]}, clear)
        if bench.whole:
            _repeated(bench, dsn, repo, frame, clear)


def _psql(bench: Bench, dsn: str, file: Path) -> float:
    """Seconds of \\copy as psql itself tells them, without its start."""
    copy = COPY.strip().rstrip(";").replace("STDIN", f"'{file}'").replace("\n", " ")
    command = [
        bench.server.bin_dir / "psql",
        "-X",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        r"\timing on",
        "-c",
        rf"\{copy}",
        dsn,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(re.search(r"Time: ([\d.]+) ms", done.stdout)[1]) / 1000


def _peers(
    bench: Bench,
    dsn: str,
    old_dsn: str,
    repo: Repository,
    frame: pd.DataFrame,
    limit: dict[str, list[float]],
    clear: Callable[[], None],
) -> None:
    """The same rows by other means; the slow ones get fewer of them. Only 1.0.6 has a mark."""
    of = frame["site_uuid"].nunique()
    few = {"executemany": 50 * of, "insert_generation": 30 * of}
    names = (*COPYING, "insert_generation") if bench.whole else ("insert_generation",)
    rows = {name: min(few.get(name, len(frame)), len(frame)) for name in names}
    files = {name: save(frame.iloc[: rows[name]], bench.folder / f"{name}.npz") for name in names}

    def peer(name: str) -> float:
        old = name == "insert_generation"
        (answer,) = ask_peer(bench, name, old_dsn if old else dsn, files=[files[name]])
        if answer["error"]:
            raise RuntimeError(f"{name}: {answer['error']}")
        assert ask(old_dsn if old else dsn, "SELECT count(*) FROM generation") == [(rows[name],)]
        return rows[name] / answer["seconds"]

    def clear_both() -> None:
        run(old_dsn, "TRUNCATE generation")
        clear()

    calls: dict[str, Callable[[], float]] = {name: lambda name=name: peer(name) for name in names}
    calls["ours"] = lambda: len(frame) / seconds(lambda: repo.generation.insert(frame))
    found = limit | alternate(bench.size(3, 1), calls, clear_both)
    bench.compare(
        f"generation.insert, {len(frame):,} rows, UUID objects",
        "rows/s against 1.0.6's insert_generation_values",
        30,
        Sides(found["ours"], found["insert_generation"], "rows/s", note=f" (of {rows['insert_generation']:,} rows)"),
    )
    if not bench.whole:
        return
    clear_both()
    checks = {name: _peer_checks(bench, name, dsn, old_dsn) for name in names}
    checks |= {"ours": _our_checks(repo, dsn), "psql": _psql_checks(bench, dsn)}
    titles = {
        "psql": "psql \\copy, ready binary file",
        "ours": "generation.insert",
        "adbc": "ADBC adbc_ingest",
        "asyncpg": "asyncpg copy_records_to_table",
        "executemany": "psycopg executemany",
        "insert_generation": "1.0.6 insert_generation_values, own table",
    }
    bench.rates |= {titles.get(name, name): found[name] for name in ("ours", "psql", *names)}
    bench.table(
        Table(
            "Inserting generation: the peers",
            "From the same frame (psql: from a file that is ready), into the same table with its key, CHECKs and site "
            "trigger. The last three columns were found out by trying: what becomes of a NaN, of a new row beside one "
            "that is stored already, of an unknown site. InvalidInput comes before anything is sent, the other "
            "refusals are the table's.",
            ["peer", "rows", "rows/s", "a NaN", "a new row beside a duplicate", "an unknown site"],
            [
                [titles.get(name, name), f"{rows.get(name, len(frame)):,}", spread(found[name]), *checks[name]]
                for name in ("psql", "ours", *names)
            ],
        )
    )


def _cases(dsn: str, minute: int) -> list[pd.DataFrame]:
    """A NaN; two rows of which the first is stored; an unknown site."""
    month = JUNE + timedelta(minutes=minute)
    one, *_ = sites(dsn, 1)
    return [
        ticks([one], 1, first_slot=10, month=month).assign(power_kw=float("nan")),
        ticks([one], 2, first_slot=20, month=month),
        ticks([uuid4()], 1, first_slot=30, month=month),
    ]


def _outcome(error: str | None, stored: int) -> str:
    if error is None:
        return "stored" if stored else "skipped"
    name = error.partition(":")[0]
    inner = re.search(r"\(psycopg2\.errors\.(\w+)\)", error)  # what SQLAlchemy wraps
    return f"{'partly stored' if stored else 'refused'}: {inner[1] if inner else name}"


def _tried(
    dsn: str, cases: list[pd.DataFrame], attempts: Callable[[list[pd.DataFrame]], list[str | None]]
) -> list[str]:
    """What becomes of the bad rows: the first row of the second case is stored before."""
    errors = attempts([cases[0], cases[1].head(1), *cases[1:]])
    if errors[1]:
        raise RuntimeError(errors[1])
    outcomes = []
    for case, error, before in zip(cases, [errors[0], *errors[2:]], (0, 1, 0), strict=True):
        site, first, last = case["site_uuid"].iloc[0], case["start_utc"].min(), case["start_utc"].max()
        # 1.0.6's times have no zone: the sessions' is UTC
        asked = "SELECT count(*) FROM generation WHERE site_uuid = %s AND start_utc BETWEEN %s AND %s"
        ((stored,),) = ask(dsn, asked, site, first.to_pydatetime(), last.to_pydatetime())
        outcomes.append(_outcome(error, stored - before))
    return outcomes


def _peer_checks(bench: Bench, name: str, dsn: str, old_dsn: str) -> list[str]:
    at = old_dsn if name == "insert_generation" else dsn

    def attempts(frames: list[pd.DataFrame]) -> list[str | None]:
        files = [save(frame, bench.folder / f"case{number}.npz") for number, frame in enumerate(frames)]
        return [answer["error"] for answer in ask_peer(bench, name, at, files=files)]

    return _tried(at, _cases(dsn, minute=[*COPYING, "insert_generation"].index(name) * 600), attempts)


def _our_checks(repo: Repository, dsn: str) -> list[str]:
    def attempt(frame: pd.DataFrame) -> str | None:
        try:
            repo.generation.insert(frame)
        except PvsiteSqlError as error:
            return type(error).__name__
        return None

    return _tried(dsn, _cases(dsn, minute=6000), lambda frames: [attempt(frame) for frame in frames])


def _psql_checks(bench: Bench, dsn: str) -> list[str]:
    def attempt(frame: pd.DataFrame) -> str | None:
        nan = frame["power_kw"].isna().any()
        rows = binary(frame.assign(power_kw=1.0) if nan else frame)
        file = bench.folder / "case.bin"
        file.write_bytes(rows[:-10] + b"\x7f\xf8" + bytes(6) + rows[-2:] if nan else rows)
        try:
            _psql(bench, dsn, file)
        except subprocess.CalledProcessError as error:
            return _REFUSALS.search(error.stderr)[0]
        return None

    return _tried(dsn, _cases(dsn, minute=8000), lambda frames: [attempt(frame) for frame in frames])


def _repeated(bench: Bench, dsn: str, repo: Repository, frame: pd.DataFrame, clear: Callable[[], None]) -> None:
    """What it costs where rows are stored already."""
    higher = frame.assign(power_kw=frame["power_kw"] + 1)
    half = frame.iloc[: len(frame) // 2]
    rows = []
    for title, stored, given, how in (
        ("half of the rows are stored, ignore", half, frame, "ignore"),
        ("all rows are stored, ignore", frame, frame, "ignore"),
        ("all rows are stored and differ, update", frame, higher, "update"),
    ):
        clear()
        repo.generation.insert(stored)
        took = seconds(lambda given=given, how=how: repo.generation.insert(given, on_conflict=how))
        rows.append([title, f"{len(given) / took:,.0f}"])
    bench.table(Table("Inserting readings that are stored already", "Once each.", ["case", "rows/s given"], rows))


def bytes_a_row(dsn: str, rows: int, table: str = "generation") -> float:
    asked = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(%s::regclass) WHERE isleaf"
    ((size,),) = ask(dsn, asked, table)
    return float(size) / rows


def tick(bench: Bench) -> None:
    """One reading of each of 4,000 sites, as a live ingestor sends it; some days are stored already."""
    with (
        bench.database("bench_tick") as dsn,
        Repository(dsn) as repo,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        of = sites(dsn, bench.size(4000, 1000))
        before, pairs, blocks = bench.size(288, 20), bench.size(20, 5), bench.size(6, 2)
        make_months(dsn, "generation", JUNE, 2)

        def bare(rows: bytes) -> None:
            with connection.cursor().copy(COPY) as copy:
                copy.write(rows)

        # in the order of time, a tick after the other, so that the index becomes what it is in life
        bare(binary(ticks(of, before)))
        run(dsn, "VACUUM ANALYZE generation", "CHECKPOINT")
        next_slot = iter(range(before, 8640))
        medians: dict[str, list[float]] = {"ours": [], "bare": []}
        warm_up(lambda: repo.generation.insert(ticks(of, 1, next(next_slot))))
        for _ in range(blocks):
            pairs_of = [(ticks(of, 1, next(next_slot)), binary(ticks(of, 1, next(next_slot)))) for _ in range(pairs)]
            queue = iter(pairs_of)
            took: dict[str, list[float]] = {"ours": [], "bare": []}
            for number, (frame, rows) in enumerate(queue):
                steps = [
                    ("ours", lambda frame=frame: repo.generation.insert(frame)),
                    ("bare", lambda rows=rows: bare(rows)),
                ]
                for name, step in steps if number % 2 == 0 else reversed(steps):
                    took[name].append(seconds(step) * 1000)
            for name, values in took.items():
                medians[name].append(statistics.median(values))
        bench.compare(
            f"generation.insert of {len(of):,} rows, one reading a site",
            "median latency against a bare COPY",
            1.3,
            Sides(medians["ours"], medians["bare"], "ms", "{:.1f}"),
            at_most=True,
        )
        rows_stored = len(of) * (before + 24 + 2 * pairs * blocks)
        row = "a generation row (arriving tick by tick)"
        bench.add(Figure(ON_DISK, row, 150, [bytes_a_row(dsn, rows_stored)], at_most=True))


def forecast(bench: Bench) -> None:
    """A forecast of each of 1,000 sites."""
    with (
        bench.database("bench_forecast") as dsn,
        bench.database("bench_forecast_old", "template1") as old_dsn,
        Repository(dsn) as repo,
    ):
        make_old_database(bench, dsn, old_dsn)
        make_months(dsn, "forecasts", JUNE, 2)
        of = sites(dsn, bench.size(1000, 100))
        few = of[: bench.size(100, 10)]
        frames = iter([forecasts(of, JUNE + timedelta(hours=hour)) for hour in range(bench.size(5, 2))])
        times = iter(range(1000))

        def ours() -> float:
            frame = next(frames)
            return len(frame) / seconds(lambda: repo.forecasts.insert(frame))

        def old() -> float:
            timestamp = (JUNE + timedelta(hours=next(times))).isoformat()
            order = {"sites": [str(site) for site in few], "timestamp": timestamp, "slots": SLOTS}
            return len(few) * SLOTS / ask_peer(bench, "insert_forecasts", old_dsn, **order)["seconds"]

        warm_up(lambda: repo.forecasts.insert(forecasts(of[:1], JUNE - timedelta(hours=1))))
        found = alternate(bench.size(5, 2), {"ours": ours, "old": old}, lambda: run(dsn, "CHECKPOINT"))
        bench.compare(
            f"forecasts.insert, {len(of):,} forecasts x {SLOTS} values",
            "values/s against 1.0.6's ORM",
            200,
            Sides(found["ours"], found["old"], "values/s", note=f" (of {len(few)} forecasts)"),
        )
