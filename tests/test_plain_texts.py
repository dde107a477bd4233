"""Plain lines of CSV files: pyarrow splits them as Python does."""

from __future__ import annotations

import random

import numpy as np
import pytest
from commands import called
from conftest import reading_frame
from hypothesis import given
from hypothesis import strategies as st

from pvsite_sql.load import plain_texts
from pvsite_sql.load.numbers import NumberParser
from pvsite_sql.load.plain_texts import split_lines
from pvsite_sql.load.reasons import factorize

ODD = ["", " ", "NULL", "nan", "NA", "true", "1e3", "-0", "2024-06-01", "\N{NO-BREAK SPACE}", "\x00", "é"]
CELLS = st.sampled_from(ODD) | st.text(
    st.characters(blacklist_characters='",\r\n', blacklist_categories=["Cs"]), max_size=12
)


@pytest.fixture(autouse=True)
def _short_texts_too(monkeypatch):
    monkeypatch.setattr(plain_texts, "_MIN_LENGTH", 0)


def split(rows):
    text = "".join(",".join(row) + "\n" for row in rows)
    found = split_lines(text, ",", 3, {"first": 0, "last": 2, "again": 2})
    assert found is not None
    return found


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=20))
def test_cells_are_those_of_the_lines(rows):
    found = split(rows)
    assert [list(found[key]) for key in ("first", "last")] == [[row[place] for row in rows] for place in (0, 2)]
    assert list(found["again"]) == list(found["last"])
    assert [found["last"][n] for n in range(len(rows))] == [row[2] for row in rows]
    assert list(found["last"][1:-1]) == [row[2] for row in rows][1:-1]
    codes, texts = factorize(found["last"])
    assert [texts[code] for code in codes] == [row[2] for row in rows]
    assert len(set(texts)) == len(texts)


@given(st.lists(st.floats().map(repr) | CELLS, min_size=1, max_size=20))
def test_numbers_are_those_of_python(cells):
    parser = NumberParser(".", "kW")
    values, reasons = parser.parse(split([("a", "b", cell) for cell in cells])["last"])
    expected, expected_reasons = parser.parse(cells)
    np.testing.assert_array_equal(values, expected)
    assert reasons == expected_reasons


def test_numbers_are_read_to_the_last_digit():
    chance = random.Random(7)
    cells = [repr(chance.uniform(-1, 1) * 10 ** chance.randint(-30, 30)) for _ in range(2000)]
    values = split([("a", "b", cell) for cell in cells])["last"].floats()
    assert values is not None
    assert values.tolist() == [float(cell) for cell in cells]


def test_bytes_that_are_not_utf_8_are_left_to_python():
    assert split_lines("a,\udce9,1\n", ",", 3, {"first": 0}) is None


def test_a_large_file_is_loaded_this_way(repo, dsn, tmp_path, monkeypatch):
    frames = [reading_frame(repo.sites.create().site_uuid, rows=50) for _ in range(2)]
    file = tmp_path / "readings.csv"
    file.write_text("site_uuid,start_utc,power_kw\n" + "".join(f.to_csv(index=False, header=False) for f in frames))
    calls, floats = [], plain_texts.PlainTexts.floats
    monkeypatch.setattr(plain_texts.PlainTexts, "floats", lambda texts: calls.append(1) or floats(texts))
    assert called("load", file, "--dsn", dsn) == (0, "100 inserted, 0 updated, 0 skipped, 0 rejected\n", "")
    assert calls
    for frame in frames:
        stored = repo.generation.read_frame([frame["site_uuid"][0]])
        assert stored["generation_power_kw"].tolist() == frame["power_kw"].tolist()
        assert stored["start_utc"].tolist() == frame["start_utc"].tolist()
