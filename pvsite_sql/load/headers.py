"""What the headers of CSV files and of Excel sheets have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized

from ..errors import InvalidInput
from .batch import WIDE_KEY

__all__ = ["column_names", "is_number", "numbered_names", "refuse_reading"]


def column_names(header: Sequence[str], positions: Mapping[str, int]) -> dict[str, str]:
    """Return the names of columns for messages, by key. They tell columns of one name, or of none, from one another.

    Columns of sites have the names in the header, which are those of the sites.
    """
    return {
        key: header[position] if key.startswith(WIDE_KEY) else _column_name(header, position)
        for key, position in positions.items()
    }


def _column_name(header: Sequence[str], position: int) -> str:
    name = header[position]
    if not name:
        return f"column {position + 1}"
    return name if header.count(name) == 1 else f"{name} (column {position + 1})"


def numbered_names(row: Sized) -> list[str]:
    """Return names for the columns of a file without a header."""
    return [f"column {number}" for number in range(1, len(row) + 1)]


def refuse_reading(header: Sequence[str], positions: Mapping[str, int], place: str) -> None:
    """Raise an error if a header is a reading, which would be lost: every row has columns that are given by numbers.

    Raises:
        InvalidInput: the cells of the times begin with digits, and that of the power is a number.
    """
    times = [header[position] for key, position in positions.items() if key.startswith(("start_utc", "end_utc"))]
    power = header[positions["power_kw"]] if "power_kw" in positions else ""
    if is_number(power) and all(time[:1].isdigit() for time in times):
        raise InvalidInput(
            f"{place}: a reading instead of a header: {', '.join(map(repr, header))}; use --no-header, or --skip-lines "
            "if the header comes later"
        )


def is_number(text: str) -> bool:
    """Tell whether a text is a number, with a point or a comma."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
