"""A finished month that came tick by tick, and what its upkeep gains."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from bench import Bench, Figure, Sides, Table, alternate, run, seconds
from data import fill_ticks, make_months, sites
from inserts import ON_DISK, bytes_a_row

from pvsite_sql import Repository
from pvsite_sql.engine.queries import query

JUNE = datetime(2024, 6, 1, tzinfo=UTC)
WEEK = {"start_utc": JUNE + timedelta(days=8), "end_utc": JUNE + timedelta(days=15)}
WORK, MEASURE = "a site-week of a month that came tick by tick", "time after tidy --cluster against loaded in order"
TIDIED = "a generation row (arrived tick by tick, tidied)"


def tidy(bench: Bench) -> None:
    """The same rows by time and site by site. A tick covers several pages, so a site's week lies on 2,016 of them."""
    of, slots = bench.size(400, 100), bench.size(30, 16) * 288
    with ExitStack() as stack:
        ticked, ordered = (stack.enter_context(bench.database(f"bench_{name}")) for name in ("ticked", "ordered"))
        some = sites(ticked, of)[:: of // 20]
        for dsn in (ticked, ordered):
            make_months(dsn, "generation", JUNE, 1)
            bench.timed("filling a month", lambda dsn=dsn: fill_ticks(dsn, of, JUNE, slots, by_time=dsn == ticked))
            run(dsn, "VACUUM ANALYZE generation", "CHECKPOINT")
        rows = [_row("as it came", ticked, some, of * slots)]
        if missing := _tidied(bench, ticked):
            bench.add(Figure(WORK, MEASURE, 2, [], at_most=True, detail=missing))
            bench.add(Figure(ON_DISK, TIDIED, 120, [], at_most=True, detail=missing))
        else:
            _compare(bench, ticked, ordered, some)
            bench.add(Figure(ON_DISK, TIDIED, 120, [bytes_a_row(ticked, of * slots)], at_most=True))
            rows.append(_row("the same after pvsite-sql tidy --cluster", ticked, some, of * slots))
        rows.append(_row("loaded in the order of site and time", ordered, some, of * slots))
        bench.table(
            Table(
                "A week of one site from a finished month",
                f"{of * slots:,} readings of {of:,} sites; the median of {len(some)} sites.",
                ["the month", "pages read", "ms of the query", "ms of read_frame", "bytes a row"],
                rows,
            )
        )


def _tidied(bench: Bench, dsn: str) -> str:
    """Tidy the month; return why that is not possible."""
    command = [sys.executable, "-m", "pvsite_sql.cli", "tidy", "--dsn", dsn, "--cluster"]
    if subprocess.run([*command[:4], "--help"], capture_output=True, check=False).returncode:
        return "this version has no command `tidy`"
    bench.timed("pvsite-sql tidy --cluster", lambda: subprocess.run(command, check=True))
    run(dsn, "CHECKPOINT")
    return ""


def _compare(bench: Bench, ticked: str, ordered: str, some: list[UUID]) -> None:
    calls = {name: lambda dsn=dsn: _query_ms(dsn, some) for name, dsn in (("ticked", ticked), ("ordered", ordered))}
    found = alternate(bench.size(7, 2), calls)
    sides = Sides(found["ticked"], found["ordered"], "ms", "{:.2f}")
    bench.compare(WORK, MEASURE, 2, sides, at_most=True)


def _query_ms(dsn: str, some: list[UUID]) -> float:
    """The rows as a binary COPY: what the server takes, without what a frame costs."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def drain(site: UUID) -> None:
            with connection.cursor().copy(query("generation/read").copy_out, {"site_uuids": [site], **WEEK}) as copy:
                for _ in copy:
                    pass

        return _median_ms(drain, some)


def _median_ms(call: Callable[[UUID], object], some: list[UUID]) -> float:
    call(some[0])
    return statistics.median(seconds(lambda site=site: call(site)) * 1000 for site in some)


def _row(title: str, dsn: str, some: list[UUID], rows: int) -> list[str]:
    with Repository(dsn) as repo:
        framed = _median_ms(lambda site: repo.generation.read_frame([site], **WEEK), some)
    pages = statistics.median(_pages(dsn, site) for site in some)
    figures = f"{_query_ms(dsn, some):.2f}", f"{framed:.2f}", f"{bytes_a_row(dsn, rows):.0f}"
    return [title, f"{pages:,.0f}", *figures]


def _pages(dsn: str, site: UUID) -> int:
    asked = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) " + query("generation/read").text
    with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as connection:
        (((plan,),),) = connection.execute(asked, {"site_uuids": [site], **WEEK}).fetchall()
    return plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
