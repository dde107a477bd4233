"""Frames of whatever dtypes pandas has: what `generation.insert` takes, and what it refuses and how it says so."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from databases import Databases
from dateutil.tz import gettz

from pvsite_sql import Duplicate, InsertResult, InvalidInput, MissingReference, Repository

Change = Callable[[pd.DataFrame], Any]

ROWS = 8
UNMADE = pd.Timedelta(days=2450)  # from June 2024 to a month that has no partition
UNKNOWN = UUID(int=7)


@pytest.fixture(scope="module")
def repo(databases: Databases) -> Iterator[Repository]:
    """One database for all tests here: each has sites of its own."""
    with databases.clone("frames") as dsn, Repository(dsn, min_size=1) as repository:
        yield repository


@pytest.fixture
def frame(repo: Repository) -> pd.DataFrame:
    """Readings of two sites by turns."""
    sites = sorted(repo.sites.create().site_uuid for _ in range(2))
    return pd.DataFrame(
        {
            "site_uuid": pd.Series(sites * (ROWS // 2), dtype=object),
            "start_utc": pd.date_range("2024-06-01", periods=ROWS, freq="5min", tz="UTC", unit="us"),
            "power_kw": [float(n) for n in range(ROWS)],
        }
    )


def with_column(name: str, change: Callable[[pd.Series], Any]) -> Change:
    return lambda frame: frame.assign(**{name: change(frame[name])})


def objects(column: pd.Series, convert: Callable[[Any], Any]) -> pd.Series:
    return pd.Series([convert(cell) for cell in column], index=column.index, dtype=object)


def stored(repo: Repository, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    rows = repo.generation.read(frame["site_uuid"].unique())
    return [(row.site_uuid, row.start_utc, row.generation_power_kw) for row in rows]


def cells(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(zip(frame["site_uuid"], frame["start_utc"].dt.tz_convert("UTC"), frame["power_kw"], strict=True))


ARROW_STRING = pd.ArrowDtype(pa.string())
SITES: dict[str, Callable[[pd.Series], Any]] = {
    "text": lambda c: c.astype(str),
    "object of text": lambda c: objects(c, str),
    "string[python]": lambda c: c.astype(str).astype("string[python]"),
    "string[pyarrow]": lambda c: c.astype(str).astype("string[pyarrow]"),
    "arrow string": lambda c: c.astype(str).astype(ARROW_STRING),
    "arrow large string": lambda c: c.astype(str).astype(pd.ArrowDtype(pa.large_string())),
    "arrow dictionary": lambda c: pd.array(
        pa.array(map(str, c)).dictionary_encode(), dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
    "categorical of text": lambda c: c.astype(str).astype("category"),
    "categorical of uuids": lambda c: c.astype("category"),
    "categorical with one more": lambda c: pd.Categorical(c, categories=[UNKNOWN, *c.unique()]),
    "upper case": lambda c: objects(c, lambda u: str(u).upper()),
    "braces": lambda c: objects(c, lambda u: f"{{{u}}}"),
    "no hyphens": lambda c: objects(c, lambda u: u.hex),
    "urn": lambda c: objects(c, lambda u: u.urn),
    "all sorts": lambda c: objects(c, lambda u: [u, str(u), u.hex.upper()][u.int % 3]),
    "equal uuids": lambda c: objects(c, lambda u: UUID(str(u))),
}

LONDON, DENVER = ZoneInfo("Europe/London"), ZoneInfo("America/Denver")
STARTS: dict[str, Callable[[pd.Series], Any]] = {
    **{unit: lambda c, unit=unit: c.dt.as_unit(unit) for unit in ("s", "ms", "us", "ns")},
    **{
        f"naive {unit}": lambda c, unit=unit: c.dt.as_unit(unit).dt.tz_localize(None)
        for unit in ("s", "ms", "us", "ns")
    },
    **{str(zone): lambda c, zone=zone: c.dt.tz_convert(zone) for zone in (LONDON, DENVER, "Etc/GMT-14", "+05:45")},
    **{
        f"arrow {unit} {zone}": lambda c, unit=unit, zone=zone: (
            c.dt.tz_convert(zone) if zone else c.dt.tz_localize(None)
        ).astype(pd.ArrowDtype(pa.timestamp(unit, zone)))
        for unit in ("s", "us", "ns")
        for zone in (None, "UTC", "America/Denver")
    },
    "object of Timestamp": lambda c: c.astype(object),
    "object of datetime": lambda c: objects(c, pd.Timestamp.to_pydatetime),
    "object of naive datetime": lambda c: objects(c, lambda t: t.to_pydatetime().replace(tzinfo=None)),
    "object of datetime with fold": lambda c: objects(c, lambda t: t.to_pydatetime().replace(tzinfo=None, fold=1)),
    "object of np.datetime64": lambda c: objects(c, lambda t: t.to_datetime64().astype("M8[ns]")),
    "object of np.datetime64[s]": lambda c: objects(c, lambda t: t.to_datetime64().astype("M8[s]")),
    "object of mixed zones": lambda c: objects(c, lambda t: t.tz_convert([LONDON, DENVER, UTC][t.minute % 3])),
    "object of naive and aware": lambda c: objects(
        c, lambda t: t.tz_localize(None).to_pydatetime() if t.minute % 2 else t.astimezone(timezone(timedelta(hours=3)))
    ),
    "categorical": lambda c: c.astype("category"),
    "categorical, London": lambda c: c.dt.tz_convert(LONDON).astype("category"),
}

INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint64", "Int64", "UInt8")
FLOATS = ("float16", "float32", "float64", "longdouble", "Float32", "Float64", "Sparse[float64]")
POWERS: dict[str, Callable[[pd.Series], Any]] = {
    **{name: lambda c, name=name: c.astype(name) for name in INTEGERS + FLOATS},
    "arrow double": lambda c: c.astype(pd.ArrowDtype(pa.float64())),
    "arrow float": lambda c: c.astype(pd.ArrowDtype(pa.float32())),
    "arrow int16": lambda c: c.astype(pd.ArrowDtype(pa.int16())),
    "arrow decimal": lambda c: objects(c, decimal.Decimal).astype(pd.ArrowDtype(pa.decimal128(12, 4))),
    "object of float": lambda c: c.astype(object),
    "object of int": lambda c: objects(c, int),
    "object of int and float": lambda c: objects(c, lambda p: int(p) if p > 2 else p),
    "object of np.float32": lambda c: objects(c, np.float32),
    "object of Decimal": lambda c: objects(c, decimal.Decimal),
    "categorical of float": lambda c: c.astype("category"),
    "categorical of int": lambda c: c.astype(int).astype("category"),
}


def read_only(frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in frame:
        values = frame[name].dt.tz_localize(None).to_numpy() if name == "start_utc" else frame[name].to_numpy()
        columns[name] = values.copy()
        columns[name].flags.writeable = False
    return pd.DataFrame(columns, copy=False)


SHAPES: dict[str, Change] = {
    "as it is": lambda f: f,
    "one label": lambda f: f.set_axis(["x"] * len(f)),
    "labels of a concat": lambda f: f.set_axis([*range(len(f) // 2)] * 2 if len(f) else []),
    "a MultiIndex": lambda f: f.set_index(["site_uuid", "start_utc"], drop=False),
    "a DatetimeIndex": lambda f: f.set_index("start_utc", drop=False),
    "backwards": lambda f: f.iloc[::-1],
    "index of NaN": lambda f: f.set_axis([np.nan] * len(f)),
    "extra columns": lambda f: f.assign(note="x", created_utc=pd.NaT, **{"0": [[1]] * len(f)}),
    "a column whose name is a number": lambda f: f.assign(x=1).rename(columns={"x": 7}),
    "categorical columns": lambda f: f.set_axis(pd.CategoricalIndex(f.columns), axis=1),
    "columns of Arrow texts": lambda f: f.set_axis(f.columns.astype(ARROW_STRING), axis=1),
    "columns of string[pyarrow]": lambda f: f.set_axis(f.columns.astype("string[pyarrow]"), axis=1),
    "columns in another order": lambda f: f[["power_kw", "start_utc", "site_uuid"]],
    "generation_power_kw": lambda f: f.rename(columns={"power_kw": "generation_power_kw"}),
    "location_uuid": lambda f: f.rename(columns={"site_uuid": "location_uuid"}),
    "read-only": read_only,
    "a slice with a stride": lambda f: f.loc[f.index.repeat(2)].iloc[1::2],
    "columns of one array": lambda f: f.assign(a=0.0, b=1.0).copy(),
    "a mask": lambda f: pd.concat([f.assign(power_kw=np.nan), f])[lambda g: g["power_kw"].notna()],
}

CHANGES = {
    **{f"site_uuid: {name}": with_column("site_uuid", change) for name, change in SITES.items()},
    **{f"start_utc: {name}": with_column("start_utc", change) for name, change in STARTS.items()},
    **{f"power_kw: {name}": with_column("power_kw", change) for name, change in POWERS.items()},
    **SHAPES,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_stores_what_the_frame_says_and_leaves_the_frame_alone(repo, frame, change):
    given = change(frame)
    before = given.copy(deep=True)
    assert repo.generation.insert(given.iloc[:0]) == InsertResult()
    assert repo.generation.insert(given) == InsertResult(inserted=ROWS)
    assert stored(repo, frame) == cells(frame)
    assert repo.generation.insert(given, on_conflict="update") == InsertResult(skipped=ROWS)
    pd.testing.assert_frame_equal(given, before, check_freq=True, check_flags=True)


def test_arrow_uuids(repo, frame):
    if not hasattr(pa, "uuid"):
        pytest.skip("this pyarrow has no uuid type")
    uuids = pa.array([uuid.bytes for uuid in frame["site_uuid"]], pa.uuid())
    given = frame.assign(site_uuid=pd.array(uuids, dtype=pd.ArrowDtype(pa.uuid())))
    assert repo.generation.insert(given) == InsertResult(inserted=ROWS)
    assert stored(repo, frame) == cells(frame)


CLOCK_CHANGES = {  # the first start (UTC) of eight half hours in which a zone's clock is put back or forward
    "London, back": ("Europe/London", "2024-10-26T23:30"),
    "London, forward": ("Europe/London", "2024-03-30T23:30"),
    "Denver, back": ("America/Denver", "2024-11-03T06:30"),
    "Denver, forward": ("America/Denver", "2024-03-10T07:30"),
}
KINDS: dict[str, Callable[[pd.Series], Any]] = {
    "datetime64": lambda c: c,
    "arrow": lambda c: c.astype(pd.ArrowDtype(pa.timestamp("us", str(c.dt.tz)))),
    "Timestamp": lambda c: c.astype(object),
    "datetime": lambda c: objects(c, lambda t: t.to_pydatetime()),
    "datetime, the second hour first": lambda c: objects(c, lambda t: t.to_pydatetime())[::-1],
    "datetime of dateutil": lambda c: objects(c, lambda t: t.to_pydatetime().astimezone(gettz(str(t.tz)))),
    "categorical": lambda c: c.astype("category"),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("zone", "first"), CLOCK_CHANGES.values(), ids=CLOCK_CHANGES)
def test_an_hour_that_a_clock_shows_twice_or_never(repo, frame, zone, first, kind):
    starts = pd.date_range(first, periods=ROWS, freq="30min", tz="UTC", unit="us").tz_convert(ZoneInfo(zone))
    frame = frame.assign(site_uuid=frame["site_uuid"][0], start_utc=starts)
    given = frame.assign(start_utc=lambda f: kind(f["start_utc"]))
    assert repo.generation.insert(given) == InsertResult(inserted=ROWS)
    assert stored(repo, frame) == cells(frame)


@pytest.mark.parametrize("first", ["1970-01-01", "1999-12-31T23:50", "2099-12-31T23:20"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_the_first_and_last_times_that_there_are(repo, frame, first, unit):
    starts = pd.date_range(first, periods=ROWS, freq="5min", tz="UTC", unit=unit)
    repo.generation.insert(frame.assign(start_utc=starts, end_utc=starts + pd.Timedelta(minutes=5)))
    assert {row[1] for row in stored(repo, frame)} == set(starts)


def cells_at(name: str, positions: range, value: Any, dtype: Any = object) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        column = [value if n in positions else cell for n, cell in enumerate(frame[name].astype(object))]
        if str(dtype) in (NAIVE, "M8[ns]"):
            column = [cell.tz_localize(None) for cell in column]
        return frame.assign(**{name: pd.Series(column, dtype=dtype)})

    return change


def renamed(*names: Any) -> Change:
    return lambda frame: frame.set_axis(list(names), axis=1)


def ends(offset: str) -> Change:
    return lambda frame: frame.assign(end_utc=frame["start_utc"] + pd.Timedelta(offset))


NONE, ALL, MOST, LAST = range(0), range(ROWS), range(1, ROWS), range(ROWS - 1, ROWS)
NAIVE = "M8[us]"
POWER, START, SITE, END = "power_kw", "start_utc", "site_uuid", "end_utc"
NO_POWER, OUTSIDE = "no value (NaN or NULL)", "must be between 1970-01-01 and 2100-01-01 UTC"
BEYOND, FRACTION = "must be a number that fits double precision", "must not have a fraction of a microsecond"

BAD: dict[str, tuple[Change, str | None, range, str]] = {
    # name: (what is done to a good frame, the column and the rows that the error names, its reason)
    "NaN": (cells_at(POWER, MOST, np.nan, float), POWER, MOST, NO_POWER),
    "NaN, float32": (cells_at(POWER, LAST, np.nan, "float32"), POWER, LAST, NO_POWER),
    "None": (cells_at(POWER, MOST, None), POWER, MOST, NO_POWER),
    "nothing but None": (cells_at(POWER, ALL, None), POWER, ALL, NO_POWER),
    "pd.NA": (cells_at(POWER, LAST, pd.NA), POWER, LAST, NO_POWER),
    "pd.NA, Float64": (cells_at(POWER, MOST, pd.NA, "Float64"), POWER, MOST, NO_POWER),
    "null, Int64": (lambda f: f.assign(power_kw=pd.array([None, *range(7)], "Int64")[::-1]), POWER, LAST, NO_POWER),
    "null, arrow": (cells_at(POWER, LAST, None, pd.ArrowDtype(pa.float64())), POWER, LAST, NO_POWER),
    "NaN, Decimal": (cells_at(POWER, ALL, decimal.Decimal("NaN")), POWER, ALL, NO_POWER),
    "sNaN, Decimal": (cells_at(POWER, ALL, decimal.Decimal("sNaN")), POWER, ALL, BEYOND),
    "null, category": (cells_at(POWER, LAST, None, "category"), POWER, LAST, NO_POWER),
    "null, category of int": (lambda f: f.assign(power_kw=pd.Categorical([*range(7), None])), POWER, LAST, NO_POWER),
    "inf": (cells_at(POWER, MOST, np.inf, float), POWER, MOST, "must be finite"),
    "-inf": (cells_at(POWER, LAST, -np.inf, float), POWER, LAST, "must be finite"),
    "inf, Decimal": (cells_at(POWER, ALL, decimal.Decimal("1e400")), POWER, ALL, "must be finite"),
    "an integer of 400 digits": (cells_at(POWER, LAST, 10**400), POWER, LAST, BEYOND),
    "an integer that would be rounded": (
        lambda f: f.assign(power_kw=np.array([0] * 7 + [2**53 + 1])),
        POWER,
        LAST,
        "integers must be smaller than 2**53 to be stored exactly",
    ),
    "power of bool": (
        lambda f: f.assign(power_kw=f.power_kw > 2),
        POWER,
        NONE,
        "must be numbers, got boolean (dtype bool)",
    ),
    "power of boolean": (
        lambda f: f.assign(power_kw=(f.power_kw > 2).astype("boolean")),
        POWER,
        NONE,
        "must be numbers, got boolean (dtype boolean)",
    ),
    "bool among floats": (cells_at(POWER, LAST, True), POWER, NONE, "must be numbers, got mixed (dtype object)"),
    "power of text": (
        lambda f: f.assign(power_kw=f.power_kw.astype(str).astype(object)),
        POWER,
        NONE,
        "must be numbers, got string (dtype object)",
    ),
    "text among floats": (cells_at(POWER, LAST, "n/a"), POWER, NONE, "must be numbers, got mixed (dtype object)"),
    "power of bytes": (
        lambda f: f.assign(power_kw=pd.Series([b"1"] * ROWS, dtype=object)),
        POWER,
        NONE,
        "must be numbers, got bytes (dtype object)",
    ),
    "complex": (
        lambda f: f.assign(power_kw=f.power_kw * 1j),
        POWER,
        NONE,
        "must be numbers, got complex (dtype complex128)",
    ),
    "power of timedelta": (
        lambda f: f.assign(power_kw=pd.to_timedelta(f.power_kw, "s").dt.as_unit("ns")),
        POWER,
        NONE,
        "must be numbers, got timedelta64 (dtype timedelta64[ns])",
    ),
    "NaT": (cells_at(START, MOST, pd.NaT, NAIVE), START, MOST, "no value"),
    "NaT, object": (cells_at(START, MOST, pd.NaT), START, MOST, "no value"),
    "NaT, np.datetime64": (cells_at(START, LAST, np.datetime64("NaT", "us")), START, LAST, "no value"),
    "None as time": (cells_at(START, LAST, None), START, LAST, "no value"),
    "null, arrow time": (
        cells_at(START, LAST, None, pd.ArrowDtype(pa.timestamp("us", "UTC"))),
        START,
        LAST,
        "no value",
    ),
    "NaT as end": (lambda f: cells_at(END, MOST, pd.NaT, "M8[us, UTC]")(ends("5min")(f)), END, MOST, "no value"),
    "end is start": (ends("0s"), END, ALL, "must be after start_utc"),
    "end before start": (ends("-1us"), END, ALL, "must be after start_utc"),
    "one end before its start": (
        lambda f: f.assign(end_utc=f[START].shift(-1, fill_value=f[START][0])),
        END,
        LAST,
        "must be after start_utc",
    ),
    "times as text": (cells_at(START, ALL, "2024-06-01"), START, ALL, "must be a datetime, got '2024-06-01'"),
    "a text among times": (cells_at(START, LAST, "soon"), START, LAST, "must be a datetime, got 'soon'"),
    "times as numbers": (cells_at(START, ALL, 1717200000, "int64"), START, NONE, "must be datetimes, got dtype int64"),
    "times as numbers, object": (cells_at(START, LAST, 5), START, LAST, "must be a datetime, got 5"),
    "times as arrow text": (
        cells_at(START, ALL, "x", ARROW_STRING),
        START,
        NONE,
        "must be datetimes, got dtype string[pyarrow]",
    ),
    "dates": (
        cells_at(START, MOST, date(2031, 3, 1)),
        START,
        MOST,
        "must be a datetime, got datetime.date(2031, 3, 1)",
    ),
    "arrow dates": (
        cells_at(START, ALL, date(2031, 3, 1), pd.ArrowDtype(pa.date32())),
        START,
        NONE,
        "must be datetimes, got dtype date32[day][pyarrow]",
    ),
    "periods": (
        lambda f: f.assign(start_utc=pd.period_range("2031-03", periods=ROWS, freq="D")),
        START,
        NONE,
        "must be datetimes, got dtype period[D]",
    ),
    "ends as numbers": (lambda f: f.assign(end_utc=5), END, NONE, "must be datetimes, got dtype int64"),
    "categories that are no times": (
        cells_at(START, ALL, "soon", "category"),
        START,
        ALL,
        "must be a datetime, got 'soon'",
    ),
    "1969": (cells_at(START, LAST, pd.Timestamp("1969-12-31T23:59:59.999999"), NAIVE), START, LAST, OUTSIDE),
    "2100": (cells_at(START, MOST, pd.Timestamp("2100-01-01"), NAIVE), START, MOST, OUTSIDE),
    "2100 in London": (cells_at(START, LAST, datetime(2100, 1, 1, tzinfo=LONDON)), START, LAST, OUTSIDE),
    "year 1": (cells_at(START, LAST, datetime(1, 1, 1)), START, LAST, OUTSIDE),  # noqa: DTZ001  naive means UTC
    "year 9999": (cells_at(START, MOST, datetime(9999, 12, 31, 23, 59)), START, MOST, OUTSIDE),  # noqa: DTZ001  too
    "year 9999, s": (
        lambda f: f.assign(start_utc=np.array(["2031-03"] * 7 + ["9999-12"], "M8[s]")),
        START,
        LAST,
        OUTSIDE,
    ),
    "before year 1": (
        cells_at(START, LAST, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        START,
        LAST,
        "must be within the years 1 to 9999 (UTC), got 0001-01-01 00:00:00+01:00",
    ),
    "year 20000": (
        cells_at(START, LAST, np.datetime64("20000-01-01", "s")),
        START,
        LAST,
        "must be within the years 1 to 9999 (UTC), got 20000-01-01 00:00:00",
    ),
    "year 2**50": (
        cells_at(START, LAST, np.datetime64(2**50, "Y")),
        START,
        LAST,
        f"must be within the years 1 to 9999 (UTC), got {np.datetime64(2**50, 'Y')}",
    ),
    "seconds that overflow": (lambda f: f.assign(start_utc=np.full(ROWS, 2**62, "M8[s]")), START, ALL, OUTSIDE),
    "an end in 2100": (ends("28000D"), END, ALL, OUTSIDE),
    "lasts into 2100": (
        cells_at(START, LAST, pd.Timestamp("2099-12-31T23:55:00.000001"), NAIVE),
        START,
        LAST,
        "the reading ends after 2100-01-01 UTC",
    ),
    "nanoseconds": (
        cells_at(START, MOST, pd.Timestamp("2031-03-01") + pd.Timedelta(1), "M8[ns]"),
        START,
        MOST,
        FRACTION,
    ),
    "nanoseconds, object": (
        cells_at(START, LAST, pd.Timestamp("2031-03-01") + pd.Timedelta(1)),
        START,
        LAST,
        f"{FRACTION}, got 2031-03-01 00:00:00.000000001",
    ),
    "no uuid": (cells_at(SITE, MOST, "site-1"), SITE, MOST, "must be a UUID, got 'site-1'"),
    "no uuid, str": (cells_at(SITE, LAST, "", str), SITE, LAST, "must be a UUID, got ''"),
    "31 digits": (cells_at(SITE, LAST, "f" * 31), SITE, LAST, f"must be a UUID, got '{'f' * 31}'"),
    "a blank for a digit": (cells_at(SITE, LAST, " " + "f" * 31), SITE, LAST, f"must be a UUID, got ' {'f' * 31}'"),
    "None as site": (cells_at(SITE, MOST, None), SITE, MOST, "no value"),
    "NaN as site": (cells_at(SITE, LAST, np.nan), SITE, LAST, "no value"),
    "null as site": (
        lambda f: f.assign(site_uuid=f[SITE].astype(str).astype(ARROW_STRING).where(f.index < 7)),
        SITE,
        LAST,
        "no value",
    ),
    "null as category": (cells_at(SITE, LAST, None, "category"), SITE, LAST, "no value"),
    "numbers as sites": (cells_at(SITE, ALL, 7, "int64"), SITE, ALL, "must be a UUID, got 7"),
    "a number as site": (cells_at(SITE, LAST, 7), SITE, LAST, "must be a UUID, got 7"),
    "bytes as sites": (cells_at(SITE, ALL, b"0123456789abcdef"), SITE, ALL, "must be a UUID, got b'0123456789abcdef'"),
    "lists as sites": (
        lambda f: f.assign(site_uuid=[[1]] * ROWS),
        SITE,
        NONE,
        "cells must be single values: unhashable type: 'list'",
    ),
    "structs as sites": (
        cells_at(SITE, ALL, {"a": 1}, pd.ArrowDtype(pa.struct([("a", pa.int64())]))),
        SITE,
        NONE,
        "cells must be single values: unhashable type: 'dict'",
    ),
    "no power_kw": (renamed(SITE, START, "power"), POWER, NONE, "the column is missing"),
    "no start_utc": (renamed(SITE, "start", POWER), START, NONE, "the column is missing"),
    "no uuid, location_uuid": (
        lambda f: cells_at(SITE, MOST, "site-1")(f).rename(columns={SITE: "location_uuid"}),
        "location_uuid",
        MOST,
        "must be a UUID, got 'site-1'",
    ),
    "both names of the site": (
        lambda f: f.assign(location_uuid=f[SITE]),
        SITE,
        NONE,
        "the frame must not have both site_uuid and location_uuid",
    ),
    "no site_uuid": (renamed("site", START, POWER), SITE, NONE, "the column is missing"),
    "site_uuid as index": (lambda f: f.set_index(SITE), SITE, NONE, "the column is missing"),
    "columns that are times": (renamed(*pd.date_range("2024", periods=3)), SITE, NONE, "the column is missing"),
    "both names of power": (
        lambda f: f.assign(generation_power_kw=f.power_kw),
        POWER,
        NONE,
        "the frame must not have both power_kw and generation_power_kw",
    ),
    "power_kw twice": (lambda f: f[[SITE, START, POWER, POWER]], POWER, NONE, "2 columns have this name"),
    "site_uuid three times": (lambda f: f[[SITE, SITE, START, POWER, SITE]], SITE, NONE, "3 columns have this name"),
    "end_utc twice": (lambda f: ends("5min")(f)[[SITE, START, END, END, POWER]], END, NONE, "2 columns have this name"),
    "columns of two levels": (
        lambda f: pd.concat({"a": f}, axis=1),
        SITE,
        NONE,
        "the frame must not have a MultiIndex as its columns",
    ),
    "columns of two levels, swapped": (
        lambda f: pd.concat({"a": f}, axis=1).swaplevel(axis=1),
        SITE,
        NONE,
        "the frame must not have a MultiIndex as its columns",
    ),
}


def nothing_came_of_it(repo: Repository, sites: list[UUID], good: pd.DataFrame) -> None:
    assert repo.generation.read(sites) == []
    with repo._session.transaction("read") as call:
        months = [date(2031, 2, 1), date(2031, 3, 1)]
        assert call.values("engine/missing_partitions", parent="generation", months=months) == months
    assert repo.generation.insert(good) == InsertResult(inserted=ROWS)


@pytest.mark.parametrize(("change", "column", "rows", "reason"), BAD.values(), ids=BAD)
def test_refuses_what_cannot_be_stored_and_says_where(repo, frame, change, column, rows, reason):
    bad = change(frame.assign(start_utc=frame["start_utc"] + UNMADE))
    before = str(list(bad.itertuples(name=None)))
    for number, frames in ((None, bad), (1, [frame, bad]), (2, iter([frame, frame.iloc[:0], bad]))):
        with pytest.raises(InvalidInput) as caught:
            repo.generation.insert(frames, on_conflict="update" if number == 2 else "ignore")
        error = caught.value
        assert (error.frame, error.column, error.rows, error.count) == (number, column, tuple(rows[:5]), len(rows))
        assert error.reason == reason
    assert str(list(bad.itertuples(name=None))) == before
    nothing_came_of_it(repo, frame["site_uuid"].unique(), frame)


NO_FRAME = "must be a frame, of pandas or with __arrow_c_stream__"
NO_FRAMES = "must be a frame (of pandas, or with __arrow_c_stream__), or an iterable of frames or of Generation models"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (None, f"{NO_FRAMES}, got NoneType"),
        (5, f"{NO_FRAMES}, got int"),
        ("frame", f"frame 0: {NO_FRAME}, got str"),
        ([None], f"frame 0: {NO_FRAME}, got NoneType"),
        ({"site_uuid": [1]}, f"frame 0: {NO_FRAME}, got str"),
        ([[1.0]], f"frame 0: {NO_FRAME}, got list"),
    ],
    ids=str,
)
def test_refuses_what_is_no_frame(repo, frames, message):
    with pytest.raises(InvalidInput) as caught:
        repo.generation.insert(frames)
    assert str(caught.value) == message


def test_refuses_an_iterator_one_of_whose_items_is_no_frame(repo, frame):
    with pytest.raises(InvalidInput, match=f"frame 1: {NO_FRAME}, got list"):
        repo.generation.insert(iter([frame, [frame]]))
    nothing_came_of_it(repo, frame["site_uuid"].unique(), frame)


def test_messages_read_well(repo, frame):
    def message(bad: Any) -> str:
        with pytest.raises(InvalidInput) as caught:
            repo.generation.insert(bad)
        return str(caught.value)

    assert message(BAD["NaN"][0](frame)) == "power_kw, rows 1, 2, 3, 4, 5 and 2 more: no value (NaN or NULL)"
    assert message([frame, BAD["null, arrow"][0](frame)]) == "frame 1, power_kw, row 7: no value (NaN or NULL)"
    assert message(BAD["no start_utc"][0](frame)) == "start_utc: the column is missing"
    assert message([BAD["complex"][0](frame)]) == "frame 0, power_kw: must be numbers, got complex (dtype complex128)"


def test_rows_are_positions_whatever_the_labels(repo, frame):
    bad = frame.set_axis([7] * ROWS).iloc[::-1].assign(power_kw=[0, 1, np.nan, 3, np.nan, 5, 6, 7])
    with pytest.raises(InvalidInput) as caught:
        repo.generation.insert(bad)
    assert caught.value.rows == (2, 4)


@pytest.mark.parametrize("mode", ["ignore", "update", "error"])
@pytest.mark.parametrize("several", [False, True])
def test_unknown_sites_are_counted_and_the_first_named(repo, frame, mode, several):
    unknown = [UUID(int=n) for n in (9, 8, 3, 4, 5, 6, 7)]
    bad = frame.assign(start_utc=frame["start_utc"] + pd.Timedelta(days=1), site_uuid=[frame["site_uuid"][0], *unknown])
    with pytest.raises(MissingReference) as caught:
        repo.generation.insert([frame, bad] if several else bad, on_conflict=mode)
    assert caught.value.constraint_name == "generation_site_uuid_fkey"
    named = ", ".join(map(str, sorted(unknown)[:5]))
    assert str(caught.value) == f"7 unknown site_uuid(s): {named}, ..."
    nothing_came_of_it(repo, frame["site_uuid"].unique(), frame)


def test_rows_that_repeat_a_key_are_named_where_that_is_an_error(repo, frame):
    bad = pd.concat([frame, frame.iloc[2:4]])
    with pytest.raises(Duplicate) as caught:
        repo.generation.insert(bad, on_conflict="error")
    assert str(caught.value) == "rows 8, 9: the frame has another row with the same site and start"
    nothing_came_of_it(repo, frame["site_uuid"].unique(), frame)
