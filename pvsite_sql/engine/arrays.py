"""Arrays of decoded rows, and their UUIDs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, SafeUUID

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Array", "distinct_runs", "uuid_objects", "uuid_of"]

Array: TypeAlias = "npt.NDArray[Any]"


def uuid_of(value: bytes) -> UUID:
    """Return the UUID of an element of an `S16` array."""
    return UUID(bytes=value.ljust(16, b"\0"))  # numpy drops trailing zeros of byte strings


def distinct_runs(values: Array) -> tuple[Array, Array]:
    """Return the distinct elements, sorted, and for each element its position among them.

    Fast if neighbours are equal.
    """
    import numpy as np

    if not len(values):
        return values, np.empty(0, np.intp)
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    uniques, codes = np.unique(values[first], return_inverse=True)
    return uniques, np.repeat(codes, np.diff(np.r_[first, len(values)]))


def uuid_objects(values: Array) -> Array:
    """Return an object array of UUIDs. Equal elements share one object."""
    import numpy as np

    uniques, codes = distinct_runs(values)
    objects = np.empty(len(uniques), object)
    objects[:] = _uuids(uniques.tobytes())
    return objects[codes]


def _uuids(encoded: bytes) -> list[UUID]:
    """Return UUIDs that follow one another, without `UUID.__init__`, which takes most of the time."""
    numbers = [int.from_bytes(encoded[first : first + 16], "big") for first in range(0, len(encoded), 16)]
    made = list(map(object.__new__, repeat(UUID, len(numbers))))
    fields: dict[str, Iterable[Any]] = {"int": numbers, "is_safe": repeat(SafeUUID.unknown)}
    for name, values in fields.items():
        deque(map(object.__setattr__, made, repeat(name), values), maxlen=0)  # a loop in C
    return made
