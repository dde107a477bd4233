"""The binary COPY codec, against PostgreSQL's own and against streams that are none."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvsite_sql import InvalidInput
from pvsite_sql.engine.binary_copy import Type, decode, decode_in_blocks, encode, encode_rows, real_array, text_array

UUIDS = [UUID(int=0), UUID(int=2**128 - 1), UUID(int=1 << 120), UUID(int=0x7F << 64), UUID(int=1)]
MICROSECONDS = [0, -1, 1, -946_684_800_000_000, 3_155_760_000_000_000]
# for each type values at its edges as numpy has them, and what PostgreSQL calls them
EDGES: dict[Type, tuple[list[Any], str, list[str]]] = {
    "uuid": ([uuid.bytes for uuid in UUIDS], "S16", [str(uuid) for uuid in UUIDS]),
    "timestamptz": (
        MICROSECONDS,
        "i8",
        [
            "2000-01-01 00:00:00+00",
            "1999-12-31 23:59:59.999999+00",
            "2000-01-01 00:00:00.000001+00",
            "1970-01-01 00:00:00+00",
            "2100-01-01 00:00:00+00",
        ],
    ),
    "double precision": (
        [-0.0, 5e-324, 1.7976931348623157e308, 0.1, -np.inf],
        "f8",
        ["-0", "5e-324", "1.7976931348623157e+308", "0.1", "-Infinity"],
    ),
    "real": ([-0.0, 1e-45, 3.4028235e38, 0.1, np.nan], "f4", ["-0", "1e-45", "3.4028235e+38", "0.1", "NaN"]),
    "integer": ([0, -1, 2**31 - 1, -(2**31), 258], "i4", ["0", "-1", "2147483647", "-2147483648", "258"]),
    "bigint": (
        [0, -1, 2**63 - 1, -(2**63), 258],
        "i8",
        ["0", "-1", "9223372036854775807", "-9223372036854775808", "258"],
    ),
}
TYPES: dict[str, Type] = {f"a {name}": name for name in EDGES}
COLUMNS = {f"a {name}": np.array(values, dtype) for name, (values, dtype, _) in EDGES.items()}
NAMES = ", ".join(f'"{name}"' for name in TYPES)


@pytest.fixture(scope="module")
def database(server: Any) -> Iterator[psycopg.Connection]:
    """A connection with a temporary table of a column of each type."""
    access = {"host": server.host, "port": server.port, "user": server.user, "password": server.password or None}
    with psycopg.connect(dbname=server.maintenance_dbname, autocommit=True, **access) as connection:
        connection.execute("SET timezone = 'UTC'")
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in TYPES.items())
        connection.execute(f"CREATE TEMPORARY TABLE copied (position bigint GENERATED ALWAYS AS IDENTITY, {columns})")
        yield connection


def copied_in(connection: psycopg.Connection, chunks: Iterable[bytes]) -> int:
    connection.execute("TRUNCATE copied")
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY copied ({NAMES}) FROM STDIN (FORMAT binary)") as copy:
            for chunk in chunks:
                copy.write(chunk)
        return cursor.rowcount


def copied_out(connection: psycopg.Connection, query: str) -> list[bytes]:
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy:
        return [bytes(chunk) for chunk in copy]


def repeated(rows: int) -> dict[str, Any]:
    return {name: np.resize(column, rows) for name, column in COLUMNS.items()}


def test_postgresql_reads_what_is_encoded(database):
    assert copied_in(database, encode(TYPES, COLUMNS)) == 5
    names = ", ".join(f'"{name}"::text' for name in TYPES)
    rows = database.execute(f"SELECT {names} FROM copied ORDER BY position").fetchall()
    assert rows == list(zip(*(shown for _, _, shown in EDGES.values()), strict=True))


@pytest.mark.parametrize("rows", [0, 1, 5, 16_383, 16_384, 16_385, 40_000])
def test_what_postgresql_sends_back_is_what_was_encoded(database, rows):
    columns = repeated(rows)
    stream = list(encode(TYPES, columns))
    assert max(map(len, stream)) < 2**21
    assert copied_in(database, stream) == rows
    sent = copied_out(database, f"SELECT {NAMES} FROM copied ORDER BY position")
    assert b"".join(sent) == b"".join(stream)
    for block in (decode(TYPES, sent), decode(TYPES, stream)):
        assert {name: block[name].astype(column.dtype).tobytes() for name, column in columns.items()} == {
            name: column.tobytes() for name, column in columns.items()
        }


def test_encodes_arrays_of_whatever_layout():
    plain = {"n": np.arange(20, dtype="i8"), "x": np.linspace(0, 1, 20)}
    types: dict[str, Type] = {"n": "bigint", "x": "double precision"}
    wide = np.stack([plain["x"], plain["x"]], axis=1)
    other = {"n": plain["n"][::-1].copy()[::-1].astype(">i8"), "x": wide[:, 1], "y": np.zeros(20)}
    other["x"].flags.writeable = False
    assert b"".join(encode(types, other)) == b"".join(encode(types, plain))


SMALL_TYPES: dict[str, Type] = {"site": "uuid", "at": "timestamptz", "kw": "real"}
SMALL = b"".join(
    encode(SMALL_TYPES, {"site": np.array([b"a" * 16] * 3), "at": np.arange(3), "kw": np.array([0.5, np.nan, -1])})
)


@pytest.mark.parametrize("types", [SMALL_TYPES, {"n": "integer"}], ids=["three rows", "no row"])
def test_a_stream_cut_anywhere_is_refused(types):
    whole = SMALL if types is SMALL_TYPES else b"".join(encode(types, {"n": np.array([], "i4")}))
    decode(types, [whole])
    for end in range(len(whole)):
        for chunks in ([whole[:end]], [whole[:5], whole[5:end]] if end > 5 else []):
            with pytest.raises(InvalidInput):
                decode(types, chunks)
            with pytest.raises(InvalidInput):
                list(decode_in_blocks(types, chunks, 2))


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_chunks_may_be_cut_anywhere_and_of_any_kind(size, kind):
    chunks = [kind(SMALL[n : n + size]) for n in range(0, len(SMALL), size)]
    assert decode(SMALL_TYPES, chunks).tobytes() == decode(SMALL_TYPES, [SMALL]).tobytes()


@pytest.mark.parametrize("size", [1, 40, 41, 1000])
@pytest.mark.parametrize("rows", [0, 1, 6, 7])
@pytest.mark.parametrize("at_a_time", [1, 2, 3, 6, 100])
def test_blocks_have_so_many_rows_wherever_the_chunks_are_cut(size, rows, at_a_time):
    types: dict[str, Type] = {"n": "bigint", "x": "real"}
    columns = {"n": np.arange(rows), "x": np.arange(rows) / 2}
    stream = b"".join(encode(types, columns))
    blocks = list(decode_in_blocks(types, [stream[n : n + size] for n in range(0, len(stream), size)], at_a_time))
    assert [len(block) for block in blocks] == [at_a_time] * (rows // at_a_time) + [rows % at_a_time] * (
        rows % at_a_time > 0
    )
    assert [n for block in blocks for n in block["n"]] == list(range(rows))


def with_header(flags: int, extension: bytes) -> Callable[[bytes], bytes]:
    return lambda stream: stream[:11] + struct.pack("!ii", flags, len(extension)) + extension + stream[19:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: b"", "not a binary COPY stream"),
        (lambda s: b"1,2\n3,4\n" * 20, "not a binary COPY stream"),
        (lambda s: s.replace(b"\r\n", b"\n"), "not a binary COPY stream"),
        (lambda s: b"\x80" + s[1:], "not a binary COPY stream"),
        (with_header(1 << 16, b""), "flags 0x10000"),
        (with_header(-(2**31), b""), "flags"),
        (lambda s: s[:15] + struct.pack("!i", -4) + s[19:], "an extension of -4 bytes"),
        (lambda s: s[:15] + struct.pack("!i", 2**31 - 1) + s[19:], "truncated"),
        (lambda s: s + b"\xff\xff", "truncated"),
        (lambda s: s[:-2] + b"\x00\x00", "truncated"),
    ],
)
def test_foreign_streams_are_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        decode(SMALL_TYPES, [change(SMALL)])


def test_a_header_extension_is_passed_over():
    assert decode(SMALL_TYPES, [with_header(0, b"later")(SMALL)]).tobytes() == decode(SMALL_TYPES, [SMALL]).tobytes()


@pytest.mark.parametrize(
    ("types", "query", "message"),
    [
        ({"a": "integer"}, "SELECT 1::bigint", "truncated, or its rows have other types"),
        ({"a": "integer", "b": "bigint"}, "SELECT 1::bigint, 2::integer", "a: NULL or of another type"),
        ({"a": "bigint", "b": "integer"}, "SELECT 1::bigint", "truncated"),
        ({"a": "integer", "b": "integer"}, "SELECT repeat('x', 12)", "do not have 2 fields"),
        ({"a": "bigint"}, "SELECT NULL::bigint", "truncated"),
        ({"a": "integer", "b": "integer"}, "VALUES (1, 2), (NULL, 2), (1, 2)", "truncated"),
        ({"a": "integer", "b": "integer"}, "VALUES (1, NULL::bigint), (NULL, 2)", "truncated"),
        ({"a": "integer", "b": "integer"}, "SELECT NULL::integer, 2::bigint", "a: NULL or of another type"),
        ({"a": "uuid"}, "SELECT 'text of 16 bytes'::text", None),
        ({"a": "bigint", "b": "null"}, "SELECT 1::bigint, 2::bigint WHERE FALSE", None),
        ({"a": "null"}, "SELECT ''::text", "a: NULL or of another type"),
    ],
)
def test_rows_of_other_types_and_nulls_are_refused(database, types, query, message):
    stream = copied_out(database, query)
    if message is None:
        decode(types, stream)
        return
    with pytest.raises(InvalidInput, match=message):
        decode(types, stream)


def test_a_column_of_nothing_but_null(database):
    types: dict[str, Type] = {"a": "integer", "b": "null", "c": "uuid"}
    block = decode(
        types, copied_out(database, "SELECT n::integer, NULL::real, gen_random_uuid() FROM generate_series(1, 3) AS n")
    )
    assert block["a"].tolist() == [1, 2, 3]


EDIT = st.tuples(
    st.sampled_from(["replace", "insert", "delete", "cut"]), st.integers(0, len(SMALL)), st.binary(max_size=9)
)


def edited(edits: list[tuple[str, int, bytes]]) -> bytes:
    stream = SMALL
    for kind, at, data in edits:
        kept = {"replace": at + len(data), "insert": at, "delete": at + len(data), "cut": len(stream)}[kind]
        stream = stream[:at] + (data if kind in ("replace", "insert") else b"") + stream[kept:]
    return stream


@settings(max_examples=400, deadline=None, database=None)
@given(
    stream=st.lists(EDIT, max_size=4).map(edited)
    | st.binary(max_size=100)
    | st.binary(max_size=100).map(lambda rest: SMALL[:19] + rest)
)
def test_a_damaged_stream_is_read_or_refused_and_nothing_else(stream):
    for read in (decode, lambda types, chunks: list(decode_in_blocks(types, chunks, 2))):
        try:
            read(SMALL_TYPES, [stream])
        except InvalidInput:
            assert stream != SMALL


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1.5], "{1.5}"),
        ([0.1, -0.0, 3.4028235e38], "{0.1,-0,3.4028235e+38}"),
        ([np.nan, 1, np.nan], "{NULL,1,NULL}"),
        ([np.nan], "{NULL}"),
        ([[1, 2], [3, np.nan]], "{{1,2},{3,NULL}}"),
        ([[1, 2, 3]], "{{1,2,3}}"),
    ],
)
def test_postgresql_reads_arrays_of_real(database, values, shown):
    assert _through_postgresql(database, "real[]", [real_array(np.array(values, np.float32))]) == [shown]


def _through_postgresql(connection: psycopg.Connection, type_: str, fields: list[bytes | None]) -> list[str | None]:
    connection.execute("DROP TABLE IF EXISTS arrays")
    connection.execute(f"CREATE TEMPORARY TABLE arrays (position bigint GENERATED ALWAYS AS IDENTITY, value {type_})")
    with connection.cursor().copy("COPY arrays (value) FROM STDIN (FORMAT binary)") as copy:
        for chunk in encode_rows([field] for field in fields):
            copy.write(chunk)
    return [text for (text,) in connection.execute("SELECT value::text FROM arrays ORDER BY position")]


def test_postgresql_reads_rows_of_any_width(database):
    arrays = [text_array(["p10", "p90"]), None, text_array(["", 'ä, "\\', "NULL"])]
    assert _through_postgresql(database, "text[]", arrays) == ["{p10,p90}", None, '{"","ä, \\"\\\\","NULL"}']
    assert _through_postgresql(database, "text", [b"", None, "é".encode()]) == ["", None, "é"]
    assert _through_postgresql(database, "text", []) == []
