"""Frames of any kind: what goes in by an Arrow stream, or as models, is what a pandas frame would have been."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import hostile
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from arrow import ANY, HAS_VIEWS, Change, Stream, arrow_table, in_chunks, sliced
from commands import THOROUGH
from conftest import reading_frame
from databases import Databases
from forecast_cases import HOUR, NOON, forecast_frame, together
from hypothesis import given
from hypothesis import strategies as st

from pvsite_sql import (
    Duplicate,
    ForecastValue,
    Generation,
    InsertResult,
    InvalidInput,
    MissingReference,
    PvsiteSqlError,
    Repository,
)
from pvsite_sql.engine import arrow_streams, generation_frames
from pvsite_sql.engine.forecast_frames import parse_forecasts
from pvsite_sql.engine.generation_frames import parse_readings

FIVE = timedelta(minutes=5)
ROWS = 8
START, SITE, POWER, END = "start_utc", "site_uuid", "power_kw", "end_utc"


@pytest.fixture(scope="module")
def repo(databases: Databases) -> Iterator[Repository]:
    """One database for all tests here: each has sites of its own."""
    with databases.clone("arrow") as dsn, Repository(dsn, min_size=1) as repository:
        yield repository


@pytest.fixture
def table(repo: Repository) -> pa.Table:
    """Readings of two sites by turns."""
    sites = sorted(repo.sites.create().site_uuid for _ in range(2))
    starts = pd.date_range("2024-06-01", periods=ROWS, freq="5min", tz="UTC", unit="us")
    return arrow_table(pd.DataFrame({SITE: sites * (ROWS // 2), START: starts, POWER: [float(n) for n in range(ROWS)]}))


def rows_of(repo: Repository, table: pa.Table) -> list[tuple[Any, ...]]:
    """What is stored of the table's sites."""
    rows = repo.generation.read(sorted(set(table[SITE].to_pylist())))
    return sorted((str(row.site_uuid), row.start_utc, row.generation_power_kw) for row in rows)


def cells(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(*(table[name].to_pylist() for name in (SITE, START, POWER)), strict=True))


def changed(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.schema.names.index(name), name, column)


def with_column(name: str, change: Change) -> Change:
    return lambda table: changed(table, name, change(table[name].combine_chunks()))


def uuid_bytes(type_: pa.DataType) -> Change:
    return lambda c: pa.array([UUID(text).bytes for text in c.to_pylist()], type_)


def at(unit: str, zone: str | None) -> Change:
    return lambda c: c.cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone))


def numbers(type_: pa.DataType) -> Change:
    if pa.types.is_decimal(type_):
        return lambda c: pa.array([Decimal(n) for n in c.to_pylist()], type_)
    return lambda c: pa.array(c.to_numpy().astype(type_.to_pandas_dtype()), type_)


