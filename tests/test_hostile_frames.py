"""Frames that nobody should send: stored exactly as given, or refused with an error of the package."""

# ruff: noqa: PT017  a refusal is one of two outcomes, not the expected one

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple

import hostile
import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from commands import THOROUGH
from forecast_cases import HOUR, NOON, STORED
from hostile import SITES, columns, examples, is_absent, moment_of, number_of, real_of, site_of, text_of
from hypothesis import given
from hypothesis import strategies as st

from pvsite_sql import InsertResult, InvalidInput, PvsiteSqlError, Repository

MINUTE_US = 60_000_000
COLUMNS = ("site_uuid", "timestamp_utc", "start_utc", "end_utc", "created_utc", "forecast_power_kw", "horizon_minutes")
COLUMNS += ("forecast_version", "model_name", "model_version", "probabilistic_values")
NAMES = (*COLUMNS, "p10", "p90.5", "power_kw", "generation_power_kw")
MICROSECOND = timedelta(microseconds=1)
EPOCH_US = "(extract(epoch FROM {}) * 1000000)::bigint"
READINGS = (
    f"SELECT site_uuid, {EPOCH_US.format('start_utc')}, {EPOCH_US.format('end_utc')}, generation_power_kw"
    " FROM generation"
)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock does not show UTC."""
    monkeypatch.setenv("TZ", "America/Denver")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def database(postgresql: psycopg.Connection) -> psycopg.Connection:
    """The database, with the known sites."""
    postgresql.autocommit = True
    postgresql.execute("SET timezone = 'UTC'")
    for site in SITES:
        postgresql.execute("INSERT INTO sites (site_uuid) VALUES (%s)", [site])
    return postgresql


def has(frame: pd.DataFrame, name: str) -> bool:
    """Whether there is a column of that name."""
    return any(isinstance(label, str) and label == name for label in frame.columns)


def cells(frame: pd.DataFrame, name: str) -> list[Any]:
    """The cells of the one column of that name; nothing that could be stored where pandas cannot give them."""
    (place,) = [place for place, label in enumerate(frame.columns) if isinstance(label, str) and label == name]
    try:
        return list(frame.iloc[:, place])
    except Exception:  # noqa: BLE001  pyarrow raises whatever there is, such as for a time beyond the year 9999
        return [object()] * len(frame)


class Case(NamedTuple):
    """A frame, what is to happen to repeated keys, whether there is nothing odd about it, and further arguments."""

    frame: pd.DataFrame
    on_conflict: str
    tame: bool
    more: dict[str, Any] = {}  # noqa: RUF012  not changed

    def __repr__(self) -> str:  # that of a frame may fail, as may that of a cell
        shown = [
            f"{name!r}: [{', '.join(map(text_or_type, cells(self.frame, name)))}] {self.frame[name].dtype}"
            for name in NAMES
            if has(self.frame, name)
        ]
        return f"Case({self.on_conflict}, tame={self.tame}, {self.more}, {len(self.frame)} rows of {', '.join(shown)})"


def text_or_type(cell: Any) -> str:
    try:
        return repr(cell)
    except NotImplementedError:  # a Timestamp beyond the years of datetime
        return f"{type(cell).__name__} {cell.to_numpy()!r}"


SHAPES = {
    "as it is": lambda frame: frame,
    "labels": lambda frame: frame.set_axis(["x"] * len(frame)),
    "a MultiIndex": lambda frame: frame.set_axis(pd.MultiIndex.from_arrays([[1] * len(frame), range(len(frame))])),
    "labels that are no text": lambda frame: pd.concat(
        [frame, pd.DataFrame({7: 1, None: 2, ("a", 1): 3, pd.NaT: 4, "\ud800": 5}, index=frame.index)], axis=1
    ),
    "categorical labels": lambda frame: frame.set_axis(pd.CategoricalIndex(frame.columns), axis=1),
    "a backwards view": lambda frame: frame.iloc[::-1],
}
BROKEN = {
    "a column twice": lambda frame, name: pd.concat([frame, frame[[name]]], axis=1),
    "a column less": lambda frame, name: frame.drop(columns=name),
    "two levels of columns": lambda frame, name: frame.set_axis(
        pd.MultiIndex.from_product([frame.columns, ["x"]]), axis=1
    ),
    "labels that are times": lambda frame, name: frame.set_axis(pd.date_range("2024", periods=frame.shape[1]), axis=1),
    "labels that are periods": lambda frame, name: frame.set_axis(
        pd.period_range("2024", periods=frame.shape[1], freq="M"), axis=1
    ),
    "labels that are intervals": lambda frame, name: frame.set_axis(pd.interval_range(0, frame.shape[1]), axis=1),
    "labels that are spans": lambda frame, name: frame.set_axis(
        pd.timedelta_range("1h", periods=frame.shape[1]), axis=1
    ),
    "labels that are numbers": lambda frame, name: frame.set_axis(range(frame.shape[1]), axis=1),
}


@st.composite
def reading_frames(draw: Any) -> Case:
    """Readings."""
    rows = draw(st.integers(1, 6))
    tame = draw(st.integers(0, 3)) == 0
    odd = draw(st.sampled_from(["site_uuid", "start_utc", "end_utc", "power"]))
    power = draw(st.sampled_from(["power_kw", "generation_power_kw"]))
    made = {
        "site_uuid": columns("site", hostile.good_sites, hostile.bad_sites, rows, tame=tame or odd != "site_uuid"),
        "start_utc": columns("time", hostile.good_times, hostile.odd_times, rows, tame=tame or odd != "start_utc"),
        power: columns("number", hostile.good_powers, hostile.odd_powers, rows, tame=tame or odd != "power"),
    }
    if odd == "end_utc":
        made["end_utc"] = columns("time", hostile.good_times, hostile.odd_times, rows, tame=tame)
    frame = pd.DataFrame({name: draw(column) for name, column in made.items()})
    frame = SHAPES[draw(st.sampled_from(list(SHAPES)))](frame)
    return Case(frame, draw(st.sampled_from(["ignore", "update", "error"])), tame and odd != "end_utc", {})


def expected_readings(
    frame: pd.DataFrame, on_conflict: str
) -> tuple[dict[tuple[Any, int], tuple[int, float]], int] | None:
    """By site and start, what has to be stored, and how many rows differ from that; None where it cannot be."""
    power = "power_kw" if has(frame, "power_kw") else "generation_power_kw"
    found: dict[tuple[Any, int], tuple[int, float]] = {}
    rows: list[tuple[tuple[Any, int], tuple[int, float]]] = []
    starts = cells(frame, "start_utc")
    ends = cells(frame, "end_utc") if has(frame, "end_utc") else [None] * len(frame)
    for site_cell, start_cell, end_cell, power_cell in zip(
        cells(frame, "site_uuid"), starts, ends, cells(frame, power), strict=True
    ):
        site, start, kw = site_of(site_cell), moment_of(start_cell), number_of(power_cell)
        if site is None or start is None or kw is None or start >= hostile.PAST_US:
            return None
        end = moment_of(end_cell) if has(frame, "end_utc") else start + 5 * MINUTE_US
        if end is None or not start < end <= hostile.PAST_US:
            return None
        if (site, start) in found and on_conflict == "error":
            return None
        rows.append(((site, start), (end, kw)))
        if on_conflict == "update" or (site, start) not in found:
            found[site, start] = (end, kw)
    return found, sum(found[key] != values for key, values in rows)


def insert_and_compare(repo: Repository, database: psycopg.Connection, case: Case) -> str:
    frame, on_conflict, tame, _ = case
    expected = expected_readings(frame, on_conflict)
    try:
        result = repo.generation.insert(frame, on_conflict=on_conflict)
    except PvsiteSqlError as error:
        assert str(error), case
        assert database.execute(READINGS).fetchall() == [], case
        assert not (tame and expected is not None), (case, error)
        return "refused"
    stored = database.execute(READINGS).fetchall()
    database.execute("DELETE FROM generation")
    assert expected is not None, case
    readings, differing = expected
    assert {(site, start): (end, kw) for site, start, end, kw in stored} == readings, case
    skipped = len(frame) - len(readings)
    assert result == InsertResult(inserted=len(readings), skipped=skipped, differing=differing), case
    return "stored"


def test_frames_of_readings_are_stored_as_given_or_refused(repo: Repository, database: psycopg.Connection) -> None:
    seen: Counter[str] = Counter()

    @examples(600 if THOROUGH else 300)
    @given(reading_frames())
    def check(case: Case) -> None:
        seen[insert_and_compare(repo, database, case)] += 1

    check()
    assert min(seen["stored"], seen["refused"]) > seen.total() // 10


def test_each_odd_cell_and_each_dtype(repo: Repository, database: psycopg.Connection) -> None:
    """Those that a few hundred frames at random may not meet."""
    plain = {
        "site_uuid": ("site", SITES[0], str(SITES[0]), hostile.BAD_SITES),
        "start_utc": ("time", NOON, NOON.replace(tzinfo=None), hostile.ODD_TIMES),
        "end_utc": ("time", NOON + HOUR, pd.Timestamp(NOON + HOUR), hostile.ODD_TIMES),
        "power_kw": ("number", 1, 0.5, hostile.ODD_POWERS),
    }
    good = pd.DataFrame({name: pd.Series([cell], dtype=object) for name, (_, cell, _, _) in plain.items()})
    for name, (kind, first, second, odd) in plain.items():
        dtypes = [object, *hostile.DTYPES[kind], *hostile.ODD_DTYPES]
        tried = [*([[cell], object] for cell in odd), *([[first, cell], object] for cell in odd)]
        tried += [[cells, dtype] for cells in ([first], [second], [first, second]) for dtype in dtypes]
        for cells, dtype in tried:
            frame = good.loc[[0] * len(cells)].reset_index(drop=True)
            insert_and_compare(
                repo, database, Case(frame.assign(**{name: hostile.series(cells, dtype)}), "update", False)
            )


def test_broken_frames_of_readings_are_refused(repo: Repository, database: psycopg.Connection) -> None:
    @examples(100)
    @given(reading_frames(), st.sampled_from(list(BROKEN)), st.sampled_from(["site_uuid", "start_utc"]))
    def check(case: Case, broken: str, name: str) -> None:
        with pytest.raises(PvsiteSqlError):
            repo.generation.insert(BROKEN[broken](case.frame, name), on_conflict=case.on_conflict)
        assert database.execute(READINGS).fetchall() == []

    check()


LEVEL = re.compile(r"p\d+(\.\d+)?")
TEXTS = ("forecast_version", "model_name", "model_version")
KEYWORDS = ("site_uuid", "timestamp_utc", "created_utc", *TEXTS)
Key = tuple[Any, ...]


@st.composite
def forecast_frames(draw: Any) -> Case:
    """Forecasts: tidy ones, of which one column is spoiled."""
    slots = draw(
        st.lists(st.tuples(st.sampled_from(SITES[:2]), st.integers(0, 5)), min_size=1, max_size=6, unique=True)
    )
    rows = len(slots)
    tame = draw(st.integers(0, 3)) == 0
    length = draw(st.sampled_from([30, 5, 1440]))
    starts = [NOON + timedelta(minutes=length * slot) for _, slot in slots]
    frame = pd.DataFrame(
        {
            "site_uuid": pd.Series([site for site, _ in slots], dtype=object),
            "timestamp_utc": hostile.series([NOON] * rows, draw(st.sampled_from([object, None]))),
            "start_utc": starts,
            "end_utc": [start + timedelta(minutes=length) for start in starts],
            "forecast_power_kw": draw(columns("number", hostile.good_powers, hostile.odd_powers, rows, tame=True)),
        }
    )
    for name in draw(st.sets(st.sampled_from([*TEXTS, "created_utc", "p10", "p90.5", "horizon_minutes"]))):
        if name in TEXTS:
            frame[name] = hostile.series([draw(hostile.good_texts)] * rows, object)
        elif name == "created_utc":
            frame[name] = NOON
        elif name == "horizon_minutes":
            frame[name] = [length * slot for _, slot in slots]
        else:
            frame[name] = draw(columns("number", hostile.good_powers | st.none(), hostile.odd_powers, rows, tame=True))
    more = {}
    if not tame:
        name = draw(st.sampled_from([*frame.columns, "probabilistic_values", *TEXTS, "created_utc"]))
        if name in KEYWORDS and draw(st.integers(0, 3)) == 0:
            kind = (
                hostile.bad_sites if name == "site_uuid" else hostile.odd_texts if name in TEXTS else hostile.odd_times
            )
            more[name] = draw(kind)
            frame = frame.drop(columns=name, errors="ignore")
        else:
            frame[name] = draw(spoiled(name, rows)).set_axis(frame.index)
        frame = SHAPES[draw(st.sampled_from(list(SHAPES)))](frame)
    return Case(frame, draw(st.sampled_from(["replace", "ignore", "error"])), tame, more)


def spoiled(name: str, rows: int) -> Any:
    """A column of that name with odd cells or of an odd type."""
    if name == "site_uuid":
        return columns("site", hostile.good_sites, hostile.bad_sites, rows, tame=False)
    if name in TEXTS:
        return columns("text", hostile.good_texts, hostile.odd_texts, rows, tame=False)
    if name.endswith("_utc"):
        good = hostile.good_times | st.just(NOON)
        return columns("time", good, hostile.odd_times, rows, tame=False)
    if name == "probabilistic_values":
        names = st.sampled_from(["p10", "p90", "", "mean", "a'b", *hostile.ODD_TEXTS[:-4]])
        cell = st.dictionaries(names.filter(lambda n: not isinstance(n, (list, dict))), hostile.odd_powers, max_size=2)
        return columns("number", cell | st.none(), hostile.odd_powers | cell, rows, tame=False)
    return columns("number", hostile.good_powers, hostile.odd_powers, rows, tame=False)


def expected_forecasts(case: Case) -> dict[Key, dict[int, tuple[Any, ...]]] | None:
    """By key and start: how long, power, levels and when it was made; None where it cannot be stored."""
    found: dict[Key, dict[int, tuple[Any, ...]]] = defaultdict(dict)
    made = {name: cells(case.frame, name) for name in COLUMNS if has(case.frame, name)}
    made |= {name: cells(case.frame, name) for name in case.frame if isinstance(name, str) and LEVEL.fullmatch(name)}
    made |= {name: [value] * len(case.frame) for name, value in case.more.items() if value is not None}
    needed = {"site_uuid", "timestamp_utc", *(["model_name"] if "model_version" in made else [])}
    if not needed <= set(made):
        return None
    for row in (dict(zip(made, values, strict=True)) for values in zip(*made.values(), strict=True)):
        value = forecast_value(row)
        if value is None:
            return None
        key, start, rest = value
        if start in found[key]:
            return None
        found[key][start] = rest
    return dict(found) if all(fits(values) for values in found.values()) else None


def forecast_value(row: dict[str, Any]) -> tuple[Key, int, tuple[Any, ...]] | None:  # noqa: PLR0911  one a rule
    site, timestamp = site_of(row["site_uuid"]), moment_of(row["timestamp_utc"])
    start, end, kw = moment_of(row["start_utc"]), moment_of(row["end_utc"]), real_of(row["forecast_power_kw"])
    made = moment_of(row["created_utc"]) if "created_utc" in row else 0
    if None in (site, timestamp, start, end, kw, made):
        return None
    texts = {name: None if is_absent(row.get(name)) else text_of(row[name]) for name in TEXTS}
    if any(texts[name] is None and not is_absent(row.get(name)) for name in TEXTS) or texts["model_name"] == "":
        return None
    version = texts["model_version"] or ""
    if version and texts["model_name"] is None:
        return None
    given = {name: cell for name, cell in row.items() if LEVEL.fullmatch(name)}
    of_dict = row.get("probabilistic_values")
    if not is_absent(of_dict):
        if not isinstance(of_dict, dict) or any(text_of(name) is None for name in of_dict):
            return None
        given |= of_dict
    levels = {name: real_of(cell) for name, cell in given.items() if not is_absent(cell)}
    if None in levels.values():
        return None
    model = None if texts["model_name"] is None else (texts["model_name"], version)
    horizon = row.get("horizon_minutes")
    told = number_of(horizon)
    if told is not None and abs((start - timestamp) / MINUTE_US - told) >= 1:
        return None
    key = (site, timestamp, model, texts["forecast_version"] or "")
    return key, start, (end - start, kw, tuple(sorted(levels.items())), made)


def fits(values: dict[int, tuple[Any, ...]]) -> bool:
    """Whether they are one forecast: of one length, on one grid, made at one time, in the calendar."""
    first = min(values)
    lengths = {rest[0] for rest in values.values()}
    return (
        len(lengths) == 1
        and len({rest[3] for rest in values.values()}) == 1
        and (length := lengths.pop()) % MINUTE_US == 0
        and 0 < length <= 1440 * MINUTE_US
        and all((start - first) % length == 0 for start in values)
        and (max(values) - first) // length < 100_000
        and max(values) < hostile.PAST_US
    )


def stored_forecasts(database: psycopg.Connection, made: bool) -> dict[Key, dict[int, tuple[Any, ...]]]:
    found: dict[Key, dict[int, tuple[Any, ...]]] = {}
    for row in database.execute(STORED):
        site, timestamp, name, version, forecast_version, _, created, start, minutes, power, levels, level_kw = row
        key = (site, moment_of(timestamp), None if name is None else (name, version), forecast_version)
        found[key] = {}
        for slot, kw in enumerate(power):
            of = sorted((level, line[slot]) for level, line in zip(levels or [], level_kw or [], strict=True))
            at = moment_of(start) + slot * minutes * MINUTE_US
            if kw is not None:
                shown = tuple((level, float(np.float32(x))) for level, x in of if x is not None)
                found[key][at] = (minutes * MINUTE_US, float(np.float32(kw)), shown, moment_of(created) if made else 0)
    return found


def insert_and_compare_forecasts(repo: Repository, database: psycopg.Connection, case: Case) -> str:
    expected = expected_forecasts(case)
    try:
        result = repo.forecasts.insert(case.frame, on_conflict=case.on_conflict, **case.more)
    except PvsiteSqlError as error:
        assert str(error), case
        assert stored_forecasts(database, made=True) == {}, case
        assert database.execute("SELECT name FROM ml_models").fetchall() == [], case
        assert not (case.tame and expected is not None), (case, error)
        return "refused"
    stored = stored_forecasts(database, has(case.frame, "created_utc") or case.more.get("created_utc") is not None)
    database.execute("DELETE FROM forecasts; DELETE FROM ml_models")
    assert expected is not None, case
    assert stored == expected, case
    assert result == InsertResult(inserted=len(expected)), case
    return "stored"


def test_frames_of_forecasts_are_stored_as_given_or_refused(repo: Repository, database: psycopg.Connection) -> None:
    seen: Counter[str] = Counter()

    @examples(600 if THOROUGH else 300)
    @given(forecast_frames())
    def check(case: Case) -> None:
        seen[insert_and_compare_forecasts(repo, database, case)] += 1

    check()
    assert min(seen["stored"], seen["refused"]) > seen.total() // 10


class NoZone(tzinfo):
    """A zone that fails when it is asked."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError("no such place")

    dst = tzname = utcoffset


