"""What was found in the first rows of a file so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from .formats import has_date, has_time, has_time_only, is_epoch
from .tables import NUMBER, Table

__all__ = ["Findings", "is_uuid"]

_SHARE = 0.9  # of the cells of a column that must be of a kind
_SHARE_OF_NUMBERS = 0.7  # the others may be errors of spreadsheets
_NO_VALUE = {"", "-", "--", "nan", "null", "none", "n/a", "na", "unavailable", "unknown"}
_EXCEL_TIME = re.compile(r"[2-7]\d{4}(?:[.,]\d+)?")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+|\d+")


class Findings:
    """The columns of a table, and the options that were found.

    Attributes:
        table: the table.
        given: keywords of `Layout`, and `interval`, that are known. They are not looked for.
        options: those that were found.
        doubts: what is not certain, a sentence for each.
        cells: the cells of each column.
        kinds: for each column "date", "time" (a date with a time), "clock" (a time of day), "epoch", "excel" (days as
            a number), "uuid", "number", "text" or "empty".
    """

    def __init__(self, table: Table, given: Mapping[str, Any]) -> None:
        self.table = table
        self.given = given
        self.options: dict[str, Any] = {}
        self.doubts: list[str] = []
        self.cells = [table.column(position) for position in range(table.width)]
        self.kinds = [_kind(cells) for cells in self.cells]
        if not {"date", "time", "epoch"} & set(self.kinds):
            self._find_excel_times()

    def _find_excel_times(self) -> None:
        for position, cells in enumerate(self.cells):
            if self.kinds[position] == "number" and all(_EXCEL_TIME.fullmatch(cell) for cell in cells if cell):
                self.kinds[position] = "excel"
                return

    def known(self, keyword: str) -> Any:
        """Return what is given or was found for a keyword; None if it is not known."""
        return self.given.get(keyword, self.options.get(keyword))

    def of_kind(self, *kinds: str) -> list[int]:
        """Return the positions of the columns of some kinds."""
        return [position for position, kind in enumerate(self.kinds) if kind in kinds]

    def name(self, position: int) -> str:
        """Return the name of a column, "" if it has none."""
        return self.table.names[position] if position < len(self.table.names) else ""

    def words(self, position: int) -> set[str]:
        """Return the words of the name of a column, in lower case."""
        return {word.lower() for word in _WORDS.findall(self.name(position))}

    def reference(self, position: int) -> str | int:
        """Return the name of a column; its number, counted from 1, if it is not the only one with that name."""
        name = self.name(position)
        return position + 1 if not name or self.table.names.count(name) > 1 else name

    def quoted(self, position: int) -> str:
        """Return the name or number of a column for a sentence."""
        name = self.reference(position)
        return f"column {name}" if isinstance(name, int) else f"column {name!r}"

    def position(self, column: str | int) -> int | None:
        """Return the position of a column that is given by its name or number; None if there is no such column."""
        if column in self.table.names:
            return self.table.names.index(str(column))
        number = int(column) if str(column).isdigit() else 0
        return number - 1 if 1 <= number <= self.table.width else None


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _kind(cells: Sequence[str]) -> str:
    values = [cell for cell in dict.fromkeys(cells) if cell.lower() not in _NO_VALUE and not cell.startswith("#")]
    if not values:
        return "empty"

    def most(test: Callable[[str], object], share: float = _SHARE) -> bool:
        return sum(bool(test(value)) for value in values) >= share * len(values)

    if most(has_date):
        return "time" if any(has_time(value) for value in values) else "date"
    tests: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("epoch", is_epoch),
        ("clock", has_time_only),
        ("uuid", is_uuid),
    )
    found = next((kind for kind, test in tests if most(test)), "text")
    return "number" if found == "text" and most(NUMBER.fullmatch, _SHARE_OF_NUMBERS) else found
