"""pandas frames, as the checks of readings and forecasts see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import InvalidOperation
from typing import Any, TypeVar

import pandas as pd

from ..errors import InvalidInput
from . import columns
from .arrays import Array

__all__ = ["PandasColumn", "PandasFrame", "frame_of_models"]

_Value = TypeVar("_Value")


class PandasColumn:
    """A series with the name of its column; see `Column`."""

    def __init__(self, series: pd.Series[Any], name: str) -> None:
        self._series = series
        self.name = name

    def not_null(self) -> Array:
        try:
            not_null: Array = self._series.notna().to_numpy(bool)
        except InvalidOperation:  # raised by a signaling NaN of Decimal
            raise InvalidInput("contains a signaling NaN", column=self.name) from None
        return not_null

    def chosen(self, mask: Array) -> PandasColumn:
        return PandasColumn(self._series[mask], self.name)

    def uuids(self) -> tuple[Array, Array]:
        return columns.distinct_uuids(self._series, self.name)

    def distinct(self, convert: Callable[[Any, str], _Value]) -> tuple[Array, list[_Value]]:
        return columns.convert_distinct(self._series, self.name, convert)

    def timestamps_us(self, *, last: int) -> Array:
        return columns.timestamps_us(self._series, self.name, last=last)

    def floats(self) -> Array:
        return columns.finite_floats(self._series, self.name)

    def numbers(self) -> Array:
        numbers = pd.to_numeric(self._series, errors="coerce")
        if pd.api.types.is_complex_dtype(numbers):
            raise TypeError("complex numbers")
        values: Array = numbers.to_numpy(dtype="f8", na_value=float("nan"))
        return values

    def objects(self) -> list[Any]:
        return columns.python_values(self._series, self.name)


class PandasFrame:
    """A frame; see `Frame`. It is never changed."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.names = [label for label in frame.columns if isinstance(label, str)]

    def __len__(self) -> int:
        return len(self._frame)

    def column(self, name: str) -> PandasColumn:
        return PandasColumn(columns.column_of(self._frame, name), name)


def frame_of_models(models: Sequence[Any], fields: Iterable[str]) -> pd.DataFrame:
    """Return the fields of models as the columns of a frame."""
    cells = {field: [getattr(model, field) for model in models] for field in fields}
    return pd.DataFrame(
        {field: pd.Series(values, dtype=None if field.endswith("_kw") else object) for field, values in cells.items()}
    )
