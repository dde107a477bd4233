"""Generation as its table grows: what is written and read at 1, 10 and 50 million rows in 13 month partitions."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from bench import Bench, Table, ask, run, seconds, spread, warm_up
from data import MINUTES, fill_generation, make_months, sites, ticks

from pvsite_sql import Repository

MONTHS = [datetime(2023 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(5, 18)]
# five-minute slots of each month that are stored, of each of 4,000 sites: 1, 10 and 50 million rows
STORED = (19, 192, 961)
FIRST_MEASURED = 1000
STORED_ROWS = """
    SELECT sum(reltuples)::bigint FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE i.inhparent = 'generation'::regclass
"""


def growth(bench: Bench) -> None:
    with bench.database("bench_growth") as dsn, Repository(dsn) as repo:
        make_months(dsn, "generation", MONTHS[0], len(MONTHS))
        all_sites = sites(dsn, bench.size(4000, 200))
        if bench.quick:
            run(dsn, "DELETE FROM sites WHERE ml_id > 200")
        rows, past_slot, next_slot = [], 0, FIRST_MEASURED
        for slots in STORED:
            bench.timed(
                f"filling up to {len(all_sites) * slots * len(MONTHS):,} rows",
                lambda first=past_slot, past=slots: fill_generation(dsn, MONTHS, first, past),
            )
            past_slot = slots
            bench.timed("VACUUM ANALYZE", lambda: run(dsn, "VACUUM ANALYZE generation", "CHECKPOINT"))
            ((stored,),) = ask(dsn, STORED_ROWS)
            measured, next_slot = _measured(bench, repo, all_sites, next_slot)
            rows.append([f"{stored:,}", *measured])
        bench.table(
            Table(
                "Generation as the table grows",
                f"{len(all_sites):,} sites, {len(MONTHS)} month partitions at every size; new readings go into the "
                "newest one, after those that are stored.",
                [
                    "rows stored",
                    "insert of 250 x 1,000 rows, rows/s",
                    "tick of one reading a site, ms",
                    "latest of 200 sites, ms",
                    f"read_frame of {100 * STORED[0]:,} rows, ms",
                ],
                rows,
            )
        )


def _measured(bench: Bench, repo: Repository, of: list, slot: int) -> tuple[list[str], int]:
    month, some = MONTHS[-1], of[: len(of) // 4]
    inserted, took = [], []
    slots = count(slot)
    warm_up(lambda: repo.generation.latest(of[:200]), lambda: repo.generation.insert(ticks(of, 1, next(slots), month)))
    slot = next(slots)
    for _ in range(bench.size(3, 2)):
        frame = ticks(some, 250, slot, month)
        inserted.append(len(frame) / seconds(lambda frame=frame: repo.generation.insert(frame)))
        slot += 250
    for _ in range(bench.size(20, 5)):
        frame = ticks(of, 1, slot, month)
        took.append(seconds(lambda frame=frame: repo.generation.insert(frame)) * 1000)
        slot += 1
    window = {"start_utc": MONTHS[6], "end_utc": MONTHS[6] + STORED[0] * MINUTES}  # as many rows at every size
    latest = [seconds(lambda: repo.generation.latest(of[:200])) * 1000 for _ in range(10)]
    read = [seconds(lambda: repo.generation.read_frame(of[:100], **window)) * 1000 for _ in range(10)]
    return [spread(inserted), spread(took, "{:.1f}"), spread(latest, "{:.1f}"), spread(read, "{:.1f}")], slot
