"""The latest forecast values: against 1.0.6 on the same data, and as the history grows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from bench import Bench, Figure, Table, alternate, ratios, run, seconds, spread, warm_up
from data import SLOTS, fill_forecasts, make_months, sites
from inserts import size_of
from peers import ask_peer, fill_old_forecasts, make_old_database

from pvsite_sql import Repository

NEWEST = datetime(2024, 12, 30, 12, tzinfo=UTC)
FORECASTS = 96


def latest(bench: Bench) -> None:
    """The window begins at the newest forecast's timestamp: what a dashboard asks for. In each table 16 partitions."""
    histories = {f"{times}x": times * FORECASTS for times in (1, 10, bench.size(100, 20))}
    of = bench.size(200, 50)
    with ExitStack() as stack:
        repos, dsns = {}, {}
        for name, history in histories.items():
            dsn = dsns[name] = stack.enter_context(bench.database(f"bench_latest_{name}"))
            make_months(dsn, "forecasts", datetime(2023, 10, 1), 16)  # noqa: DTZ001  a name of a month
            bench.timed(f"filling {name}", lambda dsn=dsn, history=history: fill_forecasts(dsn, of, NEWEST, history))
            run(dsn, "VACUUM ANALYZE forecasts")
            repos[name] = stack.enter_context(Repository(dsn))
        size_of(bench, dsns["10x"], of * histories["10x"] * SLOTS, "a forecast value", 7, "forecasts")
        some = sites(dsns["1x"], of)
        old_dsn = stack.enter_context(bench.database("bench_latest_old", "template1"))
        make_old_database(bench, dsns["1x"], old_dsn)
        bench.timed("filling 1.0.6's tables", lambda: fill_old_forecasts(dsns["1x"], old_dsn))
        run(bench.server.dsn(), "CHECKPOINT")
        _against_old(bench, repos["1x"], some, old_dsn)
        _history(bench, repos, {name: sites(dsn, of) for name, dsn in dsns.items()})


def _against_old(bench: Bench, repo: Repository, some: list, old_dsn: str) -> None:
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
        warm_up(lambda call=call: call(some, start_utc=NEWEST))
    found = alternate(bench.size(3, 1), calls)
    assert all(answer["rows"] == len(values) for answer in answers), "not the same values"
    assert all(math.isclose(answer["sum"], sum(values), rel_tol=1e-9) for answer in answers), "not the same values"
    for name, call, mark in (("models", "latest_values", 40), ("frame", "latest_frame", 100)):
        bench.add(
            Figure(
                f"forecasts.{call}, {len(some)} sites x {FORECASTS} forecasts x {SLOTS} values",
                "times faster than 1.0.6's call",
                mark,
                ratios(found["old"], found[name]),
                detail=f"{spread(found[name], '{:.3f}')} against {spread(found['old'], '{:.2f}')} s",
            )
        )


def _history(bench: Bench, repos: dict[str, Repository], some: dict[str, list]) -> None:
    rows = []
    for call in ("latest_values", "latest_frame"):
        calls = {
            name: lambda name=name, repo=repo, call=call: seconds(
                lambda: getattr(repo.forecasts, call)(some[name], start_utc=NEWEST)
            )
            for name, repo in repos.items()
        }
        warm_up(*calls.values())
        found = alternate(bench.size(11, 3), calls)
        base = found["1x"]
        bench.add(
            Figure(
                f"forecasts.{call}, ten times the history",
                "time against itself",
                1.3,
                ratios(found["10x"], base),
                at_most=True,
                detail=f"{spread(found['10x'], '{:.3f}')} against {spread(base, '{:.3f}')} s",
            )
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
