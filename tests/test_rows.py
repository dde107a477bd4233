"""Models of decoded COPY streams."""

from __future__ import annotations

import pickle
import struct
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import psycopg
import pytest
from conftest import reading_frame
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pvsite_sql import ForecastValue, InvalidInput, Repository, Site
from pvsite_sql.engine.binary_copy import Type, decode_with_tails
from pvsite_sql.engine.rows import decoded_models

TYPES: dict[str, Type] = {"id": "bigint", "power_kw": "real"}
QUERY = """
    COPY (
        SELECT n::bigint, (n / 3::real)::real, CASE WHEN n % {every} = 0 THEN repeat('x', n % 50) END
        FROM generate_series(1, {rows}) AS n
    ) TO STDOUT (FORMAT binary)
"""


def _forecast_values(powers: np.ndarray) -> list[ForecastValue]:
    block = np.zeros(len(powers), [("forecast_power_kw", ">f4")])
    block["forecast_power_kw"] = powers
    others = {
        "start_utc": "2024-06-01T00:00Z",
        "end_utc": "2024-06-01T00:30Z",
        "horizon_minutes": 0,
        "timestamp_utc": "2024-06-01T00:00Z",
        "created_utc": "2024-06-01T00:00Z",
        "forecast_uuid": "00000000-0000-0000-0000-000000000000",
        "probabilistic_values": None,
    }
    more = {name: [value] * len(powers) for name, value in others.items()}
    return decoded_models(ForecastValue, {"forecast_power_kw": "real"}, block, more)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
@example([0.0, -0.0, 1.1, -1.1, 1e-45, 3.4028235e38, 8388608.5, 16777217.0, 1e6, 999999.94, 1e-9, 0.001, 1000.0])
def test_reals_are_read_with_the_fewest_digits_that_are_true_to_them(powers: list[float]) -> None:
    values = np.array(powers, "f4")
    read = [value.forecast_power_kw for value in _forecast_values(values)]
    assert read == [float(str(value)) for value in values]


def test_reals_are_read_as_the_server_writes_them(postgresql: psycopg.Connection) -> None:
    rows = postgresql.execute(
        "SELECT r, r::text FROM generate_series(1, 20000) AS n,"
        " LATERAL (SELECT ((random() - 0.5) * 10 ^ (n % 12 - 4))::real) AS v (r)"
    ).fetchall()
    read = [value.forecast_power_kw for value in _forecast_values(np.array([row[0] for row in rows], "f4"))]
    assert read == [float(text) for _, text in rows]


@pytest.mark.parametrize("every", [1, 7, 1000])
@pytest.mark.parametrize("rows", [0, 1, 100])
def test_last_field_may_have_any_width(postgresql: psycopg.Connection, rows: int, every: int) -> None:
    with postgresql.cursor().copy(QUERY.format(rows=rows, every=every)) as copy:
        block, tails = decode_with_tails(TYPES, "note", copy)
    assert block["id"].tolist() == list(range(1, rows + 1))
    assert block["power_kw"].tolist() == [float(np.float32(n / 3)) for n in range(1, rows + 1)]
    assert tails == [b"x" * (n % 50) if n % every == 0 else None for n in range(1, rows + 1)]


def test_damaged_stream_with_a_tail_is_refused_wherever_it_is_cut(postgresql: psycopg.Connection) -> None:
    with postgresql.cursor().copy(QUERY.format(rows=3, every=1)) as copy:
        whole = b"".join(copy)
    for length in range(len(whole)):
        with pytest.raises(InvalidInput):
            decode_with_tails(TYPES, "note", [whole[:length]])
    for length in (-2, 2**31 - 1):
        at = whole.index(b"x") - 4
        with pytest.raises(InvalidInput):
            decode_with_tails(TYPES, "note", [whole[:at] + struct.pack("!i", length) + whole[at + 4 :]])


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
        assert model.model_fields_set == validated.model_fields_set
        assert pickle.loads(pickle.dumps(model)) == model
        assert model.model_copy(update={"start_utc": model.end_utc}) != model
        with pytest.raises(ValidationError):
            model.end_utc = model.start_utc
    assert [type(kw) for kw in (values[0].probabilistic_values or {}).values()] == [float, float]
    assert values[1].probabilistic_values is None
