"""Writers that a server is killed under, which remember what it acknowledged."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from signal import Signals
from threading import Event
from uuid import UUID

import pandas as pd
import psycopg
from commands import until

from pvsite_sql import OutcomeUnknown, Repository

from .proxy import SECONDS
from .servers import OwnServer

SLOTS = 288
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
LOST = (psycopg.OperationalError, OutcomeUnknown)
STORED = """
    SELECT extract(day FROM start_utc - %(first)s)::integer, generation_power_kw, count(*), 'generation'
    FROM generation WHERE site_uuid = %(site)s GROUP BY 1, 2
    UNION ALL
    SELECT extract(day FROM timestamp_utc - %(first)s)::integer, power_kw[1], count(*) * cardinality(power_kw),
        'forecasts'
    FROM forecasts WHERE site_uuid = %(site)s GROUP BY 1, 2, power_kw
"""


def readings(site: UUID, day: int, number: int) -> pd.DataFrame:
    """The readings of a day, each with the call's number for its power."""
    starts = pd.date_range(FIRST, periods=SLOTS, freq="5min") + pd.Timedelta(days=day)
    return pd.DataFrame({"site_uuid": site, "start_utc": starts, "power_kw": float(number)})


def forecasts(site: UUID, day: int, number: int) -> pd.DataFrame:
    """Twelve forecasts of a day with 24 values each."""
    frame = readings(site, day, number).rename(columns={"power_kw": "forecast_power_kw"})
    timestamps = pd.date_range(FIRST, periods=12, freq="h").repeat(24) + pd.Timedelta(days=day)
    return frame.assign(timestamp_utc=timestamps, end_utc=frame["start_utc"] + pd.Timedelta(minutes=5))


class Writer:
    """Calls one after the other, each with a number and, unless they correct the same rows, a day of its own."""

    tables = ("generation",)
    corrects = False

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.site = repo.sites.create().site_uuid
        self.number = 0
        self.acknowledged: list[int] = []
        self.in_doubt: list[int] = []

    def write(self, number: int) -> None:
        self.repo.generation.insert(readings(self.site, number, number))

    def go_on(self, stop: Event) -> None:
        """Until it is stopped and the call has ended that goes on."""
        while not stop.is_set():
            self.number += 1
            try:
                self.write(self.number)
            except LOST:
                self.in_doubt.append(self.number)
            else:
                self.acknowledged.append(self.number)

    def check(self, dsn: str) -> None:
        """Every acknowledged call is stored, and whatever is stored is a whole call."""
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(STORED, {"first": FIRST, "site": self.site}).fetchall()
        whole = {(day, power, table) for day, power, count, table in rows if count == SLOTS}
        assert len(whole) == len(rows), rows
        numbers = {int(power) for _, power, _ in whole}
        if self.corrects:
            since = [number for number in self.in_doubt if number > self.acknowledged[-1]]
            assert len(numbers) == 1
            assert numbers <= {self.acknowledged[-1], *since}
        else:
            assert set(self.acknowledged) <= numbers <= {*self.acknowledged, *self.in_doubt}
        days = {number: 0 if self.corrects else number for number in numbers}
        assert whole == {(day, number, table) for number, day in days.items() for table in self.tables}


class FramesWriter(Writer):
    def write(self, number: int) -> None:
        frame = readings(self.site, number, number)
        self.repo.generation.insert(frame[first : first + 100] for first in range(0, SLOTS, 100))


class Corrector(Writer):
    corrects = True

    def write(self, number: int) -> None:
        self.repo.generation.insert(readings(self.site, 0, number), on_conflict="update")


class Forecaster(Writer):
    tables = ("forecasts",)

    def write(self, number: int) -> None:
        self.repo.forecasts.insert(forecasts(self.site, number, number))


class ReplacingForecaster(Forecaster):
    corrects = True

    def write(self, number: int) -> None:
        self.repo.forecasts.insert(forecasts(self.site, 0, number))


class TransactionWriter(Writer):
    tables = ("forecasts", "generation")

    def write(self, number: int) -> None:
        with self.repo.transaction() as tx:
            tx.generation.insert(readings(self.site, number, number))
            tx.forecasts.insert(forecasts(self.site, number, number))


KINDS = (Writer, FramesWriter, Corrector, Forecaster, ReplacingForecaster, TransactionWriter)


def kill_under_load(own: OwnServer, dsn: str, rounds: int) -> None:
    """Kill it in the middle of the writers' calls, start it again, and look at what is there; so many times."""
    chance = random.Random(5)
    hit = 0
    with Repository(dsn, min_size=len(KINDS), max_size=2 * len(KINDS), timeout=SECONDS) as repo:
        writers = [kind(repo) for kind in KINDS]
        for _ in range(rounds):
            calls, stop = chance.randrange(2, 12), Event()
            wanted = {writer: len(writer.acknowledged) + calls for writer in writers}
            with ThreadPoolExecutor(len(writers)) as threads:
                ends = [threads.submit(writer.go_on, stop) for writer in writers]
                try:
                    until(lambda wanted=wanted: all(len(w.acknowledged) >= enough for w, enough in wanted.items()))
                    own.stop(Signals.SIGKILL)
                    hit += sum(writer.number not in writer.acknowledged for writer in writers)
                finally:
                    stop.set()
                own.start()
                for end in ends:
                    end.result(3 * SECONDS)
            for writer in writers:
                writer.check(dsn)
    assert hit >= rounds