UNREADABLE: dict[str, Any] = {
    "date32": pa.array([0, 2**31 - 1], pa.date32()),
    "date64": pa.array([0, 2**30 * 86_400_000], pa.date64()),
    "timestamp": pa.array([0, 2**40], pa.timestamp("s")),
    "timestamp with a zone": pa.array([0, 2**40], pa.timestamp("s", "UTC")),
    "timestamp with an unknown zone": pa.array([0, 1], pa.timestamp("s", "Nowhere/Land")),
    "timestamp with an impossible offset": pa.array([0, 1], pa.timestamp("s", "+99:00")),
    "duration": pa.array([0, 2**60], pa.duration("s")),
    "months, days and nanoseconds": pa.array([(1, 2, 3)] * 2, pa.month_day_nano_interval()),
    "binary_view": pa.array([b"a", b"b"], pa.binary_view()),
    "a number of too many digits to print": [10**5000] * 2,
    "a zone that fails": [NOON.replace(tzinfo=NoZone())] * 2,
}


@pytest.mark.parametrize("odd", UNREADABLE.values(), ids=UNREADABLE)
def test_columns_that_cannot_be_read_are_refused(repo: Repository, database: psycopg.Connection, odd: Any) -> None:
    column = pd.Series(odd, dtype=pd.ArrowDtype(odd.type) if isinstance(odd, pa.Array) else object)
    reading = {"site_uuid": SITES[0], "start_utc": NOON, "end_utc": NOON + HOUR, "power_kw": 1.0}
    forecast = {"site_uuid": SITES[0], "timestamp_utc": NOON, "start_utc": [NOON, NOON + HOUR], "created_utc": NOON}
    forecast |= {"end_utc": [NOON + HOUR, NOON + 2 * HOUR], "forecast_power_kw": 1.0, "horizon_minutes": [0, 60]}
    forecast |= {"forecast_version": "", "model_name": "a", "model_version": "1"}
    for insert, plain in ((repo.generation.insert, reading), (repo.forecasts.insert, forecast)):
        for name in (*plain, *(["p10", "probabilistic_values"] if plain is forecast else [])):
            frame = pd.DataFrame(plain, index=[0, 1]).assign(**{name: column})
            with pytest.raises(InvalidInput) as refused:
                insert(frame)
            assert (refused.value.column or "").startswith(name), (name, str(refused.value))
    assert database.execute(READINGS).fetchall() == []
    assert stored_forecasts(database, made=False) == {}
