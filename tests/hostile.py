"""Frames that nobody should send, for hypothesis; and what their cells mean, said slowly and without the package."""

# ruff: noqa: DTZ001  naive times are among what is tried

from __future__ import annotations

import os
import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from dateutil.tz import gettz
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SITES = [UUID(int=1 << 120), UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff"), UUID(int=0xAB)]
UNKNOWN = UUID(int=7)
NAN = float("nan")
SECOND = 1_000_000  # microseconds
FIRST_US, PAST_US = 0, 4_102_444_800 * SECOND  # 1970 and 2100
HOSTILE_TEXTS = [
    "",
    "'; DROP TABLE sites; --",
    "%s %(x)s %",
    ":'x'",
    "\\",
    "\\N",
    '"',
    "a\x00b",
    "\ud83d",
    "é𝄞",
    "NULL",
]


def examples(number: int) -> settings:
    """So many examples, the same ones each time; PVSITE_SQL_EXAMPLES asks for another number, at random."""
    asked = os.environ.get("PVSITE_SQL_EXAMPLES")
    return settings(
        max_examples=int(asked or number),
        derandomize=asked is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class NoOffset(tzinfo):
    """A zone that does not say how far it is from UTC: its times are naive."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


LONDON, DENVER = ZoneInfo("Europe/London"), ZoneInfo("America/Denver")
ZONES = [UTC, LONDON, DENVER, gettz("Europe/London"), timezone(timedelta(hours=5, minutes=45))]

good_sites = st.sampled_from([*SITES, *map(str, SITES), SITES[1].hex.upper(), f"{{{SITES[1]}}}", np.str_(SITES[2])])
BAD_SITES: list[Any] = [UNKNOWN, str(UNKNOWN), SITES[0].int, SITES[0].bytes, 0, NAN, None, pd.NA, pd.NaT, True, [1], {}]
BAD_SITES += HOSTILE_TEXTS
bad_sites = st.sampled_from(BAD_SITES)

# few months, since each is a partition
_near = st.integers(0, 40).map(lambda n: datetime(2024, 3, 31, 0, tzinfo=UTC) + n * timedelta(minutes=5))
_edges = st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 55, tzinfo=UTC)])
aware = st.builds(lambda moment, zone: moment.astimezone(zone), _near | _near | _edges, st.sampled_from(ZONES))
naive = (_near | _near | _edges).map(lambda moment: moment.replace(tzinfo=None))
good_times = (
    aware | naive | aware.map(pd.Timestamp) | naive.map(pd.Timestamp) | naive.map(lambda t: np.datetime64(t, "us"))
)
ODD_TIMES: list[Any] = [
    datetime(1, 1, 1),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(1, 1, 1, fold=1, tzinfo=timezone(timedelta(hours=14))),
    datetime(9999, 12, 31, 23, 59, 59, 999_999),
    datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=14))),
    datetime(9999, 12, 31, 23, fold=1, tzinfo=timezone(-timedelta(hours=14))),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
    datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 30, tzinfo=LONDON),  # the clock skips it
    datetime(2024, 10, 27, 1, 30, tzinfo=LONDON),  # the clock shows it twice
    datetime(2024, 10, 27, 1, 30, fold=1, tzinfo=LONDON),
    datetime(2024, 10, 27, 1, 30, fold=1),
    datetime(2024, 3, 31, 1, tzinfo=NoOffset()),
    datetime(2024, 3, 31, 1, 0, 0, 1, tzinfo=UTC),
    pd.Timestamp("2024-03-31T00:00:00.000000001"),
    pd.Timestamp("2024-03-31T00:00:00.000000001Z"),
    pd.Timestamp("0001-01-01").as_unit("s"),
    pd.Timestamp("9999-12-31 23:59:59").as_unit("s"),
    pd.Timestamp.max,
    pd.Timestamp.min,
    np.datetime64("2024-03-31T00:00:00.000000001", "ns"),
    np.datetime64("2024-03-31T00:00:00.000000000001", "ps"),
    np.datetime64("2024-03-31T00:00:00.000000000000", "ps"),
    np.datetime64("2024-03-31", "D"),
    np.datetime64("2024", "Y"),
    np.datetime64("20240-01-01", "s"),
    np.datetime64("-20240-01-01", "Y"),
    np.datetime64("NaT", "us"),
    pd.NaT,
    None,
    pd.NA,
    NAN,
    np.inf,
    date(2024, 3, 31),
    time(12),
    timedelta(minutes=5),
    pd.Timedelta("5min"),
    pd.Period("2024-03", "M"),
    pd.Interval(0, 1),
    "2024-03-31",
    "2024-03-31T00:00:00Z",
    "infinity",
    "now",
    1_711_843_200,
    1.7e18,
    True,
    [1],
    {},
    b"2024-03-31",
]
odd_times = st.sampled_from(ODD_TIMES)

good_powers = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(2**24), 2**24)
ODD_POWERS: list[Any] = [
    2**53 - 1,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**64 - 1,
    10**400,
    3.4028235677973366e38,  # halfway from the largest real to the next
    3.4e38,
    1e39,
    1e-46,
    -0.0,
    5e-324,
    Decimal("1e400"),
    Decimal("0.1"),
    Decimal("1e-400"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal(2**53 + 1),
    Fraction(1, 3),
    np.float16(0.1),
    np.float32(0.1),
    np.longdouble("1e4000"),
    np.int64(-(2**63)),
    np.uint64(2**64 - 1),
    np.int8(-128),
    True,
    np.True_,
    1 + 0j,
    NAN,
    None,
    pd.NA,
    pd.NaT,
    np.inf,
    "1.0",
    "nan",
    b"1",
    pd.Timedelta(1),
    pd.Timestamp(0),
    datetime(2024, 1, 1),
    [1.0],
    np.array(1.0),
    np.array([1.0]),
    {},
    object(),
]
odd_powers = st.floats() | st.integers(-(2**70), 2**70) | st.decimals(places=3) | st.sampled_from(ODD_POWERS)

good_texts = st.sampled_from(["", "a", "A", "é𝄞", "'; DROP TABLE sites; --", "%s", ":'x'", "NULL", None])
ODD_TEXTS: list[Any] = [
    *HOSTILE_TEXTS,
    1,
    True,
    NAN,
    pd.NA,
    pd.NaT,
    Decimal("NaN"),
    b"a",
    [1],
    {},
    np.str_("a"),
    UNKNOWN,
]
odd_texts = st.sampled_from(ODD_TEXTS)

_TIME_DTYPES: list[Any] = [
    *(f"datetime64[{unit}]" for unit in ("s", "ms", "us", "ns")),
    *(pd.DatetimeTZDtype(unit, zone) for unit in ("s", "us", "ns") for zone in ("UTC", "Europe/London", "+05:45")),
    *(pd.ArrowDtype(pa.timestamp(unit, zone)) for unit in ("s", "ms", "us", "ns") for zone in (None, "America/Denver")),
]
_NUMBER_DTYPES: list[Any] = [
    *(
        "float16",
        "float32",
        "float64",
        "longdouble",
        "int8",
        "int64",
        "uint64",
        "Int64",
        "UInt64",
        "Float32",
        "Float64",
    ),
    pd.SparseDtype(float),
    pd.SparseDtype(float, 0.0),
    *(pd.ArrowDtype(type_) for type_ in (pa.float32(), pa.float64(), pa.int64(), pa.uint64(), pa.decimal128(38, 5))),
]
_TEXT_DTYPES: list[Any] = [
    *("string[python]", "string[pyarrow]", str),
    *(pd.ArrowDtype(type_) for type_ in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))),
]
ODD_DTYPES: list[Any] = [
    *(None, object, "category", "boolean", bool, "complex128", "timedelta64[ns]", "period[min]", "datetime64[ns]"),
    *(pd.SparseDtype(object), pd.SparseDtype("datetime64[ns]"), pd.SparseDtype("int64")),
    *(
        pd.ArrowDtype(type_)
        for type_ in (pa.null(), pa.bool_(), pa.float16(), pa.date32(), pa.date64(), pa.time64("us"))
    ),
    *(pd.ArrowDtype(type_) for type_ in (pa.duration("us"), pa.binary(), pa.binary(16), pa.list_(pa.float64()))),
]
DTYPES = {"site": _TEXT_DTYPES, "time": _TIME_DTYPES, "number": _NUMBER_DTYPES, "text": _TEXT_DTYPES}


def series(cells: list[Any], dtype: Any) -> pd.Series:
    """A column of that type; where pandas cannot, of objects."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pd.Series(cells, dtype=dtype)
        except Exception:  # noqa: BLE001  pandas raises whatever there is
            column = np.empty(len(cells), dtype=object)
            # one by one: an array, and a Series, would take a list or a dict apart
            for row, cell in enumerate(cells):
                column[row] = cell
            return pd.Series(column, dtype=object)


@st.composite
def columns(draw: Any, kind: str, good: Any, odd: Any, rows: int, *, tame: bool) -> pd.Series:
    """A column whose cells are good ones; unless it is tame, with odd ones among them, of a type that may not fit."""
    cells = draw(st.lists(good, min_size=rows, max_size=rows))
    if tame:
        return series(cells, object)
    if draw(st.booleans()):
        for row in draw(st.sets(st.integers(0, rows - 1), max_size=3)):
            cells[row] = draw(odd)
    return series(cells, draw(st.sampled_from([object, *DTYPES[kind]]) | st.sampled_from(ODD_DTYPES)))


def site_of(cell: Any) -> UUID | None:
    """The known site that a cell names, None where it names none."""
    if isinstance(cell, str):
        known = {form(site) for site in SITES for form in (str, lambda s: s.hex.upper(), lambda s: f"{{{s}}}")}
        return UUID(str(cell).strip("{}")) if cell in known else None
    return cell if isinstance(cell, UUID) and cell in SITES else None


def moment_of(cell: Any) -> int | None:
    """Microseconds since 1970 UTC, None where the cell is no time that can be stored."""
    since: Fraction | int
    if isinstance(cell, pd.Timestamp) and cell is not pd.NaT:
        if not 1 <= cell.year <= 9999:  # pandas asks Python for the offset, which has no such years
            return None
        utc = cell if cell.tzinfo is None or cell.utcoffset() is None else cell.tz_convert("UTC").tz_localize(None)
        cell = utc.to_datetime64()
    if isinstance(cell, np.datetime64):
        if np.isnat(cell):
            return None
        unit, count = np.datetime_data(cell.dtype)
        if unit in ("Y", "M"):
            cell, unit, count = cell.astype("M8[D]"), "D", 1
        seconds = {"W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1, "ms": Fraction(1, 10**3)}
        small = {"us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
        since = int(cell.astype("i8")) * count * (seconds.get(unit) or Fraction(1, small[unit])) * SECOND
    elif isinstance(cell, datetime) and cell is not pd.NaT:
        offset = cell.utcoffset() or timedelta(0)
        since = (cell.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
        since -= offset // timedelta(microseconds=1)
    else:
        return None
    return int(since) if since == int(since) and FIRST_US <= since <= PAST_US else None


def number_of(cell: Any) -> float | None:
    """The nearest double, None where the cell is no number or one that no double comes near."""
    if isinstance(cell, (bool, np.bool_)) or not isinstance(cell, (int, float, Decimal, np.integer, np.floating)):
        return None
    if isinstance(cell, (int, np.integer)) and abs(int(cell)) >= 2**53:
        return None
    if isinstance(cell, Decimal) and not cell.is_finite():
        return None
    try:
        value = float(cell)
    except OverflowError:
        return None
    return value if np.isfinite(value) else None


def real_of(cell: Any) -> float | None:
    """The real nearest to that double, as the double that it is."""
    value = number_of(cell)
    if value is None:
        return None
    with np.errstate(over="ignore"):
        real = float(np.float32(value))
    return real if np.isfinite(real) else None


def is_absent(cell: Any) -> bool:
    """Whether the cell is one of the ways to say nothing."""
    return bool(pd.api.types.is_scalar(cell) and not (isinstance(cell, Decimal) and cell.is_snan()) and pd.isna(cell))


def text_of(cell: Any) -> str | None:
    """The text, None where there is none that PostgreSQL could store."""
    if not isinstance(cell, str) or "\x00" in cell:
        return None
    try:
        cell.encode()
    except UnicodeEncodeError:
        return None
    return str(cell)
