"""Models of decoded COPY streams."""

from __future__ import annotations

import pickle
import struct
from copy import copy, deepcopy
from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg
import pytest
from conftest import reading_frame
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pvsite_sql import InvalidInput, Repository, Site
from pvsite_sql.engine.arrays import uuid_objects
from pvsite_sql.engine.binary_copy import Type, decode_ragged, read_real_array, read_real_arrays, read_text_array
from pvsite_sql.engine.reals import short_reals

TYPES: dict[str, Type] = {"id": "bigint", "power_kw": "real"}
QUERY = """
    COPY (
        SELECT
            n::bigint, (n / 3::real)::real, {columns}
        FROM generate_series(1, {rows}) AS n
    ) TO STDOUT (FORMAT binary)
"""
CHANGING, SELDOM, NEVER = (
    "CASE WHEN n % 3 > 0 THEN n::text ELSE '' END",
    "CASE WHEN n % {every} = 0 THEN repeat('x', n % 50) END",
    "NULL::text",
)


def _read(powers: np.ndarray) -> list[float]:
    return short_reals(powers).tolist()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
@example([0.0, -0.0, 1.1, -1.1, 1e-45, 3.4028235e38, 8388608.5, 16777217.0, 1e6, 999999.94, 1e-9, 0.001, 1000.0])
def test_reals_are_read_with_the_fewest_digits_that_are_true_to_them(powers: list[float]) -> None:
    # numpy prints a number halfway between two reals, which the server does not
    values = np.array([power for power in np.array(powers, "f4") if not _is_printed_halfway(power)], "f4")
    assert _read(values) == [float(str(value)) for value in values]


def _is_printed_halfway(value: np.float32) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(abs(float(str(value)) - float(value)) * 2 == float(np.spacing(abs(value))))


def test_reals_are_read_as_the_server_writes_them(postgresql: psycopg.Connection) -> None:
    rows = postgresql.execute(
        "SELECT r, r::text FROM generate_series(1, 20000) AS n,"
        " LATERAL (SELECT ((random() - 0.5) * 10 ^ (n % 12 - 4))::real) AS v (r)"
    ).fetchall()
    assert _read(np.array([row[0] for row in rows], "f4")) == [float(text) for _, text in rows]


def _columns(row: int, every: int) -> dict[str, bytes | None]:
    return {
        CHANGING: str(row).encode() if row % 3 else b"",
        SELDOM: b"x" * (row % 50) if row % every == 0 else None,
        NEVER: None,
    }


def test_last_fields_may_have_any_width(postgresql: psycopg.Connection) -> None:
    befores, afters = ((), (SELDOM,), (NEVER, SELDOM)), ((), (SELDOM,), (NEVER, CHANGING))
    for before, after, rows, every in product(befores, afters, (0, 1, 100), (1, 7, 1000)):
        columns = ", ".join((*before, CHANGING, *after)).format(every=every)
        with postgresql.cursor().copy(QUERY.format(rows=rows, columns=columns)) as rows_sent:
            whole = b"".join(rows_sent)
        expected = [_columns(n, every) for n in range(1, rows + 1)]
        for size in (7, len(whole)):
            chunks = (whole[at : at + size] for at in range(0, len(whole), size))
            block, left, middle, right = decode_ragged(TYPES, len(before), len(after), chunks)
            assert block["id"].tolist() == list(range(1, rows + 1))
            assert block["power_kw"].tolist() == [float(np.float32(n / 3)) for n in range(1, rows + 1)]
            assert left == [tuple(row[column] for column in before) for row in expected]
            assert middle == [row[CHANGING] for row in expected]
            assert right == [tuple(row[column] for column in after) for row in expected]


def test_damaged_stream_of_ragged_rows_is_refused_wherever_it_is_cut(postgresql: psycopg.Connection) -> None:
    columns = f"{SELDOM}, {CHANGING}, {NEVER}".format(every=1)
    with postgresql.cursor().copy(QUERY.format(rows=3, columns=columns)) as rows_sent:
        whole = b"".join(rows_sent)
    for length in range(len(whole)):
        with pytest.raises(InvalidInput):
            decode_ragged(TYPES, 1, 1, [whole[:length]])
        with pytest.raises(InvalidInput):
            decode_ragged(TYPES, 1, 1, [whole[:5], whole[5:length]])
    for text in (b"x", b"1"):
        for length in (-2, 2**31 - 1):
            at = whole.index(text, whole.index(b"x")) - 4
            with pytest.raises(InvalidInput):
                decode_ragged(TYPES, 1, 1, [whole[:at] + struct.pack("!i", length) + whole[at + 4 :]])
    for before, after in ((0, 1), (1, 0), (1, 2), (2, 1)):
        with pytest.raises(InvalidInput):
            decode_ragged(TYPES, before, after, [whole])
    with pytest.raises(InvalidInput):
        decode_ragged(TYPES, 1, 1, [whole, b"x"])


ARRAYS = st.lists(
    st.none()
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 5.6e-45, 1e-45]),
    min_size=1,
    max_size=9,
)


