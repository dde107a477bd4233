"""Many threads on one repository: ticks alone, and writers beside readers."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from bench import Bench, Table, ask, percentile, run
from data import MINUTES, binary, fill_forecasts, make_months, sites, ticks
from latest import FORECASTS, NEWEST
from psycopg import connect

from pvsite_sql import Repository
from pvsite_sql.engine.queries import query

JUNE = datetime(2024, 6, 1, tzinfo=UTC)
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def concurrency(bench: Bench) -> None:
    with bench.database("bench_threads") as dsn:
        make_months(dsn, "generation", JUNE, 2)
        of = sites(dsn, bench.size(4000, 1000))
        _store(dsn, of, bench.size(100, 10))
        slots = count(100)
        rows = []
        for threads, pool in ((1, None), (4, None), (16, None), (16, 16)):
            frames = iter([ticks(of, 1, next(slots)) for _ in range(bench.size(160, 32))])
            run(dsn, "CHECKPOINT")
            rows.append(_ticks(dsn, threads, pool, list(frames), len(of)))
        bench.table(
            Table(
                "Threads on one repository, each sending ticks",
                f"A tick is a frame of {len(of):,} rows, one reading a site; every thread writes all sites. A "
                "pool of 4 is psycopg_pool's default. A wait is the time that a call stood in the pool's queue.",
                [
                    "threads",
                    "pool",
                    "rows/s",
                    "p50, ms",
                    "p99, ms",
                    "deadlocks",
                    "queued calls",
                    "mean wait, ms",
                    "errors",
                ],
                rows,
            )
        )


def _store(dsn: str, of: list[UUID], slots: int) -> None:
    with connect(dsn) as connection, connection.cursor().copy(query("generation/insert_copy").statement) as copy:
        copy.write(binary(ticks(of, slots)))
    run(dsn, "VACUUM ANALYZE generation")


def _ticks(dsn: str, threads: int, pool: int | None, frames: list, rows: int) -> list[str]:
    ((deadlocks,),) = ask(dsn, DEADLOCKS)
    options = {} if pool is None else {"max_size": pool}
    with Repository(dsn, **options) as repo:
        repo._source._pool.wait()
        queue, lock = iter(frames), threading.Lock()

        def send() -> bool:
            with lock:
                frame = next(queue, None)
            if frame is not None:
                repo.generation.insert(frame)
            return frame is not None

        begin = time.perf_counter()
        took, errors = _work({"tick": [send] * threads})
        total = time.perf_counter() - begin
        stats = repo._source._pool.get_stats()
    since = frames[0]["start_utc"].iloc[0].to_pydatetime()
    ((stored,),) = ask(dsn, "SELECT count(*) FROM generation WHERE start_utc >= %s", since)
    assert errors or stored == len(frames) * rows
    queued = stats.get("requests_queued", 0)
    return [
        str(threads),
        "4" if pool is None else str(pool),
        f"{len(frames) * rows / total:,.0f}",
        f"{percentile(took['tick'], 50):.1f}",
        f"{percentile(took['tick'], 99):.1f}",
        str(ask(dsn, DEADLOCKS)[0][0] - deadlocks),
        str(queued),
        f"{stats.get('requests_wait_ms', 0) / max(1, queued):.1f}",
        str(errors),
    ]


def _work(workers: dict[str, list[Callable[[], bool]]]) -> tuple[dict[str, list[float]], int]:
    """Each worker, in a thread of its own, is called until it says no: milliseconds of the calls, number of errors."""
    took: dict[str, list[float]] = defaultdict(list)
    errors: list[Exception] = []

    def loop(name: str, call: Callable[[], bool]) -> None:
        going = True
        while going:
            begin = time.perf_counter()
            try:
                going = call()
            except Exception as error:  # noqa: BLE001  counted, and told at the end
                errors.append(error)
                going = len(errors) < 10
            if going:
                took[name].append((time.perf_counter() - begin) * 1000)

    threads = [threading.Thread(target=loop, args=(name, call)) for name, calls in workers.items() for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors[:3]:
        print(f"  {type(error).__name__}: {error}")  # noqa: T201  a program of the command line
    return took, len(errors)


def mixed(bench: Bench) -> None:
    """Four writers and eight readers on one repository, with a pool of twelve, for a quarter of a minute."""
    with bench.database("bench_mixed") as dsn:
        of = sites(dsn, bench.size(4000, 500))
        make_months(dsn, "generation", JUNE, 2)
        _store(dsn, of, bench.size(288, 20))
        fill_forecasts(dsn, 200, NEWEST, FORECASTS)
        run(dsn, "VACUUM ANALYZE forecasts", "CHECKPOINT")
        some = sites(dsn, 200)
        slots, one = count(288), ticks(of, 1)
        lasts = bench.size(15, 2)
        with Repository(dsn, min_size=12, max_size=12) as repo:
            repo._source._pool.wait()
            past = time.perf_counter() + lasts

            def until_past(call: Callable[[], object]) -> Callable[[], bool]:
                def go() -> bool:
                    if time.perf_counter() > past:
                        return False
                    call()
                    return True

                return go

            calls: dict[str, tuple[int, Callable[[], object]]] = {
                f"generation.insert of {len(of):,} rows": (
                    4,
                    lambda: repo.generation.insert(one.assign(start_utc=JUNE + next(slots) * MINUTES)),
                ),
                "generation.latest of 200 sites": (3, lambda: repo.generation.latest(some)),
                "generation.read of a day of 20 sites": (
                    3,
                    lambda: repo.generation.read(some[:20], start_utc=JUNE, end_utc=JUNE + timedelta(days=1)),
                ),
                "forecasts.latest_values of 50 sites": (
                    2,
                    lambda: repo.forecasts.latest_values(some[:50], start_utc=NEWEST),
                ),
            }
            took, errors = _work({name: [until_past(call)] * number for name, (number, call) in calls.items()})
        ((deadlocks,),) = ask(dsn, DEADLOCKS)
        bench.table(
            Table(
                "Four writers and eight readers at once",
                f"For {lasts} s on one repository with a pool of 12, in one Python process. Errors: {errors}; "
                f"deadlocks: {deadlocks}.",
                ["call", "threads", "calls/s", "p50, ms", "p99, ms"],
                [
                    [
                        name,
                        str(number),
                        f"{len(took[name]) / lasts:.1f}",
                        f"{percentile(took[name], 50):.1f}",
                        f"{percentile(took[name], 99):.1f}",
                    ]
                    for name, (number, _) in calls.items()
                ],
            )
        )
