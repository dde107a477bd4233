"""Converts energies to mean powers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from .layout import Unit

__all__ = ["durations_us", "mean_powers", "millionths"]

_HOUR_US = 3_600_000_000
_RATIOS = {"Wh": (_HOUR_US, 1000), "kWh": (_HOUR_US, 1), "MWh": (_HOUR_US * 1000, 1)}
_MILLION = 1_000_000


def millionths(values: Array) -> Array:
    """Return a million times the values; integers for values with at most six decimals.

    Sums and differences of integers are exact, where 1234.7 - 1234.2 as floats is not 0.5.
    """
    with np.errstate(over="ignore"):  # infinite values are rejected later
        scaled: Array = values * _MILLION
    rounded = np.rint(scaled)
    return np.where(rounded / _MILLION == values, rounded, scaled)


def mean_powers(energies: Array, unit: Unit, durations: Array | int) -> Array:
    """Return the mean powers in kW.

    Args:
        energies: millionths of the unit.
        unit: the unit of the energies.
        durations: for each energy, or for all of them, the duration in microseconds, above zero.
    """
    numerator, denominator = _RATIOS[unit]
    divisor = np.int64(denominator) * durations
    common = np.gcd(np.int64(numerator), divisor)
    factor, divisor = numerator // common, divisor // common
    common = np.gcd(factor, _MILLION)
    with np.errstate(over="ignore"):
        # for usual durations both sides are exact integers, so that only the quotient is rounded
        powers: Array = energies * (factor // common) / (divisor * (_MILLION / common))
    return powers


def durations_us(start_utc: Any, end_utc: Any, interval: timedelta | None) -> Array | int | None:
    """Return the durations of readings in microseconds; 1 for those that are invalid, None if no times are given.

    Args:
        start_utc: the parsed times.
        end_utc: the parsed times; None: each reading lasts `interval`.
        interval: the duration of readings without an end.
    """
    if end_utc is None:
        return None if interval is None else interval // timedelta(microseconds=1)
    if not (isinstance(start_utc, pd.DatetimeIndex) and isinstance(end_utc, pd.DatetimeIndex)):
        return 1  # other types are rejected later
    durations: Array = (end_utc - start_utc).to_numpy("m8[us]").astype("i8")
    durations[durations < 1] = 1  # NaT too
    return durations
