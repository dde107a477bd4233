"""The latest forecast values: against 1.0.6 on the same data, with a window in the past, and as the history grows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bench import Bench, Figure, Sides, Table, alternate, ratios, run, seconds, spread, warm_up
from data import SLOTS, fill_forecasts, make_months, sites
from inserts import ON_DISK, bytes_a_row
from peers import ask_peer, fill_old_forecasts, make_old_database

from pvsite_sql import Repository

NEWEST = datetime(2024, 12, 30, 12, tzinfo=UTC)
YESTERDAY = NEWEST.replace(hour=0) - timedelta(days=1)
FORECASTS = 96


def latest(bench: Bench) -> None:
    """The window begins at the newest forecast's timestamp: what a dashboard asks for. In each table 16 partitions."""
    times = (1, 10, bench.size(100, 20)) if bench.whole else (1, 10)
    histories = {f"{number}x": number * FORECASTS for number in times}
    of = bench.size(200, 50)
    with ExitStack() as stack:
        repos, dsns = {}, {}
        for name, history in histories.items():
            dsn = dsns[name] = stack.enter_context(bench.database(f"bench_latest_{name}"))
            make_months(dsn, "forecasts", datetime(2023, 10, 1), 16)  # noqa: DTZ001  a name of a month
            bench.timed(f"filling {name}", lambda dsn=dsn, history=history: fill_forecasts(dsn, of, NEWEST, history))
            run(dsn, "VACUUM ANALYZE forecasts")
            repos[name] = stack.enter_context(Repository(dsn, min_size=1, max_size=1))
        size = bytes_a_row(dsns["10x"], of * histories["10x"] * SLOTS, "forecasts")
        bench.add(Figure(ON_DISK, "a forecast value", 7, [size], at_most=True))
        some = {name: sites(dsn, of) for name, dsn in dsns.items()}
        old_dsn = stack.enter_context(bench.database("bench_latest_old", "template1"))
        make_old_database(bench, dsns["1x"], old_dsn)
        bench.timed("filling 1.0.6's tables", lambda: fill_old_forecasts(dsns["1x"], old_dsn))
        run(bench.server.dsn(), "CHECKPOINT")
        _against_old(bench, repos["1x"], some["1x"], old_dsn)
        _sums(bench, repos["1x"], some["1x"][: of // 2], old_dsn)
        _from_yesterday(bench, repos["10x"], some["10x"][: of // 2])
        _history(bench, repos, some)


def _against_old(bench: Bench, repo: Repository, some: list[UUID], old_dsn: str) -> None:
    asked = {"sites": [str(site) for site in some], "start": NEWEST.isoformat()}
    values = [
        value.forecast_power_kw
        for found in repo.forecasts.latest_values(some, start_utc=NEWEST).values()
        for value in found
    ]
    answers = []

    def old() -> float:
        answers.append(ask_peer(bench, "latest", old_dsn, **asked))
        return answers[-1]["seconds"]

    def ours(call: Callable[..., object]) -> float:
        return statistics.median(seconds(lambda: call(some, start_utc=NEWEST)) for _ in range(5))

    calls = {
        "models": lambda: ours(repo.forecasts.latest_values),
        "frame": lambda: ours(repo.forecasts.latest_frame),
        "old": old,
    }
    for call in (repo.forecasts.latest_values, repo.forecasts.latest_frame):
        warm_up(lambda call=call: call(some, start_utc=NEWEST), connections=1)
    found = alternate(bench.size(3, 1), calls)
    assert all(answer["rows"] == len(values) for answer in answers), "not the same values"
    assert all(math.isclose(answer["sum"], sum(values), rel_tol=1e-9) for answer in answers), "not the same values"
    for name, call, mark in (("models", "latest_values", 60), ("frame", "latest_frame", 150)):
        bench.compare(
            f"forecasts.{call}, {len(some)} sites x {FORECASTS} forecasts x {SLOTS} values",
            "times faster than 1.0.6's call",
            mark,
            Sides(found[name], found["old"], "s", "{:.3f}"),
            inverse=True,
        )


def _sums(bench: Bench, repo: Repository, some: list[UUID], old_dsn: str) -> None:
    asked = {"sites": [str(site) for site in some], "start": NEWEST.isoformat(), "sum_by": "dno"}
    answers = []

    def call() -> list:
        return repo.forecasts.latest_sums(some, start_utc=NEWEST, by="dno")

    def old() -> float:
        answers.append(ask_peer(bench, "latest_sums", old_dsn, **asked))
        return answers[-1]["seconds"]

    warm_up(call, connections=1)
    calls = {"ours": lambda: statistics.median(seconds(call) for _ in range(5)), "old": old}
    found = alternate(bench.size(3, 1), calls)
    ours = {f"{value.start_utc:%F %T} {value.name}": value.power_kw for value in call()}
    theirs = {f"{start} {name}": power for start, name, power in answers[-1]["sums"]}
    assert ours.keys() == theirs.keys(), "not the same sums"
    # ours are real, theirs double precision
    assert all(math.isclose(power, theirs[key], rel_tol=1e-6) for key, power in ours.items()), "not the same sums"
    bench.compare(
        f"forecasts.latest_sums by DNO, {len(some)} sites x {FORECASTS} forecasts x {SLOTS} values",
        "times faster than 1.0.6's call",
        10,
        Sides(found["ours"], found["old"], "s", "{:.3f}"),
        inverse=True,
    )


def _from_yesterday(bench: Bench, repo: Repository, some: list[UUID]) -> None:
    """What an API asks for: the past, of which each hour has a newest forecast of its own, and what is to come."""

    def microseconds(start: datetime) -> float:
        rows = len(repo.forecasts.latest_frame(some, start_utc=start))
        took = statistics.median(seconds(lambda: repo.forecasts.latest_frame(some, start_utc=start)) for _ in range(5))
        return took / rows * 1e6

    warm_up(lambda: repo.forecasts.latest_frame(some, start_utc=NEWEST), connections=1)
    values = len(repo.forecasts.latest_frame(some, start_utc=YESTERDAY))
    found = alternate(
        bench.size(5, 2), {"yesterday": lambda: microseconds(YESTERDAY), "now": lambda: microseconds(NEWEST)}
    )
    bench.compare(
        f"forecasts.latest_frame, {len(some)} sites, from yesterday midnight ({values:,} values)",
        "time a value against the call from now",
        1.5,
        Sides(found["yesterday"], found["now"], "µs", "{:.2f}"),
        at_most=True,
    )


def _history(bench: Bench, repos: dict[str, Repository], some: dict[str, list[UUID]]) -> None:
    rows = []
    for call in ("latest_values", "latest_frame"):
        calls = {
            name: lambda name=name, repo=repo, call=call: seconds(
                lambda: getattr(repo.forecasts, call)(some[name], start_utc=NEWEST)
            )
            for name, repo in repos.items()
        }
        warm_up(*calls.values(), connections=1)
        found = alternate(bench.size(11, 3), calls)
        base = found["1x"]
        bench.compare(
            f"forecasts.{call}, ten times the history",
            "time against itself",
            1.3,
            Sides(found["10x"], base, "s", "{:.3f}"),
            at_most=True,
        )
        rows += [
            [
                f"forecasts.{call}",
                name,
                f"{len(some[name]) * int(name[:-1]) * FORECASTS:,}",
                spread(took, "{:.3f}"),
                spread(ratios(took, base), "{:.2f}"),
            ]
            for name, took in found.items()
        ]
    bench.table(
        Table(
            "Latest forecast values as the history grows",
            f"{len(some['1x'])} sites, an hourly forecast of {SLOTS} values; 16 month partitions at every size.",
            ["call", "history", "forecasts stored", "seconds", "against 1x"],
            rows,
        )
    )
