"""What the parts of the suite share: a server, databases of their own, timing side by side, and the figures found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from pvsite_sql import migrate
from pvsite_sql.embedded import Server

SITES = 4000
SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "work_mem",
    "max_wal_size",
    "autovacuum",
    "jit",
)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a program of the command line


@dataclass(frozen=True)
class Sides:
    """What a ratio compares: a value of each repetition, ours and theirs."""

    ours: list[float]
    theirs: list[float]
    unit: str
    form: str = "{:,.0f}"
    note: str = ""

    @property
    def text(self) -> str:
        return f"{spread(self.ours, self.form)} against {spread(self.theirs, self.form)} {self.unit}{self.note}"


@dataclass(frozen=True)
class Figure:
    """A row of the table of marks: the value of each repetition, and the mark that their median has to reach.

    Attributes:
        values: none if the server or the package cannot do it; `detail` says why.
    """

    work: str
    measure: str
    mark: float
    values: list[float]
    at_most: bool = False
    detail: str = ""
    sides: Sides | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        if not self.values:
            return False
        return self.median <= self.mark if self.at_most else self.median >= self.mark


@dataclass(frozen=True)
class Table:
    """What is measured beside the marks."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]


@dataclass
class Bench:
    """One run of the suite on one server.

    Attributes:
        name: what the report calls the server.
        whole: whether to measure here what has no mark too.
        pythons: the peers' environments.
    """

    server: Server
    name: str
    whole: bool
    quick: bool
    folder: Path
    pythons: dict[str, Path]
    took: dict[str, float] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def timed(self, what: str, call: Callable[[], object]) -> None:
        say(f"  {what}: {seconds(call):.1f} s")

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        sign = "<=" if figure.at_most else ">="
        verdict = "met" if figure.met else "MISSED"
        median = f"{figure.median:.3g}" if figure.values else "not available"
        say(f"  {figure.work}, {figure.measure}: {median} ({sign} {figure.mark:g}: {verdict}) {figure.detail}")

    def compare(
        self, work: str, measure: str, mark: float, sides: Sides, *, at_most: bool = False, inverse: bool = False
    ) -> None:
        """Add the ratio of ours to theirs; inverse: of theirs to ours, which is how many times faster ours are."""
        values = ratios(sides.theirs, sides.ours) if inverse else ratios(sides.ours, sides.theirs)
        self.add(Figure(work, measure, mark, values, at_most=at_most, detail=sides.text, sides=sides))

    def table(self, table: Table) -> None:
        self.tables.append(table)
        say("\n".join(["", *("  " + " | ".join(row) for row in [table.header, *table.rows])]))

    def make_template(self) -> None:
        """A migrated database with SITES sites, of which `database` makes clones."""
        dsn = self.server.create_database("bench_template")
        migrate.apply(dsn)
        run(
            dsn,
            f"INSERT INTO sites (capacity_kw, dno) SELECT 4.0, 'dno ' || n % 14 FROM generate_series(1, {SITES}) AS n",
        )

    def note_settings(self) -> None:
        """Keep the settings for the report, which is written when the server is gone."""
        dsn = self.server.dsn()
        self.settings |= {name: ask(dsn, "SELECT current_setting(%s)", name)[0][0] for name in SETTINGS}
        if self.settings["jit"] == "on" and not ask(dsn, "SELECT pg_jit_available()")[0][0]:
            self.settings["jit"] += " (but built without LLVM)"

    @contextmanager
    def database(self, name: str, template: str = "bench_template") -> Iterator[str]:
        """A database for the time of the block; of "template1" an empty one."""
        run(self.server.dsn(), f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.server.dsn(name)
        finally:
            run(self.server.dsn(), f"DROP DATABASE {name} WITH (FORCE)")


def run(dsn: str, *statements: str) -> None:
    """Each statement in a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(dsn: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement, parameters or None).fetchall()


def run_on_two(dsn: str, statements: list[str]) -> None:
    """Statements on two connections, without triggers: to fill tables with rows that are known to be good."""

    def fill(statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True, options="-c session_replication_role=replica") as connection:
            connection.execute(statement)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(fill, statements))


def seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def warm_up(*calls: Callable[[], object], connections: int = 4) -> None:
    """Let every connection of a pool know the calls: psycopg prepares a statement after five runs."""
    for call in calls:
        for _ in range(6 * connections):
            call()


def alternate(
    repetitions: int, calls: dict[str, Callable[[], float]], before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """What each call returns in each repetition; every other repetition goes through them backwards."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(repetitions):
        for name in list(calls) if repetition % 2 == 0 else reversed(calls):
            before()
            found[name].append(calls[name]())
    return found


def ratios(these: list[float], those: list[float]) -> list[float]:
    return [this / that for this, that in zip(these, those, strict=True)]


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def spread(values: list[float], form: str = "{:,.0f}") -> str:
    """The median, and the least and the greatest value."""
    middle, least, most = (form.format(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} .. {most})"