def sent(postgresql: psycopg.Connection, *columns: str, **values: object) -> list[bytes | None]:
    """What the server sends for the columns of one row."""
    asked = psycopg.ClientCursor(postgresql).mogrify(
        f"COPY (SELECT {', '.join(columns)}) TO STDOUT (FORMAT binary)", values
    )
    with postgresql.cursor().copy(asked.encode()) as rows_sent:
        _, _, (first,), (others,) = decode_ragged({}, 0, len(columns) - 1, rows_sent)
        return [first, *others]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays=st.lists(ARRAYS, min_size=1, max_size=4))
def test_arrays_of_reals_are_read_as_the_server_sends_them(
    postgresql: psycopg.Connection, arrays: list[list[float | None]]
) -> None:
    encoded = [sent(postgresql, "%(array)s::real[]", array=array)[0] or b"" for array in arrays]
    expected = [[np.nan if power is None else np.float32(power) for power in array] for array in arrays]
    lengths, values = read_real_arrays(encoded)
    assert lengths.tolist() == [len(array) for array in arrays]
    np.testing.assert_array_equal(values, np.concatenate(expected))
    for array, each in zip(expected, encoded, strict=True):
        np.testing.assert_array_equal(read_real_array(each), array)


def test_arrays_of_levels_are_read_as_the_server_sends_them(postgresql: psycopg.Connection) -> None:
    lines = [[1.5, None, 2.5], [None, None, -1.0]]
    names, kw = sent(postgresql, "%(names)s::text[]", "%(kw)s::real[]", names=["p10", "\u00e9", ""], kw=lines)
    assert read_text_array(names or b"") == ["p10", "\u00e9", ""]
    np.testing.assert_array_equal(read_real_array(kw or b""), [[1.5, np.nan, 2.5], [np.nan, np.nan, -1.0]])


def test_other_or_damaged_arrays_are_refused(postgresql: psycopg.Connection) -> None:
    types = ("real[]", "text[]", "integer[]", "double precision[]")
    reals, texts, integers, doubles = sent(postgresql, *(f"'{{{{1,2,NULL}}}}'::{kind}" for kind in types))
    for read, wrong in (
        (read_real_array, [texts, integers, doubles]),
        (lambda array: read_real_arrays([array]), [texts, integers, doubles, reals]),  # not one-dimensional
        (read_text_array, [reals, texts, integers]),  # with NULL
    ):
        for each in wrong:
            with pytest.raises(InvalidInput):
                read(each)
    good, level = sent(postgresql, "'{1,2}'::real[]", "'{p10,p90}'::text[]")
    for read, whole in (
        (read_real_array, good),
        (lambda array: read_real_arrays([array]), good),
        (read_text_array, level),
    ):
        for length in range(len(whole or b"")):
            with pytest.raises(InvalidInput):
                read((whole or b"")[:length])


@given(encoded=st.lists(st.binary(min_size=16, max_size=16)), all_distinct=st.booleans())
def test_uuids_are_those_that_uuid_makes(encoded: list[bytes], *, all_distinct: bool) -> None:
    made = uuid_objects(np.array(encoded, "S16"), all_distinct=all_distinct).tolist()
    expected = [UUID(bytes=each) for each in encoded]
    assert made == expected
    assert {type(uuid) for uuid in made} <= {UUID}
    for uuid, other in zip(made, expected, strict=True):
        assert (str(uuid), repr(uuid), hash(uuid), uuid.is_safe) == (
            str(other),
            repr(other),
            hash(other),
            other.is_safe,
        )
        assert pickle.loads(pickle.dumps(uuid)) == copy(uuid) == other


def test_models_are_those_that_validation_makes(repo: Repository, site: Site) -> None:
    repo.generation.insert(reading_frame(site.site_uuid, rows=3))
    start = pd.date_range("2024-06-01", periods=3, freq="30min", tz="UTC")
    frame = pd.DataFrame({"start_utc": start, "end_utc": start + pd.Timedelta("30min"), "forecast_power_kw": 1.0})
    frame["probabilistic_values"] = [{"p10": 1, "p90": 2.5}, None, {"p50": 0.1}]
    repo.forecasts.insert(frame, site_uuid=site.site_uuid, timestamp_utc=datetime(2024, 6, 1, tzinfo=UTC))
    readings = repo.generation.read()
    values = repo.forecasts.latest_values()[site.site_uuid]
    assert len(readings) == len(values) == 3
    for model in [*readings, *values]:
        validated = type(model).model_validate(model.model_dump(), strict=True)
        assert model == validated
        assert repr(model) == repr(validated)
        assert hash(model) == hash(validated)
        assert list(vars(model).items()) == list(vars(validated).items())
        assert model.model_fields_set == validated.model_fields_set
        assert pickle.loads(pickle.dumps(model)) == copy(model) == deepcopy(model) == model
        assert type(model).model_validate_json(model.model_dump_json()) == model
        assert model.model_copy(update={"start_utc": model.end_utc}) != model
        with pytest.raises(ValidationError):
            model.end_utc = model.start_utc
    assert len({id(vars(model)) for model in [*readings, *values]}) == 6
    assert [type(kw) for kw in (values[0].probabilistic_values or {}).values()] == [float, float]
    assert values[1].probabilistic_values is None
