"""Arrays of decoded rows, and their UUIDs."""

from __future__ import annotations

from collections import deque
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


def uuid_objects(values: Array, *, all_distinct: bool = False) -> Array:
    """Return an object array of UUIDs of an `S16` array. Equal elements share one object, unless all are distinct."""
    import numpy as np

    uniques, codes = (values, slice(None)) if all_distinct else distinct_runs(values)
    objects = np.empty(len(uniques), object)
    objects[:] = _uuids(np.ascontiguousarray(uniques).view("V16").tolist())
    return objects[codes]


_SET_INT, _SET_IS_SAFE = (vars(UUID)[name].__set__ for name in ("int", "is_safe"))


def _uuids(encoded: list[bytes]) -> list[UUID]:
    """Return UUIDs of 16 bytes each, without `UUID.__init__`, which takes most of the time."""
    made = list(map(object.__new__, repeat(UUID, len(encoded))))
    numbers = (int.from_bytes(each) for each in encoded)
    deque(map(_SET_INT, made, numbers), maxlen=0)  # a loop in C
    deque(map(_SET_IS_SAFE, made, repeat(SafeUUID.unknown)), maxlen=0)
    return made
