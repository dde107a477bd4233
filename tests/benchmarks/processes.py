"""Several processes at once, each with a repository of its own, as ingestors run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psycopg
from bench import Bench, Sides, Table, alternate, ask, ratios, run, spread
from data import MONTH, binary, make_months, sites, ticks

from pvsite_sql.engine.queries import query

PROCESSES = 4
WARM_UP = 6


def processes(bench: Bench) -> None:
    """Ticks of all sites from one process, and from four, each of which sends other ticks."""
    with bench.database("bench_processes") as dsn:
        make_months(dsn, "generation", MONTH, 2)
        of, before, sent = bench.size(4000, 1000), bench.size(100, 10), bench.size(60, 8)
        with (
            psycopg.connect(dsn) as connection,
            connection.cursor().copy(query("generation/insert_copy").statement) as copy,
        ):
            copy.write(binary(ticks(sites(dsn, of), before)))
        run(dsn, "VACUUM ANALYZE generation")
        firsts = count(before, WARM_UP + sent)
        ways = [(bare, number) for bare in (False, True) for number in (1, PROCESSES)]
        busy: dict[tuple[bool, int], list[float]] = {way: [] for way in ways}

        def rate(bare: bool, number: int) -> float:
            found, cores = _rate(dsn, of, sent, [next(firsts) for _ in range(number)], bare=bare)
            busy[bare, number].append(cores)
            return found

        rates = alternate(
            bench.size(5, 2), {way: lambda way=way: rate(*way) for way in ways}, lambda: run(dsn, "CHECKPOINT")
        )
        bench.compare(
            f"{PROCESSES} processes, ticks of {of:,} rows",
            "rows/s against one process",
            1.8,
            Sides(rates[False, PROCESSES], rates[False, 1], "rows/s"),
        )
        if _busy_s() is not None:
            _limit(bench, rates, busy)


def _limit(bench: Bench, rates: dict[tuple[bool, int], list[float]], busy: dict[tuple[bool, int], list[float]]) -> None:
    cores = os.cpu_count() or 1
    limits = [cores / used for used in busy[False, 1]]
    bare = ratios(rates[True, PROCESSES], rates[True, 1])
    bench.table(
        Table(
            "Processes that send ticks, and the cores that they keep busy",
            f"One process keeps its server busy beside itself, so {cores} cores cannot do {cores} times its work. "
            f"The limit is {spread(limits, '{:.2f}')} times, if a row cost several processes no more than one. "
            f"Bare COPY of rows that are encoded before, without a client's work, is {spread(bare, '{:.2f}')} times as "
            "fast with several processes as with one.",
            ["what", "processes", "rows/s", f"cores busy, of {cores}", "milliseconds of a core for 1,000 rows"],
            [
                [
                    "bare COPY" if way[0] else "generation.insert",
                    str(way[1]),
                    spread(found),
                    spread(busy[way], "{:.2f}"),
                    spread([used / rate * 1e6 for used, rate in zip(busy[way], found, strict=True)], "{:.2f}"),
                ]
                for way, found in rates.items()
            ],
        )
    )


def _busy_s() -> float | None:
    """Seconds that the machine's cores have worked since its start; None where /proc does not tell."""
    file = Path("/proc/stat")
    if not file.exists():
        return None
    user, nice, system, _idle, _waiting, *others = map(int, file.read_text().partition("\n")[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def _rate(dsn: str, of: int, sent: int, firsts: list[int], *, bare: bool) -> tuple[float, float]:
    """Rows per second of as many processes, from the moment when all are ready until the last one is done.

    And how many cores were at work meanwhile.
    """
    ((stored,),) = ask(dsn, "SELECT count(*) FROM generation")
    with ExitStack() as stack:
        children = [stack.enter_context(_child(dsn, of, first, sent, bare=bare)) for first in firsts]
        for child in children:
            _expect(child, "ready")
        begin, worked = time.perf_counter(), _busy_s() or 0.0
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            _expect(child, "done")
        took = time.perf_counter() - begin
        cores = ((_busy_s() or 0.0) - worked) / took
    assert ask(dsn, "SELECT count(*) FROM generation") == [(stored + len(firsts) * of * (WARM_UP + sent),)]
    return len(firsts) * of * sent / took, cores


def _child(dsn: str, of: int, first: int, sent: int, *, bare: bool) -> subprocess.Popen[str]:
    order = json.dumps({"dsn": dsn, "sites": of, "first": first, "warm_up": WARM_UP, "sent": sent, "bare": bare})
    command = [sys.executable, Path(__file__).with_name("processes_child.py"), order]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _expect(child: subprocess.Popen[str], word: str) -> None:
    if (line := child.stdout.readline().strip()) != word:
        raise RuntimeError(f"a process that sends ticks said {line!r}, not {word!r}")
