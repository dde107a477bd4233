"""Bulk inserts inside of bulk inserts, on one transaction: served with exact counts, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from conftest import reading_frame
from forecast_cases import forecast_frame

from pvsite_sql import InsertResult, PvsiteSqlError, Repository, Transaction

from .programs import ends

FRAMES, ROWS = 4, 50
ALL = FRAMES * ROWS
Results = dict[str, list[InsertResult]]


def frames(site: Any, power_kw: float) -> list[pd.DataFrame]:
    """Readings of 200 slots in four frames, all of one power."""
    whole = reading_frame(site, rows=ALL).assign(power_kw=power_kw)
    return [whole.iloc[first : first + ROWS] for first in range(0, ALL, ROWS)]


def of_corrections(mode: str, rows: int) -> InsertResult:
    """What an insert of so many corrections returns."""
    return InsertResult(updated=rows) if mode == "update" else InsertResult(skipped=rows, differing=rows)


class Sites:
    """Two sites whose readings are 1 kW, and corrections of them (2 kW) that an insert sends inside of another one."""

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.outer, self.inner = (repo.sites.create().site_uuid for _ in range(2))
        for site in (self.outer, self.inner):
            repo.generation.insert(frames(site, 1.0))
        self.results: Results = {"outer": [], "inner": []}

    def insert_inside(self, tx: Repository | Transaction, mode: Any, number: int) -> None:
        """A frame of corrections, and a new forecast."""
        self.results["inner"].append(tx.generation.insert(frames(self.inner, 2.0)[number], on_conflict=mode))
        hour = pd.Timestamp("2024-06-01T00:00Z") + pd.Timedelta(hours=number)
        assert tx.forecasts.insert(forecast_frame(self.inner, timestamp=hour)) == InsertResult(inserted=1)

    def in_frames(self, tx: Repository | Transaction, mode: Any) -> None:
        """The iterable itself inserts, before it gives each of its frames."""

        def given() -> Iterator[pd.DataFrame]:
            for number, frame in enumerate(frames(self.outer, 2.0)):
                self.insert_inside(tx, mode, number)
                yield frame

        self.results["outer"].append(tx.generation.insert(given(), on_conflict=mode))

    def in_progress(self, tx: Repository | Transaction, mode: Any) -> None:
        """The callback inserts, after each of the frames."""

        def progress(rows: int) -> None:
            self.insert_inside(tx, mode, rows // ROWS - 1)

        self.results["outer"].append(tx.generation.insert(frames(self.outer, 2.0), on_conflict=mode, progress=progress))

    def powers(self, site: Any) -> dict[float, int]:
        counts: dict[float, int] = (
            self.repo.generation.read_frame([site])["generation_power_kw"].value_counts().to_dict()
        )
        return counts

    def judge_served(self, mode: str) -> None:
        """All counts are exact, and each correction is stored that one of them says is."""
        assert self.results["inner"] == [of_corrections(mode, ROWS)] * FRAMES
        assert self.results["outer"] == [of_corrections(mode, ALL)]
        power = 2.0 if mode == "update" else 1.0
        assert self.powers(self.outer) == self.powers(self.inner) == {power: ALL}
        assert len(self.repo.forecasts.latest_values([self.inner])[self.inner]) > FRAMES

    def judge_refused(self) -> None:
        """Neither of the two is stored."""
        assert self.results == {"outer": [], "inner": []}
        assert self.powers(self.outer) == self.powers(self.inner) == {1.0: ALL}


INSIDE: dict[str, Callable[..., None]] = {"frames": Sites.in_frames, "progress": Sites.in_progress}
of_each_mode = pytest.mark.parametrize("mode", ["ignore", "update"])
of_each_place = pytest.mark.parametrize("inside", INSIDE)


@of_each_mode
@of_each_place
@ends
def test_on_its_own_transaction_it_is_exact_or_refused(repo, inside, mode):
    sites = Sites(repo)
    with repo.transaction() as tx:
        try:
            INSIDE[inside](sites, tx, mode)
        except PvsiteSqlError:
            served = False
        else:
            served = True
        tx.sites.create(client_site_name="after")  # the transaction is usable either way
    sites.judge_served(mode) if served else sites.judge_refused()
    assert repo.sites.get_by_client_site_name("after")


@of_each_mode
@of_each_place
@ends
def test_where_the_caller_catches_the_refusal_the_outer_call_is_exact(repo, inside, mode, monkeypatch):
    sites = Sites(repo)
    insert_inside, refused = sites.insert_inside, []

    def tried(*arguments: Any) -> None:
        try:
            insert_inside(*arguments)
        except PvsiteSqlError as error:
            refused.append(error)

    monkeypatch.setattr(sites, "insert_inside", tried)
    with repo.transaction() as tx:
        INSIDE[inside](sites, tx, mode)
    if not refused:
        sites.judge_served(mode)
        return
    assert len(refused) == FRAMES
    assert sites.results == {
        "outer": [of_corrections(mode, ALL)],
        "inner": [],
    }
    assert sites.powers(sites.outer) == {2.0 if mode == "update" else 1.0: ALL}
    assert sites.powers(sites.inner) == {1.0: ALL}


@of_each_mode
@of_each_place
@ends
def test_on_other_connections_of_the_pool_it_is_served(repo, inside, mode):
    sites = Sites(repo)
    INSIDE[inside](sites, repo, mode)
    sites.judge_served(mode)


@ends
def test_the_same_readings_inside_and_outside_are_never_both_counted_as_new(repo, site):
    new = frames(site.site_uuid, 3.0)
    inner: list[InsertResult] = []

    def given(tx: Transaction) -> Iterator[pd.DataFrame]:
        for frame in new:
            inner.append(tx.generation.insert(frame, on_conflict="update"))
            yield frame.assign(power_kw=4.0)

    with repo.transaction() as tx:
        try:
            outer = tx.generation.insert(given(tx), on_conflict="update")
        except PvsiteSqlError:
            assert not inner
            return
    assert sum(result.inserted for result in [outer, *inner]) == ALL
    assert all(result.inserted + result.updated + result.skipped == ROWS for result in inner)
    assert outer.inserted + outer.updated + outer.skipped == ALL
    assert repo.generation.read_frame()["generation_power_kw"].tolist() == [4.0] * ALL
