"""Arrays of decoded rows, and their UUIDs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Array", "uuid_objects", "uuid_of"]

Array: TypeAlias = "npt.NDArray[Any]"


def uuid_of(value: bytes) -> UUID:
    """Return the UUID of an element of an `S16` array."""
    return UUID(bytes=value.ljust(16, b"\0"))  # numpy drops trailing zeros of byte strings


def uuid_objects(values: Array) -> Array:
    """Return an object array of UUIDs. Equal neighbours share one object."""
    import numpy as np

    if not len(values):
        return np.empty(0, object)
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    uniques, codes = np.unique(values[first], return_inverse=True)
    objects = np.array([uuid_of(value) for value in uniques.tolist()], object)
    return np.repeat(objects[codes], np.diff(np.r_[first, len(values)]))
