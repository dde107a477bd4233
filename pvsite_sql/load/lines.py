"""Which line of which file each row of a load comes from."""

from __future__ import annotations

import numpy as np

from ..engine.arrays import Array

__all__ = ["Lines"]


class Lines:
    """The lines of the rows of all frames of a load, in at most a few bytes a row."""

    def __init__(self) -> None:
        self._frames: list[tuple[str, str, int, Array | None]] = []

    def add(self, name: str, number_kind: str, numbers: Array) -> None:
        """Add the line or row numbers of the next frame, which is not empty."""
        steps: Array = np.diff(numbers)
        consecutive = bool(np.all(steps == 1))
        steps = steps.astype(np.min_scalar_type(-int(np.abs(steps).max(initial=1))))
        self._frames.append((name, number_kind, int(numbers[0]), None if consecutive else steps))

    def place(self, frame: int, row: int) -> tuple[str, str]:
        """Return the file of a row, and its line such as "line 3"."""
        name, number_kind, first, steps = self._frames[frame]
        return name, f"{number_kind} {first + (row if steps is None else int(steps[:row].sum(dtype=int)))}"
