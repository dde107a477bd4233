"""The distinct UUIDs of a column: in one step where all cells are plain, else one by one, with the same outcome."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvsite_sql import InvalidInput
from pvsite_sql.engine import columns

ENDS_IN_ZEROS = UUID("7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e0000")
TEXT = str(UUID(int=0x7F3C1F0E6D1F4A528C3C0D2B5F8E9A11))
ODD_TEXTS = (
    TEXT.replace("-", ""),
    "{" + TEXT + "}",
    f"urn:uuid:{TEXT}",
    TEXT[1:],
    f"{TEXT[1:]} ",
    f" {TEXT[:-1]}",
    f"{TEXT[:10]} {TEXT[11:]}",
    TEXT.replace("1", "g"),
    TEXT.replace("1", "\u0661"),  # a digit in another script
    f"{TEXT[:8]}{TEXT[9:10]}-{TEXT[10:]}",  # a hyphen in another place
    "-" * 36,
    "",
)


def _outcome(cells, dtype, few_rows, monkeypatch):
    monkeypatch.setattr(columns, "_FEW_ROWS", few_rows)
    series = pd.Series(cells, dtype=dtype)
    try:
        distinct, positions = columns.distinct_uuids(series, "site_uuid")
    except InvalidInput as error:
        return error.column, error.reason, error.rows
    return distinct.tolist(), positions.tolist()


def _assert_same(cells, dtype):
    with pytest.MonkeyPatch.context() as monkeypatch:
        at_once = _outcome(cells, dtype, len(cells), monkeypatch)
        assert at_once == _outcome(cells, dtype, -1, monkeypatch)
    return at_once


@pytest.mark.parametrize("dtype", [object, "string"])
@pytest.mark.parametrize("odd", ODD_TEXTS)
@pytest.mark.parametrize("others", [[], [TEXT], [str(ENDS_IN_ZEROS), TEXT]])
def test_a_text_in_another_form_is_read_or_refused_alike(dtype, odd, others):
    _assert_same([*others, odd], dtype)


@pytest.mark.parametrize("odd", [None, float("nan"), 7, b"x" * 36, UUID(TEXT), TEXT, pd.NA])
def test_a_cell_of_another_kind_is_read_or_refused_alike(odd):
    _assert_same([UUID(TEXT), odd], object)
    _assert_same([TEXT, odd], object)


@given(
    cells=st.lists(st.sampled_from([ENDS_IN_ZEROS, UUID(int=0), UUID(int=1), UUID(TEXT)]) | st.uuids(), min_size=1),
    as_text=st.booleans(),
    upper=st.booleans(),
)
def test_the_distinct_uuids_are_sorted_and_each_row_finds_its_own(cells, as_text, upper):
    given_cells = [str(cell).upper() if upper else str(cell) for cell in cells] if as_text else cells
    distinct, positions = _assert_same(given_cells, object)
    expected = sorted({cell.bytes for cell in cells})
    assert [value.ljust(16, b"\0") for value in distinct] == expected
    assert [expected[position] for position in positions] == [cell.bytes for cell in cells]


def test_no_cell_is_looked_at_alone(monkeypatch):
    monkeypatch.setattr(columns, "as_uuid", None)
    for cells in ([UUID(int=n) for n in range(9)], [str(UUID(int=n)) for n in range(9)]):
        distinct, positions = columns.distinct_uuids(pd.Series(cells), "site_uuid")
        assert np.array_equal(positions, np.arange(9))
        assert len(distinct) == 9
