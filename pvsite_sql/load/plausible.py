"""Finds files whose energies contradict the options, so that their power would be stored wrong."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..errors import InvalidInput

__all__ = ["check_energies"]

_DAY_US = 86_400_000_000
_MIN_RISES = 10
_TOO_CLOSE, _TOO_FAR = 0.75, 1.5  # times the interval; clocks of loggers vary by seconds


def check_energies(
    sites: pd.Categorical, start_utc: pd.DatetimeIndex, energies: Array, interval: timedelta | None
) -> str:
    """Compare the energies of the first batch of a file with the options.

    Args:
        sites: the site of each row.
        start_utc: its start; NaT for an invalid one.
        energies: its energy; NaN for an invalid one.
        interval: the duration of each row; None: the file has the ends.

    Returns:
        a sentence about what may be wrong, or "".

    Raises:
        InvalidInput: the energies are the states of a counter, or the rows follow one another faster than `interval`.
    """
    valid = np.flatnonzero(start_utc.notna() & (sites.codes >= 0) & np.isfinite(energies))
    site, time, energy = sites.codes[valid], start_utc[valid].as_unit("us").asi8, energies[valid]
    order = np.lexsort((time, site))
    site, time, energy = site[order], time[order], energy[order]
    follows = (site[1:] == site[:-1]) & (time[1:] > time[:-1])
    if not follows.any():
        return ""
    _check_counter(site[1:][follows], np.diff(time)[follows], np.diff(energy)[follows])
    return "" if interval is None else _check_steps(np.diff(time)[follows], interval)


def _check_counter(site: Array, steps_us: Array, changes: Array) -> None:
    """Refuse energies that hardly ever fall: those of sunshine or wind do every few hours."""
    rises, falls, spans_us = (np.bincount(site, weights) for weights in (changes > 0, changes < 0, steps_us))
    long = (rises >= _MIN_RISES) & (spans_us >= _DAY_US)
    if long.any() and (falls[long] * 10 <= rises[long] + falls[long]).all():
        first = int(np.flatnonzero(long)[0])
        raise InvalidInput(
            f"the values of a site rise {int(rises[first])} times and fall {int(falls[first])} times in "
            f"{spans_us[first] / _DAY_US:.1f} days, as those of a meter that counts up: add --counter",
            column="power_kw",
        )


def _check_steps(steps_us: Array, interval: timedelta) -> str:
    usual = timedelta(microseconds=int(np.median(steps_us)))
    minutes, given = (f"{each / timedelta(minutes=1):g}" for each in (usual, interval))
    if usual < interval * _TOO_CLOSE:
        raise InvalidInput(
            f"the rows of a site are usually {minutes} minutes apart, so that energies of {given} minutes would "
            f"overlap: use --interval {minutes}",
            column="start_utc",
        )
    if usual > interval * _TOO_FAR:
        return (
            f"the rows of a site are usually {minutes} minutes apart, but --interval {given} was used for their energy"
        )
    return ""
