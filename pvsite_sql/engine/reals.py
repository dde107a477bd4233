"""PostgreSQL's `real` as the floats that PostgreSQL prints: 1.1, not 1.10000002384.

PostgreSQL prints the fewest digits that identify a value among all `real` values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["short_real", "short_reals"]

_NO_TIE = 2.0**25  # smaller numbers halfway between two reals have too many digits to be chosen
_FAST_RANGE = (1e-9, 1e6)  # where the powers of ten in `short_reals` are exact
_DIGITS = range(6, 10)  # fewer digits are the same with zeros at the end; 9 digits identify any real
_MANTISSA = 0x7FFFFF


def short_real(value: float) -> float:
    """Return the float that PostgreSQL prints for one `real`."""
    import numpy as np

    if abs(value) < _NO_TIE:
        return float(str(np.float32(value)))
    return float(_printed(np.array([value], np.float32))[0])


def short_reals(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return `short_real` of each value, without a loop over most of them."""
    import numpy as np

    exact = values.astype(float)
    short = exact.copy()
    size = np.abs(exact)
    is_power_of_two = values.view("u4") & _MANTISSA == 0  # its neighbours are not equally far away
    is_short = np.rint(exact) == exact  # such as 1.0, 2.0 and 512.0, which are what is printed
    is_fast = (size > _FAST_RANGE[0]) & (size < _FAST_RANGE[1]) & (~is_power_of_two | is_short)
    todo = np.flatnonzero(is_fast & ~is_short)
    for digits in _DIGITS[:3]:
        # up to 10**22 a power of ten is exact, and so is a whole number: one division rounds once
        power = 10.0 ** (digits - 1 - np.floor(np.log10(size[todo])))
        rounded = np.rint(exact[todo] * power) / power
        identifies = rounded.astype("f4") == values[todo]
        short[todo[identifies]] = rounded[identifies]
        todo = todo[~identifies]
    rest = np.union1d(todo, np.flatnonzero(~is_fast & (exact != 0)))
    short[rest] = _printed(values[rest])
    return short


def _printed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Convert any values, by way of their text."""
    import numpy as np

    exact = values.astype(float)
    printed = values.astype("U").astype(float)
    with np.errstate(all="ignore"):  # np.spacing warns for the largest, smallest and infinite values
        half_gap = np.spacing(np.abs(values)).astype(float) / 2
        is_tie = np.abs(printed - exact) == half_gap
    for n in np.flatnonzero(is_tie):  # numpy prints a number halfway between two reals, PostgreSQL does not
        longer = (float(f"{exact[n]:.{digits}g}") for digits in _DIGITS)
        printed[n] = next(number for number in longer if abs(number - exact[n]) < half_gap[n])
    return printed