COLUMNS: dict[str, tuple[str, Change]] = {
    "large_string": (SITE, lambda c: c.cast(pa.large_string())),
    **({"string_view": (SITE, lambda c: pa.array(c.to_pylist(), pa.string_view()))} if HAS_VIEWS else {}),
    **{f"site: {name}": (SITE, change) for name, change in ANY.items()},
    "upper case": (SITE, pc.utf8_upper),
    "no hyphens": (SITE, lambda c: pc.replace_substring(c, "-", "")),
    "a dictionary with one more": (
        SITE,
        lambda c: pa.DictionaryArray.from_arrays(
            pc.add(c.dictionary_encode().indices, 1),
            pa.array(["no uuid", *c.dictionary_encode().dictionary.to_pylist()]),
        ),
    ),
    **{str(type_): (SITE, uuid_bytes(type_)) for type_ in (pa.binary(16), pa.binary(), pa.large_binary())},
    **({"uuid": (SITE, uuid_bytes(pa.uuid()))} if hasattr(pa, "uuid") else {}),
    **{
        f"{unit} {zone}": (START, at(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/London", "+05:45", "Nowhere/Land")
    },
    **{f"start: {name}": (START, change) for name, change in ANY.items()},
    **{
        str(type_): (POWER, numbers(type_))
        for type_ in (
            *(pa.float16(), pa.float32(), pa.int8(), pa.uint8(), pa.int64(), pa.uint64()),
            *(pa.decimal128(12, 4), pa.decimal256(60, 30)),
        )
    },
    **{f"power: {name}": (POWER, change) for name, change in ANY.items()},
}


def one_batch(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(table.to_pydict(), table.schema)


SHAPES: dict[str, Change] = {
    "a table": lambda t: t,
    "a batch": one_batch,
    "a reader": lambda t: t.to_reader(),
    "a stream": Stream,
    "a stream of one row a batch": lambda t: Stream(in_chunks(t, 1)),
    "a struct": lambda t: pa.chunked_array([one_batch(t).to_struct_array()]),
    "slices": sliced,
    "dictionaries that differ": lambda t: changed(
        t,
        SITE,
        pa.chunked_array(
            [pa.array(t[SITE].slice(n, 1).to_pylist(), pa.string()).dictionary_encode() for n in range(len(t))],
            pa.dictionary(pa.int32(), pa.string()),
        ),
    ),
    "empty batches": lambda t: pa.RecordBatchReader.from_batches(
        t.schema, (part for batch in t.to_batches() for part in (batch.slice(0, 0), batch, batch.slice(0, 0)))
    ),
    "other columns": lambda t: t.append_column("note", pa.nulls(len(t))).append_column("note", t[POWER]),
    "columns in another order": lambda t: t.select([POWER, START, SITE]),
    "generation_power_kw": lambda t: t.rename_columns([SITE, START, "generation_power_kw"]),
    "location_uuid": lambda t: t.rename_columns(["location_uuid", START, POWER]),
    "backwards": lambda t: t.take(pa.array(range(len(t) - 1, -1, -1), pa.int64())),
    "metadata": lambda t: t.replace_schema_metadata({"pandas": "not JSON"}),
}
CHANGES = {name: with_column(column, change) for name, (column, change) in COLUMNS.items()} | SHAPES


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_arrow_says_is_stored(repo, table, change):
    assert repo.generation.insert(change(table.slice(0, 0))) == InsertResult()
    assert repo.generation.insert(change(table)) == InsertResult(inserted=ROWS)
    assert rows_of(repo, table) == cells(table)
    assert repo.generation.insert(change(table), on_conflict="update") == InsertResult(skipped=ROWS)


def test_ends_are_stored_too(repo, table):
    ends = pc.add(table[START], pa.scalar(timedelta(minutes=30), pa.duration("us")))
    repo.generation.insert(table.append_column(END, ends), interval=FIVE)
    assert {row.end_utc - row.start_utc for row in repo.generation.read(table[SITE].to_pylist())} == {6 * FIVE}


def cell_at(name: str, row: int, value: Any, type_: pa.DataType | None = None) -> Change:
    def change(table: pa.Table) -> pa.Table:
        old = table[name].to_pylist()
        column = pa.array([*old[:row], value, *old[row + 1 :]], type_ or table[name].type)
        return changed(table, name, in_chunks(pa.table({name: column}), 3)[name])

    return change


def whole(name: str, column: Any) -> Change:
    return lambda table: changed(table, name, column)


NO_POWER, OUTSIDE = "no value (NaN or NULL)", "must be between 1970-01-01 and 2100-01-01 UTC"
BAD: dict[str, tuple[Change, str, tuple[int, ...], str]] = {
    # name: (what is done to a good table, the column and the rows that the error names, part of its reason)
    "NULL": (cell_at(POWER, 5, None), POWER, (5,), NO_POWER),
    "NaN": (cell_at(POWER, 7, float("nan")), POWER, (7,), NO_POWER),
    "infinite": (cell_at(POWER, 7, float("-inf")), POWER, (7,), "must be finite"),
    "NULL among integers": (whole(POWER, pa.array([1, None] * 4)), POWER, (1, 3, 5, 7), NO_POWER),
    "a large integer": (whole(POWER, pa.array([0] * 7 + [2**53])), POWER, (7,), "smaller than 2**53"),
    "NULL among decimals": (whole(POWER, pa.array([Decimal(1), None] * 4)), POWER, (1, 3, 5, 7), NO_POWER),
    "bool": (whole(POWER, pa.array([True] * 8)), POWER, (), "must be numbers, got boolean"),
    "texts": (whole(POWER, pa.array(["1"] * 8)), POWER, (), "must be numbers, got string"),
    "durations": (whole(POWER, pa.array([1] * 8, pa.duration("s"))), POWER, (), "must be numbers"),
    "lists": (whole(POWER, pa.array([[1.0]] * 8)), POWER, (), "must be numbers"),
    "nothing": (whole(POWER, pa.nulls(8)), POWER, (), "must be numbers"),
    "no time": (cell_at(START, 4, None), START, (4,), "no value"),
    "1969": (cell_at(START, 3, datetime(1969, 12, 31, tzinfo=UTC)), START, (3,), OUTSIDE),
    "2100": (cell_at(START, 6, datetime(2100, 1, 1, tzinfo=UTC)), START, (6,), OUTSIDE),
    "a time that overflows": (whole(START, pa.array([2**62] * 8, pa.timestamp("s"))), START, (0, 1, 2, 3, 4), OUTSIDE),
    "nanoseconds": (
        whole(START, pa.array([n % 2 for n in range(8)], pa.timestamp("ns"))),
        START,
        (1, 3, 5, 7),
        "must not have a fraction of a microsecond",
    ),
    "dates": (whole(START, pa.array([date(2024, 6, 1)] * 8)), START, (), "must be datetimes, got dtype date32"),
    "times as text": (whole(START, pa.array(["2024-06-01"] * 8)), START, (), "must be datetimes"),
    "times as numbers": (whole(START, pa.array([1] * 8)), START, (), "must be datetimes, got dtype int64"),
    "no uuid": (cell_at(SITE, 2, "site-1"), SITE, (2,), "must be a UUID, got 'site-1'"),
    "no site": (cell_at(SITE, 1, None), SITE, (1,), "no value"),
    "nothing but NULL": (whole(SITE, pa.nulls(8, pa.string())), SITE, (0, 1, 2, 3, 4), "no value"),
    "15 bytes": (whole(SITE, pa.array([b"x" * (16 - (n == 3)) for n in range(8)])), SITE, (3,), "must be a UUID"),
    "no bytes": (whole(SITE, pa.array([None] * 8, pa.binary(16))), SITE, (0, 1, 2, 3, 4), "no value"),
    "numbers as sites": (whole(SITE, pa.array([7] * 8)), SITE, (0, 1, 2, 3, 4), "must be a UUID, got 7"),
    "structs as sites": (whole(SITE, pa.array([{"a": 1}] * 8)), SITE, (), "cells must be single values"),
    "bytes that are no text": (
        whole(SITE, pa.array([b"\xff" * 36] * 8).view(pa.string())),
        SITE,
        (),
        "cannot be read (UnicodeDecodeError",
    ),
    "no power": (lambda t: t.select([SITE, START]), POWER, (), "the column is missing"),
    "no site_uuid": (lambda t: t.select([START, POWER]), SITE, (), "the column is missing"),
    "power_kw twice": (lambda t: t.append_column(POWER, t[POWER]), POWER, (), "2 columns have this name"),
    "both names of power": (
        lambda t: t.append_column("generation_power_kw", t[POWER]),
        POWER,
        (),
        "must not have both power_kw and generation_power_kw",
    ),
    "both names of site": (
        lambda t: t.append_column("location_uuid", t[SITE]),
        SITE,
        (),
        "must not have both site_uuid and location_uuid",
    ),
    "end is start": (lambda t: t.append_column(END, t[START]), END, (0, 1, 2, 3, 4), "must be after start_utc"),
}


@pytest.mark.parametrize(("change", "column", "rows", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_stored_is_refused_by_column_and_row(repo, table, change, column, rows, reason):
    bad = change(table)
    for number, given_ in ((None, Stream(bad)), (1, [table, Stream(bad)]), (0, [bad])):
        with pytest.raises(InvalidInput) as caught:
            repo.generation.insert(given_)
        error = caught.value
        assert (error.frame, error.column, error.rows) == (number, column, rows)
        assert reason in error.reason
    assert rows_of(repo, table) == []


@pytest.mark.parametrize(
    ("column", "number"),
    [
        (pa.chunked_array([[1.0]]), None),
        ([pa.chunked_array([[1.0]])], 0),
        (pa.array([1.0]), 0),
        (pd.Series([1.0]), None),
    ],
)
def test_a_column_is_no_frame(repo, column, number):
    with pytest.raises(InvalidInput, match="must be a frame") as caught:
        repo.generation.insert(column)
    assert caught.value.frame in (number, 0)  # 0: an iterable of numbers, as the series of pandas 2 is


def test_an_unknown_site_is_named(repo, table):
    unknown = UUID(int=7)
    with pytest.raises(MissingReference, match=str(unknown)):
        repo.generation.insert(cell_at(SITE, 3, str(unknown))(table))
    assert rows_of(repo, table) == []


def same_outcome(parse: Callable[[Any], Any], table: pa.Table) -> str:
    """Parse a table and what pandas makes of it, of Arrow's types and of its own; the way it ended."""
    outcomes = []
    for made in (table, table.to_pandas(types_mapper=pd.ArrowDtype), table.to_pandas()):
        try:
            outcomes.append(parse(made))
        except PvsiteSqlError as error:
            outcomes.append((type(error), getattr(error, "column", None), getattr(error, "rows", str(error))))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    return "refused" if isinstance(outcomes[0], tuple) else "stored"


def readings_of(keep: str) -> Callable[[Any], Any]:
    def parse(frame: Any) -> Any:
        readings = parse_readings(frame, FIVE, keep=keep)
        return [readings.row_count, {name: column.tobytes() for name, column in readings.columns.items()}]

    return parse


def forecasts_of(frame: Any) -> list[Any]:
    return [
        (
            *(f.site, f.timestamp_us, f.model, f.version, f.created_us, f.start_us, f.resolution_minutes),
            *(f.power_kw.tobytes(), f.levels, None if f.level_kw is None else f.level_kw.tobytes()),
        )
        for f in sorted(parse_forecasts(frame, {}), key=lambda f: (f.site, f.timestamp_us, f.model or (), f.version))
    ]


TEXT_TYPES = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
TIME_TYPES = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "America/Denver")]
POWER_TYPES = [pa.float32(), pa.float64(), pa.int16(), pa.int64(), pa.uint64(), pa.decimal128(25, 3)]
SITES = [*map(str, hostile.SITES), hostile.SITES[0].hex]


def array(cells: list[Any], type_: pa.DataType, cut: int) -> pa.ChunkedArray:
    """A column in two chunks, the second of which begins in the middle of its buffer."""
    value_type = type_.value_type if pa.types.is_dictionary(type_) else type_
    whole_column = pa.array(cells, value_type)
    if pa.types.is_dictionary(type_):
        whole_column = whole_column.dictionary_encode()
    return pa.chunked_array([whole_column.slice(0, cut), whole_column.slice(cut)])


@st.composite
def columns(draw: Any, cells: Any, odd: list[Any], types: list[pa.DataType], rows: int) -> pa.ChunkedArray:
    """A column, in one of five of which a cell is an odd one."""
    made = draw(st.lists(cells, min_size=rows, max_size=rows))
    if draw(st.integers(0, 4)) == 0:
        made[draw(st.integers(0, rows - 1))] = draw(st.sampled_from([None, *odd]))
    return array(made, draw(st.sampled_from(types)), draw(st.integers(0, rows)))


def some_times(least: int) -> st.SearchStrategy[datetime]:
    return st.integers(least, least + 6).map(lambda n: NOON.replace(tzinfo=None) + n * FIVE)


@st.composite
def reading_tables(draw: Any) -> pa.Table:
    rows = draw(st.integers(1, 6))
    power_type = draw(st.sampled_from(POWER_TYPES))
    made = {
        SITE: draw(columns(st.sampled_from(SITES), ["", "no uuid"], TEXT_TYPES, rows)),
        START: draw(columns(some_times(0), [datetime(1950, 1, 1)], TIME_TYPES, rows)),  # noqa: DTZ001  naive means UTC
        POWER: draw(columns(*some_powers(power_type), [power_type], rows)),
    }
    if draw(st.booleans()):
        made[END] = draw(columns(some_times(6), [datetime(2024, 1, 1)], TIME_TYPES, rows))  # noqa: DTZ001  too
    return pa.table(made)


def some_powers(type_: pa.DataType) -> tuple[Any, list[Any]]:
    """Cells of that type, and odd ones."""
    if pa.types.is_floating(type_):
        return st.floats(-(2**99), 2**99, width=32), [float("nan"), float("inf")]
    if pa.types.is_decimal(type_):
        return st.decimals(-(10**20), 10**20, places=3), []
    return st.integers(0, 2**15 - 1), [2**53 + 1] if type_.bit_width == 64 else []


def test_readings_are_what_pandas_would_have_made_of_them():
    seen: set[str] = set()

    @hostile.examples(300 if THOROUGH else 100)
    @given(reading_tables(), st.sampled_from(["first", "last", "none"]))
    def check(table: pa.Table, keep: str) -> None:
        seen.add(same_outcome(readings_of(keep), table))

    check()
    assert seen == {"stored", "refused"}


@st.composite
def forecast_tables(draw: Any) -> pa.Table:
    slots = draw(
        st.lists(st.tuples(st.sampled_from(SITES[:2]), st.integers(0, 5)), min_size=1, max_size=6, unique=True)
    )
    rows = len(slots)
    cut = draw(st.integers(0, rows))
    starts = [NOON.replace(tzinfo=None) + slot * HOUR for _, slot in slots]
    times = draw(st.sampled_from(TIME_TYPES))
    made = {
        SITE: array([site for site, _ in slots], draw(st.sampled_from(TEXT_TYPES)), cut),
        "timestamp_utc": array([NOON.replace(tzinfo=None)] * rows, times, cut),
        START: array(starts, times, cut),
        END: array([start + HOUR for start in starts], times, cut),
        "forecast_power_kw": draw(columns(*some_powers(pa.float32()), [pa.float32(), pa.float64()], rows)),
    }
    texts = st.sampled_from(["a", "b", None])
    optional = {
        "forecast_version": columns(texts, ["\x00"], TEXT_TYPES, rows),
        "model_name": columns(texts, [""], TEXT_TYPES, rows),
        "created_utc": st.just(array([NOON.replace(tzinfo=None)] * rows, times, cut)),
        "horizon_minutes": st.sampled_from([pa.int32(), pa.float64()]).map(
            lambda type_: array([60 * slot for _, slot in slots], type_, cut)
        ),
        "p10": columns(st.none() | st.floats(0, 9, width=32), [float("inf")], [pa.float32(), pa.float64()], rows),
        "plevel_90": columns(st.none() | st.integers(0, 9), [], [pa.int8(), pa.uint64()], rows),
    }
    for name in draw(st.sets(st.sampled_from(list(optional)))):
        made[name] = draw(optional[name])
    return pa.table(made)


def test_forecasts_are_what_pandas_would_have_made_of_them():
    seen: set[str] = set()

    @hostile.examples(300 if THOROUGH else 100)
    @given(forecast_tables())
    def check(table: pa.Table) -> None:
        seen.add(same_outcome(forecasts_of, table))

    check()
    assert seen == {"stored", "refused"}


class TestLargeStreams:
    """Data of more than a part: in one transaction, in bounded memory."""

    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(arrow_streams, "PART_ROWS", 100)

    @pytest.fixture
    def long(self, repo: Repository) -> pa.Table:
        site = repo.sites.create().site_uuid
        return in_chunks(arrow_table(reading_frame(site, rows=1050, start="2024-06-01")), 30)

    @pytest.mark.parametrize("on_conflict", ["ignore", "update", "error"])
    def test_all_of_it_is_stored_and_progress_is_heard_after_each_part(self, repo, long, on_conflict):
        heard: list[int] = []
        result = repo.generation.insert(long.to_reader(), on_conflict=on_conflict, progress=heard.append)
        assert result == InsertResult(inserted=1050)
        assert heard == [120, 240, 360, 480, 600, 720, 840, 960, 1050]
        assert rows_of(repo, long) == cells(long)

    @pytest.mark.parametrize("on_conflict", ["ignore", "update"])
    def test_repeated_keys_count_as_in_one_frame(self, repo, long, on_conflict):
        better = changed(long, POWER, pc.add(long[POWER], 1.0))
        both = pa.concat_tables([long, better, better.slice(0, 500)])
        differing = 1550 if on_conflict == "ignore" else 1050
        expected = InsertResult(inserted=1050, skipped=1550, differing=differing)
        assert repo.generation.insert(both, on_conflict=on_conflict) == expected
        assert rows_of(repo, long) == cells(long if on_conflict == "ignore" else better)

    def test_a_repeated_key_is_an_error_where_that_was_asked_for(self, repo, long):
        with pytest.raises(Duplicate):
            repo.generation.insert(pa.concat_tables([long, long.slice(0, 1)]), on_conflict="error")
        with pytest.raises(Duplicate, match=r"row 1050: the frame has another row"):
            repo.generation.insert(pa.concat_tables([long, long.slice(1049, 1)]), on_conflict="error")
        assert rows_of(repo, long) == []

    def test_rows_are_counted_from_the_first_of_the_stream(self, repo, long):
        for row in (5, 100, 700, 1049):
            with pytest.raises(InvalidInput) as caught:
                repo.generation.insert(cell_at(POWER, row, None)(long).to_reader(max_chunksize=30))
            assert (caught.value.rows, caught.value.all_rows) == ((row,), [row])
        assert rows_of(repo, long) == []

    def test_only_a_few_parts_are_in_memory(self, repo, long):
        alive: list[weakref.ref[Any]] = []
        most = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal most
            for batch in long.to_batches():
                copy = pa.RecordBatch.from_pylist(batch.to_pylist(), schema=batch.schema)
                alive.append(weakref.ref(copy))
                gc.collect()
                most = max(most, sum(kept().num_rows for kept in alive if kept() is not None))
                yield copy

        repo.generation.insert(pa.RecordBatchReader.from_batches(long.schema, batches()), on_conflict="update")
        assert rows_of(repo, long) == cells(long)
        assert most <= 3 * 120

    @pytest.mark.parametrize("good", [0, 2, 10])
    def test_a_stream_that_raises_leaves_nothing(self, repo, long, good):
        class FellOverError(Exception):
            pass

        def batches() -> Iterator[pa.RecordBatch]:
            yield from long.to_batches()[:good]
            raise FellOverError

        with pytest.raises(FellOverError):
            repo.generation.insert(pa.RecordBatchReader.from_batches(long.schema, batches()))
        assert rows_of(repo, long) == []

    def test_batches_of_other_columns_are_refused(self, repo, long):
        other = long.rename_columns([SITE, START, "other"]).to_batches()[0]
        reader = pa.RecordBatchReader.from_batches(long.schema, iter([long.to_batches()[0], other]))
        with pytest.raises(InvalidInput, match="differ in their columns"):
            repo.generation.insert(reader)

    def test_a_long_stream_is_not_retried_and_a_short_one_is(self, repo, long, monkeypatch):
        from pvsite_sql.engine.generation_writer import GenerationWriter  # noqa: PLC0415  what is patched

        write, failures = GenerationWriter.write, iter([psycopg.errors.DeadlockDetected("a deadlock")])

        def fail_once(*arguments: Any, **keywords: Any) -> None:
            for failure in failures:
                raise failure
            write(*arguments, **keywords)

        monkeypatch.setattr(GenerationWriter, "write", fail_once)
        with pytest.raises(psycopg.errors.DeadlockDetected):
            repo.generation.insert(long.to_reader())
        failures = iter([psycopg.errors.DeadlockDetected("a deadlock")])
        assert repo.generation.insert(long.slice(0, 90).to_reader()) == InsertResult(inserted=90)

    def test_in_a_transaction(self, repo, long):
        with pytest.raises(ZeroDivisionError), repo.transaction() as tx:  # noqa: PT012
            tx.generation.insert(long.slice(0, 500))
            raise ZeroDivisionError
        with repo.transaction() as tx:
            assert tx.generation.insert(long) == InsertResult(inserted=1050)
            with pytest.raises(InvalidInput):
                tx.generation.insert(cell_at(POWER, 700, None)(long), on_conflict="update")
            assert tx.generation.insert(long) == InsertResult(skipped=1050)
        assert rows_of(repo, long) == cells(long)


def test_frames_of_all_kinds_in_one_iterable(repo, table):
    pandas_frame = table.slice(2, 2).to_pandas()
    frames = [table.slice(0, 2), pandas_frame, Stream(table.slice(4, 2)), table.slice(6).to_reader()]
    heard: list[int] = []
    assert repo.generation.insert(iter(frames), progress=heard.append) == InsertResult(inserted=ROWS)
    assert heard == [2, 4, 6, 8]
    assert rows_of(repo, table) == cells(table)


def test_pandas_frames_keep_their_own_way(repo, table, monkeypatch):
    monkeypatch.setattr(arrow_streams, "pyarrow", None)
    assert repo.generation.insert(table.to_pandas()) == InsertResult(inserted=ROWS)
    assert rows_of(repo, table) == cells(table)


def test_without_pyarrow_the_error_names_the_extra(repo, table, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    stream = Stream(table)
    for call in (
        lambda: repo.generation.insert(stream),
        lambda: repo.forecasts.insert(stream),
        repo.generation.read_arrow,
        repo.forecasts.latest_arrow,
    ):
        with pytest.raises(PvsiteSqlError, match=r"pvsite_sql\[arrow\]"):
            call()


class TestModels:
    """Lists of what the reads return."""

    @pytest.fixture
    def models(self, repo: Repository, table: pa.Table) -> list[Generation]:
        """Readings of the table's sites that are not stored any more."""
        repo.generation.insert(table)
        rows = repo.generation.read(sorted(set(table[SITE].to_pylist())))
        return [
            row.model_copy(update={"start_utc": row.start_utc + HOUR, "end_utc": row.end_utc + HOUR}) for row in rows
        ]

    @pytest.mark.parametrize("kind", [list, tuple, iter, lambda models: (model for model in models)])
    def test_they_are_stored(self, repo, models, kind):
        assert repo.generation.insert(kind(models)) == InsertResult(inserted=ROWS)
        assert repo.generation.insert(kind(models), on_conflict="update") == InsertResult(skipped=ROWS)
        read = repo.generation.read({model.site_uuid for model in models}, start_utc=models[0].start_utc)
        same = {"created_utc": models[0].created_utc}
        assert [row.model_copy(update=same) for row in read] == [row.model_copy(update=same) for row in models]

    def test_more_than_a_part_of_them(self, repo, models, monkeypatch):
        monkeypatch.setattr(generation_frames, "_PART_MODELS", 3)
        heard: list[int] = []
        assert repo.generation.insert(models, progress=heard.append) == InsertResult(inserted=ROWS)
        assert heard == [3, 6, 8]
        bad = [*models[:7], models[7].model_copy(update={"generation_power_kw": float("inf")})]
        with pytest.raises(InvalidInput) as caught:
            repo.generation.insert(bad, on_conflict="update")
        assert (caught.value.column, caught.value.rows, caught.value.frame) == ("generation_power_kw", (7,), None)

    @pytest.mark.parametrize("other", [None, {}, pd.DataFrame(), UUID(int=1)], ids=type)
    def test_something_else_among_them_is_refused(self, repo, models, other):
        with pytest.raises(InvalidInput, match="must be a Generation") as caught:
            repo.generation.insert([models[0], other])
        assert caught.value.rows == (1,)


class TestForecasts:
    """The same for forecasts."""

    @pytest.fixture
    def frame(self, repo: Repository) -> pd.DataFrame:
        sites = [repo.sites.create().site_uuid for _ in range(2)]
        return together(
            forecast_frame(sites[0], [1.0, None, 2.5], forecast_version="1", model_name="m", p10=[0.5, float("nan")]),
            forecast_frame(sites[1], timestamp=NOON + HOUR, forecast_version="2"),
        )

    @pytest.mark.parametrize(
        "kind", [arrow_table, lambda f: Stream(arrow_table(f)), lambda f: arrow_table(f).to_reader(max_chunksize=1)]
    )
    def test_what_arrow_says_is_stored(self, repo, frame, kind):
        assert repo.forecasts.insert(kind(frame)) == InsertResult(inserted=2)
        assert repo.forecasts.insert(frame) == InsertResult(skipped=2)

    def test_probabilistic_values_as_structs_maps_and_json(self, repo, frame):
        plain = frame.drop(columns="p10")
        repo.forecasts.insert(frame)
        table = arrow_table(plain)
        for column in (
            pa.array([{"p10": 0.5}, {"p10": None}, None, None, None]),
            pa.array([[("p10", 0.5)], [], None, None, None], pa.map_(pa.string(), pa.float64())),
            pa.array(['{"p10": 0.5}', "{}", "null", None, ' {"p10": null} ']),
        ):
            given_ = table.append_column("probabilistic_values", column)
            assert repo.forecasts.insert(given_) == InsertResult(skipped=2)

    @pytest.mark.parametrize(
        ("change", "column", "rows", "reason"),
        [
            (cell_at("forecast_power_kw", 3, None), "forecast_power_kw", (3,), NO_POWER),
            (cell_at("p10", 0, float("inf")), "p10", (0,), "must be finite"),
            (cell_at("model_name", 1, "a\x00"), "model_name", (1,), "NUL"),
            (cell_at(END, 4, NOON + 9 * HOUR), END, (4,), "same duration"),
            (cell_at(SITE, 2, "x"), SITE, (2,), "must be a UUID"),
            (
                lambda t: t.append_column("horizon_minutes", pa.array([0, 60, 0, 31, 60])),
                "horizon_minutes",
                (3,),
                "equal",
            ),
            (lambda t: t.append_column("P10", t["p10"]), "P10", (), "same level as the column p10"),
            (lambda t: t.append_column(START, t[START]), START, (), "2 columns"),
            (lambda t: t.drop_columns([END]), END, (), "missing"),
        ],
    )
    def test_what_cannot_be_stored_is_refused_by_column_and_row(self, repo, frame, change, column, rows, reason):
        with pytest.raises(InvalidInput) as caught:
            repo.forecasts.insert(Stream(change(arrow_table(frame))))
        assert (caught.value.column, caught.value.rows) == (column, rows)
        assert reason in caught.value.reason
        assert repo.forecasts.latest_per_site(frame[SITE].unique()) == {}

    def test_values_go_to_another_site_as_they_came(self, repo, frame):
        repo.forecasts.insert(frame)
        other = repo.sites.create().site_uuid
        (newest,) = repo.forecasts.latest_per_site([frame[SITE][0]]).values()
        values = repo.forecasts.values(newest.forecast_uuid)
        assert repo.forecasts.insert(values, site_uuid=other, model_name="m") == InsertResult(inserted=1)
        (copy,) = repo.forecasts.latest_per_site([other]).values()
        own = {"forecast_uuid", "site_uuid", "forecast_version"}
        assert copy.model_dump(exclude=own) == newest.model_dump(exclude=own)

    def test_what_latest_values_returns(self, repo, frame):
        repo.forecasts.insert(frame)
        latest = repo.forecasts.latest_values(frame[SITE].unique())
        later = {"forecast_version": "copy"}
        assert repo.forecasts.insert(latest, **later) == InsertResult(inserted=2)
        assert repo.forecasts.insert(iter([]), **later) == repo.forecasts.insert({}, **later) == InsertResult()
        assert repo.forecasts.insert({UUID(int=7): []}) == InsertResult()

    @pytest.mark.parametrize("bad", [5, "x", None, ["x"], {UUID(int=1): 5}, {UUID(int=1): ["x"]}, [{}]], ids=str)
    def test_what_is_neither_is_refused(self, repo, bad):
        with pytest.raises(InvalidInput, match=r"must be a frame .* a list of ForecastValue models, or a dict"):
            repo.forecasts.insert(bad)

    def test_a_value_without_a_site_is_refused(self, repo, frame):
        repo.forecasts.insert(frame)
        (values,) = repo.forecasts.latest_values([frame[SITE][0]]).values()
        assert isinstance(values[0], ForecastValue)
        with pytest.raises(InvalidInput) as caught:
            repo.forecasts.insert(values)
        assert caught.value.column == SITE
