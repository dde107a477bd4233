"""Any calls in any order, compared with a model of dictionaries that knows neither SQL nor the package's own code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pandas as pd
import psycopg
import pytest
from commands import THOROUGH
from hostile import examples
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pvsite_sql import Duplicate, InsertResult, MissingReference, NotFound, Repository, Site

EXAMPLES, STEPS = 256 if THOROUGH else 32, 50
STEPS_IN_ALL, RARE = 10_000, 25
PARTS = 2 if THOROUGH else 1  # so that several processes share the work
FIVE, HALF = timedelta(minutes=5), timedelta(minutes=30)
FIRST = datetime(2024, 5, 31, 22, tzinfo=UTC)  # a month begins in the middle of all this
NOBODY = UUID(int=7)  # a site that there is not
KEYS = """
    SELECT f.site_uuid, f.timestamp_utc, m.name, m.version, f.forecast_uuid
    FROM forecasts AS f LEFT JOIN ml_models AS m ON m.ml_model_uuid = f.ml_model_uuid
"""

ReadingKey = tuple[UUID, datetime]
ForecastKey = tuple[UUID, datetime, str | None, str | None]


class Reading(NamedTuple):
    """A reading to be given: the number of its site, its start and how long it lasts in steps of five minutes."""

    site: int
    start: int
    lasts: int
    kw: float


class Forecast(NamedTuple):
    """A forecast to be given: times in half hours, how many of them a slot lasts; a power that is None is a gap."""

    site: int
    timestamp: int
    model: str | None
    version: str
    created: int
    lead: int
    lasts: int
    kw: tuple[float | None, ...]


class Value(NamedTuple):
    """A value of a forecast."""

    start_utc: datetime
    end_utc: datetime
    forecast_power_kw: float
    horizon_minutes: int
    timestamp_utc: datetime
    created_utc: datetime
    forecast_uuid: UUID


a_site = st.integers(0, 5)
seldom = st.integers(0, 11).map(lambda n: n == 7)
several = st.none() | st.lists(a_site, max_size=5)
power = st.integers(-2, 6).map(lambda n: n / 4)  # sums of them are exact
gap_or_power = st.lists(power | st.none(), max_size=5)
slots = st.builds(lambda first, rest: (first, *rest, first) if rest else (first,), power, gap_or_power)
reading_lists = st.lists(
    st.builds(Reading, a_site, st.integers(21, 26), st.integers(1, 2), power), min_size=1, max_size=12
)
forecast_lists = st.lists(
    st.builds(
        Forecast,
        site=a_site,
        timestamp=st.integers(2, 4),
        model=st.sampled_from([None, "a", "b"]),
        version=st.sampled_from(["", "", "2"]),
        created=st.integers(0, 4),
        lead=st.integers(-1, 2),
        lasts=st.sampled_from([1, 1, 1, 2]),
        kw=slots,
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda f: (f.site % 2, f.timestamp, f.model, f.version if f.model else None),
)
bound = st.none() | st.none() | st.integers(1, 9).map(lambda n: FIRST + n * HALF)
way = st.sampled_from(["a call", "a call", "a transaction", "rolled back"])


cuts = st.none() | st.lists(st.integers(0, 12), max_size=3).map(sorted)
properties = st.fixed_dictionaries(
    {},
    optional={
        "ml_id": st.none() | st.integers(0, 6) | st.sampled_from([10_500, 30_000]),
        "metadata": st.sampled_from([{}, {"a": [1, None]}]),
        "dno": st.sampled_from([None, "north", "south"]),
    },
)
models = st.none() | st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, "", "2"]))
readings_given = {"rows": reading_lists, "cuts": cuts, "how": way, "wrong": seldom}
forecasts_given = {"given": forecast_lists, "how": way, "wrong": seldom}


class RolledBack(Exception):
    """Ends a transaction without a commit."""


def lies_in(moment: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or moment >= start) and (end is None or moment < end)


def summed(values: list[tuple[datetime, str | None, float]]) -> list[tuple[datetime, float, str | None]]:
    sums: dict[tuple[datetime, str | None], float] = defaultdict(float)
    for start, name, kw in values:
        sums[start, name] += kw
    return sorted(((start, kw, name) for (start, name), kw in sums.items()), key=lambda row: (row[0], row[2] or "~"))


class Machine(RuleBasedStateMachine):
    """A repository, and what has to be in it."""

    repo: Repository
    database: psycopg.Connection
    steps: Counter[str]

    @initialize()
    def begin(self) -> None:
        self.database.execute("DELETE FROM forecasts; DELETE FROM generation; DELETE FROM sites; DELETE FROM ml_models")
        self.database.execute("ALTER SEQUENCE sites_ml_id_seq RESTART")  # the same numbers whenever it is run again
        self.sites: dict[UUID, str | None] = {}  # with their dno
        self.gone: list[UUID] = []
        self.readings: dict[ReadingKey, tuple[datetime, float]] = {}
        self.forecasts: dict[ForecastKey, tuple[Forecast, UUID]] = {}
        self.kept: dict[UUID, Site] = {}  # as they were returned last
        self.create_site("north")
        self.create_site(None)

    @invariant()
    def count(self) -> None:
        self.steps["in all"] += 1

    def numbered(self, number: int) -> UUID:
        """A site, if there are any."""
        return list(self.sites)[number % len(self.sites)] if self.sites else NOBODY

    def asked(self, numbers: list[int] | None) -> list[UUID] | None:
        """Sites to ask for, deleted ones and one that never was among them."""
        known = [*self.sites, *self.gone, NOBODY]
        return None if numbers is None else list(dict.fromkeys(known[number % len(known)] for number in numbers))

    def run(self, how: str, call: Callable[[Any], Any]) -> Any:
        """Make a call by itself, in a transaction, or in one that is rolled back."""
        if how == "a call":
            return call(self.repo)
        result = None
        try:
            with self.repo.transaction() as tx:
                result = call(tx)
                if how == "rolled back":
                    raise RolledBack
        except RolledBack:
            pass
        return result

    @precondition(lambda self: len(self.sites) < 3)
    @rule(dno=st.sampled_from([None, "north", "south"]))
    def create_site(self, dno: str | None) -> None:
        self.know(self.repo.sites.create(dno=dno))

    def know(self, site: Site) -> None:
        """Keep a site, whose ml_id no other has."""
        self.sites[site.site_uuid], self.kept[site.site_uuid] = site.dno, site
        assert len({each.ml_id for each in self.kept.values()}) == len(self.kept)

    @rule(number=a_site, changes=properties, model=models, how=way)
    def change_site(self, number: int, changes: dict[str, Any], model: tuple[str, str | None] | None, how: str) -> None:
        site = self.numbered(number)
        if model is not None:
            self.set_model(site, *model, how)
        else:
            self.update(site, changes, how)
        assert self.repo.sites.list() == sorted(self.kept.values(), key=lambda each: each.site_uuid)
        for uuid, each in self.kept.items():
            last = self.repo.sites.history(uuid)[-1]
            assert self.repo.sites.get_as_of(uuid, at_utc=last.changed_utc) == each

    def update(self, site: UUID, changes: dict[str, Any], how: str) -> None:
        taken = {each.ml_id for uuid, each in self.kept.items() if uuid != site}
        if site == NOBODY or changes.get("ml_id") in taken:
            with pytest.raises(NotFound if site == NOBODY else Duplicate):
                self.run(how, lambda repo: repo.sites.update(site, **changes))
            return
        changed = self.run(how, lambda repo: repo.sites.update(site, **changes))
        counted = {"ml_id": changed.ml_id} if changes.get("ml_id", 0) is None else {}
        assert changed == self.kept[site].model_copy(update=changes | counted)
        assert changed.ml_id not in taken
        self.steps["sites changed"] += 1
        if how != "rolled back":
            self.know(changed)

    def set_model(self, site: UUID, name: str, version: str | None, how: str) -> None:
        stored = {(each.name, each.version): each for each in self.repo.ml_models.list() if each.name == name}
        newest = max(stored.values(), key=lambda each: (each.created_utc, each.version), default=None)
        chosen = newest if version is None else stored.get((name, version))
        if site == NOBODY or chosen is None:
            with pytest.raises(NotFound):
                self.run(how, lambda repo: repo.sites.set_ml_model(site, name, version))
            return
        changed = self.run(how, lambda repo: repo.sites.set_ml_model(site, name, version))
        assert changed == self.kept[site].model_copy(update={"ml_model_uuid": chosen.ml_model_uuid})
        self.steps["models set"] += 1
        if how != "rolled back":
            self.know(changed)

    @precondition(lambda self: len(self.sites) < 4)
    @rule(name=st.sampled_from(["roof", "shed"]), new=properties, how=way)
    def get_or_create_site(self, name: str, new: dict[str, Any], how: str) -> None:
        known = next((each for each in self.kept.values() if each.client_site_name == name), None)
        if known is None and new.get("ml_id") in {each.ml_id for each in self.kept.values()}:
            with pytest.raises(Duplicate):
                self.run(how, lambda repo: repo.sites.get_or_create(client_site_name=name, **new))
            return
        found = self.run(how, lambda repo: repo.sites.get_or_create(client_site_name=name, **new))
        if known is not None:
            assert found == known
        else:
            given = {key: value for key, value in new.items() if value is not None}
            assert found == found.model_copy(update={"client_site_name": name, "metadata": {}, **given})
            if how != "rolled back":
                self.know(found)
        self.steps["sites found" if known else "sites created by name"] += 1

    @precondition(lambda self: len(self.sites) != 1)
    @rule(number=a_site, readings=st.booleans(), how=way, wrong=seldom)
    def delete_site(self, number: int, readings: bool, how: str, wrong: bool) -> None:
        site = NOBODY if wrong else self.numbered(number)
        if site == NOBODY:
            with pytest.raises(NotFound):
                self.run(how, lambda repo: repo.sites.delete(site, delete_generation=readings))
            return
        self.run(how, lambda repo: repo.sites.delete(site, delete_generation=readings))
        if how == "rolled back":
            return
        self.steps["deleted"] += 1
        self.steps["deleted with forecasts"] += any(key[0] == site for key in self.forecasts)
        del self.sites[site], self.kept[site]
        self.gone.append(site)
        self.forecasts = {key: stored for key, stored in self.forecasts.items() if key[0] != site}
        if readings:
            self.readings = {key: stored for key, stored in self.readings.items() if key[0] != site}

    @rule(numbers=st.lists(a_site, max_size=2), start=bound, end=bound, how=way)
    def delete_readings(self, numbers: list[int], start: Any, end: Any, how: str) -> None:
        sites = self.asked(numbers)
        doomed = {key for key in self.readings if key[0] in sites and lies_in(key[1], start, end)}
        window = {"start_utc": start, "end_utc": end}
        assert self.repo.generation.delete(sites, **window, dry_run=True) == len(doomed)
        assert self.run(how, lambda repo: repo.generation.delete(sites, **window)) == len(doomed)
        self.steps["readings deleted"] += len(doomed)
        if how != "rolled back":
            self.readings = {key: stored for key, stored in self.readings.items() if key not in doomed}

    @rule(
        numbers=several,
        start=bound,
        end=bound,
        after=bound,
        model=st.sampled_from([None, "a", "b", "c"]),
        version=st.sampled_from([None, None, "", "2"]),
        how=way,
    )
    def delete_forecasts(
        self, numbers: Any, start: Any, end: Any, after: Any, model: str | None, version: str | None, how: str
    ) -> None:
        sites = self.asked(numbers)
        version = None if model is None else version
        asked = {"site_uuids": sites, "start_utc": start, "end_utc": end, "created_after": after}
        asked |= {"model_name": model, "model_version": version}
        if all(each is None for each in asked.values()):
            return
        doomed = {
            key
            for key, (given, _) in self.forecasts.items()
            if (sites is None or key[0] in sites)
            and lies_in(key[1], start, end)
            and (after is None or FIRST + given.created * HALF >= after)
            and model in (None, key[2])
            and version in (None, key[3])
        }
        assert self.repo.forecasts.delete(**asked, dry_run=True) == len(doomed)
        assert self.run(how, lambda repo: repo.forecasts.delete(**asked)) == len(doomed)
        self.steps["forecasts deleted"] += len(doomed)
        if how != "rolled back":
            self.forecasts = {key: stored for key, stored in self.forecasts.items() if key not in doomed}

    def _insert_readings(
        self, rows: list[Reading], on_conflict: str, cuts: list[int] | None, how: str, wrong: bool
    ) -> None:
        given = [
            (self.numbered(row.site), FIRST + row.start * FIVE, FIRST + (row.start + row.lasts) * FIVE, row.kw)
            for row in rows
        ]
        if wrong:
            given[-1] = (NOBODY, *given[-1][1:])
        frame = pd.DataFrame(given, columns=["site_uuid", "start_utc", "end_utc", "power_kw"])

        def call(repo: Any) -> InsertResult:
            frames: Any = frame
            if cuts is not None:
                frames = (frame.iloc[a:b] for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True))
            result: InsertResult = repo.generation.insert(frames, on_conflict=on_conflict)
            return result

        keys = [row[:2] for row in given]
        repeated = on_conflict == "error" and (len(set(keys)) < len(keys) or not self.readings.keys().isdisjoint(keys))
        if any(site == NOBODY for site, _ in keys) or repeated:
            with pytest.raises((Duplicate, MissingReference) if repeated else MissingReference):
                self.run(how, call)
            self.steps["readings refused"] += 1
            return
        changed, expected = dict(self.readings), {"inserted": 0, "updated": 0}  # what is written; the rest is skipped
        for site, start, end, kw in {row[:2]: row for row in given}.values() if on_conflict == "update" else given:
            if (site, start) not in changed:
                expected["inserted"] += 1
            elif on_conflict == "update" and changed[site, start] != (end, kw):
                expected["updated"] += 1
            else:
                continue
            changed[site, start] = (end, kw)
        differing = sum(changed[site, start] != (end, kw) for site, start, end, kw in given)
        skipped = len(given) - sum(expected.values())
        assert self.run(how, call) == InsertResult(**expected, skipped=skipped, differing=differing)
        self.steps[f"readings {on_conflict}"] += 1
        self.steps["readings updated"] += expected["updated"]
        self.steps["readings updated in several frames"] += expected["updated"] if cuts else 0
        if how != "rolled back":
            self.readings = changed

    def _insert_forecasts(self, given: list[Forecast], on_conflict: str, how: str, wrong: bool) -> None:
        by_key = {
            (
                self.numbered(each.site),
                FIRST + each.timestamp * HALF,
                each.model,
                None if each.model is None else each.version,
            ): each
            for each in given
        }
        if wrong:
            by_key = {(NOBODY, *key[1:]): each for key, each in by_key.items()}
        frame = pd.DataFrame([row for key, each in by_key.items() for row in self.rows(key, each)]).sample(
            frac=1, random_state=0
        )

        def call(repo: Any) -> InsertResult:
            result: InsertResult = repo.forecasts.insert(frame, on_conflict=on_conflict)
            return result

        repeated = on_conflict == "error" and not self.forecasts.keys().isdisjoint(by_key)
        if any(key[0] == NOBODY for key in by_key) or repeated:
            with pytest.raises((Duplicate, MissingReference) if repeated else MissingReference):
                self.run(how, call)
            self.steps["forecasts refused"] += 1
            return
        new = by_key.keys() - self.forecasts.keys()
        changed = {
            key for key in by_key.keys() & self.forecasts.keys() if self.forecasts[key][0][4:] != by_key[key][4:]
        }
        other = changed if on_conflict == "replace" else set()
        expected = InsertResult(
            inserted=len(new),
            updated=len(other),
            skipped=len(by_key) - len(new) - len(other),
            differing=len(changed - other),
        )
        assert self.run(how, call) == expected
        self.steps["forecasts inserted"] += len(new)
        self.steps["forecasts updated"] += len(other)
        self.steps["forecasts skipped"] += expected.skipped
        if how == "rolled back":
            return
        uuids = {row[:4]: row[4] for row in self.database.execute(KEYS)}
        assert all(uuids[key] == uuid for key, (_, uuid) in self.forecasts.items())
        self.forecasts |= {key: (by_key[key], uuids[key]) for key in new | other}
        assert uuids.keys() == self.forecasts.keys()

    # a rule for each of these, since every rule is as likely as any other
    insert_readings = rule(**readings_given, on_conflict=st.just("ignore"))(_insert_readings)
    insert_new_readings = rule(**readings_given, on_conflict=st.just("error"))(_insert_readings)
    correct_readings = rule(**readings_given, on_conflict=st.just("update"))(_insert_readings)
    insert_forecasts = rule(**forecasts_given, on_conflict=st.sampled_from(["ignore", "error"]))(_insert_forecasts)
    replace_forecasts = rule(**forecasts_given, on_conflict=st.just("replace"))(_insert_forecasts)

    def rows(self, key: ForecastKey, given: Forecast) -> list[dict[str, Any]]:
        return [
            {
                "site_uuid": key[0],
                "timestamp_utc": key[1],
                "model_name": key[2],
                "model_version": key[3],
                "created_utc": value.created_utc,
                "start_utc": value.start_utc,
                "end_utc": value.end_utc,
                "forecast_power_kw": value.forecast_power_kw,
            }
            for value in self.values(key, given, NOBODY)
        ]

    def values(self, key: ForecastKey, given: Forecast, uuid: UUID) -> list[Value]:
        values = []
        for slot, kw in enumerate(given.kw):
            if kw is not None:
                start = key[1] + (given.lead + slot * given.lasts) * HALF
                horizon = (given.lead + slot * given.lasts) * 30
                created = FIRST + given.created * HALF
                values.append(Value(start, start + given.lasts * HALF, kw, horizon, key[1], created, uuid))
        return values

    def latest(
        self,
        sites: list[UUID] | None,
        start: datetime | None,
        end: datetime | None,
        fits: Callable[[ForecastKey, Value], bool],
    ) -> dict[UUID, list[Value]]:
        """Of the values that fit the last one for each start."""
        found: dict[UUID, dict[datetime, Value]] = {
            site: {} for site in (sorted(self.sites) if sites is None else sites)
        }
        for key, (given, uuid) in self.forecasts.items():
            for value in self.values(key, given, uuid) if key[0] in found else []:
                if lies_in(value.start_utc, start, end) and fits(key, value):
                    other = found[key[0]].get(value.start_utc, value)
                    found[key[0]][value.start_utc] = max(value, other, key=lambda v: v[4:])
        return {site: [of[at] for at in sorted(of)] for site, of in found.items()}

    @rule(
        numbers=several,
        start=bound,
        end=bound,
        before=bound,
        horizon=st.none() | st.integers(-1, 4).map(lambda n: n * 30),
        model=st.sampled_from([None, None, "a", "b", "c"]),
    )
    def read_latest(self, numbers: Any, start: Any, end: Any, before: Any, horizon: Any, model: Any) -> None:
        sites = self.asked(numbers)

        def fits(key: ForecastKey, value: Value) -> bool:
            return (
                (before is None or value.created_utc < before)
                and (horizon is None or value.horizon_minutes >= horizon)
                and model in (None, key[2])
            )

        expected = self.latest(sites, start, end, fits)
        asked = {"start_utc": start, "end_utc": end, "created_before": before, "min_horizon_minutes": horizon}
        found = self.repo.forecasts.latest_values(sites, **asked, model_name=model)
        assert list(found) == list(expected)
        shown = {site: [tuple(getattr(v, name) for name in Value._fields) for v in of] for site, of in found.items()}
        assert shown == expected
        frame = self.repo.forecasts.latest_frame(sites, **asked, model_name=model)
        flat = [(site, *value) for site in sorted(expected) for value in expected[site]]
        assert list(frame[["site_uuid", *Value._fields]].itertuples(index=False, name=None)) == flat
        self.steps["values read"] += len(flat)
        for by in ("total", "dno"):
            sums = self.repo.forecasts.latest_sums(sites, by=by, **asked, model_name=model)
            named = [
                (v.start_utc, self.name(by, site), v.forecast_power_kw) for site, of in expected.items() for v in of
            ]
            assert [(row.start_utc, row.power_kw, row.name) for row in sums] == summed(named)

        self.read_at_horizon(sites, start, end, horizon or 0)

    def read_at_horizon(self, sites: list[UUID] | None, start: Any, end: Any, horizon: int) -> None:
        expected = self.latest(sites, start, end, lambda _, value: value.horizon_minutes == horizon)
        found = self.repo.forecasts.values_at_horizon(sites, start_utc=start, end_utc=end, horizon_minutes=horizon)
        shown = {site: [tuple(getattr(v, name) for name in Value._fields) for v in of] for site, of in found.items()}
        assert shown == expected
        newest: dict[UUID, tuple[Any, ...]] = {}
        for key, (given, uuid) in self.forecasts.items():
            if key[0] in expected:
                newest[key[0]] = max(newest.get(key[0], ()), (key[1], given.created, uuid))
        per_site = self.repo.forecasts.latest_per_site(sites)
        assert {site: forecast.forecast_uuid for site, forecast in per_site.items()} == {
            site: row[2] for site, row in newest.items()
        }

    def name(self, by: str, site: UUID) -> str | None:
        return "total" if by == "total" else self.sites.get(site)

    @rule(numbers=several, start=bound, end=bound, rows=st.integers(1, 5))
    def read_readings(self, numbers: Any, start: Any, end: Any, rows: int) -> None:
        sites = self.asked(numbers)
        expected = sorted(
            (*key, *stored)
            for key, stored in self.readings.items()
            if (sites is None or key[0] in sites) and lies_in(key[1], start, end)
        )
        asked = {"start_utc": start, "end_utc": end}
        read = self.repo.generation.read(sites, **asked)
        assert [(r.site_uuid, r.start_utc, r.end_utc, r.generation_power_kw) for r in read] == expected
        frames = [self.repo.generation.read_frame(sites, **asked)]
        frames += (
            [pd.concat(parts)]
            if (parts := [*self.repo.generation.read_frames(sites, **asked, chunk_rows=rows)])
            else []
        )
        names = ["site_uuid", "start_utc", "end_utc", "generation_power_kw"]
        for frame in frames:
            assert list(frame[names].itertuples(index=False, name=None)) == expected
        table = self.repo.generation.read_arrow(sites, **asked, chunk_rows=rows).read_all()
        cells = zip(*(table[name].to_pylist() for name in names), strict=True)
        assert [(UUID(site), *rest) for site, *rest in cells] == expected
        self.steps["readings read"] += len(expected)
        for by in ("total", "dno"):
            sums = self.repo.generation.sums(by, site_uuids=sites, **asked)
            named = [(at, self.name(by, site), kw) for site, at, _, kw in expected]
            assert [(row.start_utc, row.power_kw, row.name) for row in sums] == summed(named)

        self.read_last(sites)

    def read_last(self, sites: list[UUID] | None) -> None:
        expected: dict[UUID, datetime] = {}
        for site, at in self.readings:
            if site in (self.sites if sites is None else sites):
                expected[site] = max(at, expected.get(site, at))
        found = self.repo.generation.latest(sites)
        assert {site: reading.start_utc for site, reading in found.items()} == expected


@pytest.mark.parametrize("part", range(PARTS))
def test_repository_does_what_the_model_says(repo: Repository, postgresql: psycopg.Connection, part: int) -> None:
    postgresql.autocommit = True
    postgresql.execute("SET timezone = 'UTC'")
    Machine.repo, Machine.database, Machine.steps = repo, postgresql, Counter()
    chosen = examples(EXAMPLES // PARTS)
    if chosen.derandomize:
        seed(part)(Machine)
    run_state_machine_as_test(Machine, settings=settings(chosen, stateful_step_count=STEPS))
    if chosen.derandomize and THOROUGH:
        # what hypothesis draws differs between Python versions
        rare = [name for name, times in Machine.steps.items() if times < RARE // PARTS]
        assert (Machine.steps["in all"] >= STEPS_IN_ALL // PARTS, rare) == (True, []), Machine.steps
