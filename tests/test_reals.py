"""`real` values as Python floats, one by one and as arrays."""

from __future__ import annotations

import numpy as np
import psycopg

from pvsite_sql.engine.reals import short_real, short_reals

POWERS_OF_TWO = np.arange(255, dtype="u4") << 23
HARD = np.array(
    [0, -0.0, 1.1, -1.1, 1e-45, 1e-9, 0.001, 999_999.94, 1e6, 8388608.5, 16777217.0, 3.4e38, 3.4028235e38], "f4"
)
TIES = np.array([44623648, -64311768, 134217732, -142472992, 1038072832, -9956159488, 125555195904], "f4")  # halfway


def hard_values() -> np.ndarray:
    random = np.random.default_rng(12)
    bits = np.concatenate(
        [
            POWERS_OF_TWO,
            POWERS_OF_TWO + 1,
            POWERS_OF_TWO[1:] - 1,
            np.arange(2000, dtype="u4"),  # subnormal
            random.integers(0, 2**32, 100_000, dtype="u4"),
        ]
    ).astype("u4")
    values = np.concatenate([bits.view("f4"), HARD, TIES, random.lognormal(0, 3, 50_000).astype("f4")])
    return values[np.isfinite(values)]


def test_one_value_and_arrays_are_read_as_the_server_prints_them(postgresql: psycopg.Connection) -> None:
    values = hard_values()
    with postgresql.cursor(binary=True) as cursor:
        cursor.execute(
            "SELECT v::text::float8 FROM unnest(%b::real[]) WITH ORDINALITY AS n (v, i) ORDER BY i", [values.tolist()]
        )
        printed = np.array([row[0] for row in cursor])
    arrays, singles = short_reals(values), np.array([short_real(value) for value in values.tolist()])
    for read in (arrays, singles):
        different = np.flatnonzero(read != printed)
        assert [(values[n], read[n], printed[n]) for n in different[:5]] == []
        assert (np.signbit(read) == np.signbit(printed)).all()
    assert (arrays.astype("f4") == values).all()


def test_values_that_are_not_finite() -> None:
    values = [np.inf, -np.inf, np.nan]
    np.testing.assert_array_equal(short_reals(np.array(values, "f4")), values)
    np.testing.assert_array_equal([short_real(value) for value in values], values)
    assert short_reals(np.empty(0, "f4")).tolist() == []
