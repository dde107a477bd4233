"""What the checks of readings and forecasts need to know of a frame: pandas, or anything with `__arrow_c_stream__`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from ..errors import InvalidInput
from .arrays import Array

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AnyFrame", "ArrowStream", "Column", "Frame", "as_frame", "is_arrow", "is_pandas", "site_column_name"]

_Value = TypeVar("_Value")


@runtime_checkable
class ArrowStream(Protocol):
    """Data that Arrow's C stream interface exports: of polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule of an ArrowArrayStream."""


AnyFrame: TypeAlias = "pd.DataFrame | ArrowStream"


class Column(Protocol):
    """A column of a frame.

    Each method raises `InvalidInput` for cells that cannot be converted; it names the column and the rows.
    """

    @property
    def name(self) -> str:
        """The name, for errors."""

    def not_null(self) -> Array:
        """Return which cells have a value."""

    def chosen(self, mask: Array) -> Column:
        """Return the cells for which `mask` is true, as a column."""

    def uuids(self) -> tuple[Array, Array]:
        """Return the distinct UUIDs in PostgreSQL's order, and for each row the position of its UUID among them."""

    def distinct(self, convert: Callable[[Any, str], _Value]) -> tuple[Array, list[_Value]]:
        """Convert each distinct cell once. Return for each row the position of its value, and the values."""

    def timestamps_us(self, *, last: int) -> Array:
        """Return times as microseconds since 2000-01-01 UTC; `last` is the latest one allowed, since 1970-01-01."""

    def floats(self) -> Array:
        """Return finite numbers as float64."""

    def numbers(self) -> Array:
        """Return numbers as float64, NaN for cells that are none. Numbers in texts count."""

    def objects(self) -> list[Any]:
        """Return the cells as Python objects."""


class Frame(Protocol):
    """A table with named columns."""

    @property
    def names(self) -> list[str]:
        """The names of the columns; labels that are no texts are left out."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Column:
        """Return the column with this name.

        Raises:
            InvalidInput: no column has this name, or several have.
        """


def is_pandas(data: object) -> bool:
    """Whether this is a pandas frame. Does not import pandas: a caller that has a frame has imported it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def is_arrow(data: object) -> bool:
    """Whether this has an Arrow stream and is no pandas frame."""
    return isinstance(data, ArrowStream) and not is_pandas(data)


def as_frame(data: AnyFrame) -> Frame:
    """Return a frame as the checks see it. An Arrow stream is read to its end.

    Raises:
        InvalidInput: `data` is no frame.
    """
    if is_pandas(data):
        from .pandas_frames import PandasFrame  # noqa: PLC0415  slow to import

        return PandasFrame(data)  # type: ignore[arg-type]
    if is_arrow(data):
        from .arrow_frames import ArrowFrame  # noqa: PLC0415  an extra
        from .arrow_streams import read_table  # noqa: PLC0415

        return ArrowFrame(read_table(data))
    raise InvalidInput(f"must be a frame, of pandas or with __arrow_c_stream__, got {type(data).__name__}")


def site_column_name(names: Sequence[str]) -> str:
    """Return the name of the column with the sites: `site_uuid`, or `location_uuid` as pvsite-datamodel 1.2 calls it.

    Raises:
        InvalidInput: the frame has both.
    """
    if "location_uuid" not in names:
        return "site_uuid"
    if "site_uuid" in names:
        raise InvalidInput("the frame must not have both site_uuid and location_uuid", column="site_uuid")
    return "location_uuid"
