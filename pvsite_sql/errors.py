"""The package's errors. All are subclasses of `PvsiteSqlError`.

Other database errors, such as a lost connection or a statement timeout, are raised unchanged as `psycopg.Error`, with
a note that names the query file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

__all__ = [
    "CheckFailed",
    "ConstraintError",
    "Duplicate",
    "InvalidInput",
    "MissingReference",
    "NotFound",
    "OutcomeUnknown",
    "PvsiteSqlError",
    "QueryFileError",
    "SchemaOutOfDate",
]


class PvsiteSqlError(Exception):
    """Base class of the package's errors."""


class InvalidInput(PvsiteSqlError, ValueError):
    """An argument or a frame is invalid. Nothing has been written.

    Attributes:
        reason: what is wrong, without the place.
        column: the name of the column or argument; None if the error concerns the whole input.
        rows: the positions (from 0) of the first invalid rows in the frame.
        count: the number of invalid rows.
        frame: the position (from 0) of the frame in an iterable of frames; None for a single frame.
        all_rows: the positions of all invalid rows.
    """

    def __init__(
        self,
        reason: str,
        *,
        column: str | None = None,
        rows: Sequence[int] = (),
        count: int | None = None,
        frame: int | None = None,
        all_rows: Sequence[int] | None = None,
    ) -> None:
        self.reason = reason
        self.column = column
        self.rows = tuple(rows)
        self.count = len(self.rows) if count is None else count
        self.frame = frame
        self.all_rows = self.rows if all_rows is None else all_rows
        super().__init__(reason)

    def replace(self, **changes: Any) -> InvalidInput:
        """Return a copy with the given attributes changed, such as `replace(frame=2)`."""
        names = ("reason", "column", "rows", "count", "frame", "all_rows")
        return InvalidInput(**{name: getattr(self, name) for name in names} | changes)

    def __str__(self) -> str:
        place = []
        if self.frame is not None:
            place.append(f"frame {self.frame}")
        if self.column is not None:
            place.append(self.column)
        if self.rows:
            shown = ", ".join(map(str, self.rows))
            more = f" and {self.count - len(self.rows)} more" if self.count > len(self.rows) else ""
            place.append(f"row{'s' if self.count > 1 else ''} {shown}{more}")
        return f"{', '.join(place)}: {self.reason}" if place else self.reason


class NotFound(PvsiteSqlError, KeyError):
    """The user, site, client, group, inverter or forecast that the call names does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the sentence in quotes


class ConstraintError(PvsiteSqlError):
    """A write violates a constraint of the schema. Nothing of the call was stored.

    Attributes:
        constraint_name: the name of the constraint; None if the server does not report it.
    """

    def __init__(self, message: str, *, constraint_name: str | None = None) -> None:
        self.constraint_name = constraint_name
        super().__init__(message)


class Duplicate(ConstraintError):
    """A row with the same key already exists, or the input contains a key twice."""


class MissingReference(ConstraintError):
    """A row refers to a row that does not exist, such as a reading to an unknown site."""


class CheckFailed(ConstraintError):
    """A value is outside the range that the column allows."""


class SchemaOutOfDate(PvsiteSqlError):
    """The database lacks migrations that this version of the package needs. Run `pvsite-sql migrate`.

    Attributes:
        pending: the ids of the missing migrations, in the order in which they are applied.
    """

    def __init__(self, message: str, *, pending: Sequence[str] = ()) -> None:
        self.pending = tuple(pending)
        super().__init__(message)


class OutcomeUnknown(PvsiteSqlError):
    """The connection was lost between COMMIT and its reply: the call was stored completely or not at all."""


class QueryFileError(PvsiteSqlError):
    """A `.sql` file of the package breaks the rules in `sql/README.md`.

    Attributes:
        path: the path of the file.
        line: the line number, from 1.
    """

    def __init__(self, path: Path, line: int, reason: str) -> None:
        self.path = path
        self.line = line
        self._reason = reason
        super().__init__(f"{path}:{line}: {reason}")

    def __reduce__(self) -> tuple[type[Self], tuple[Path, int, str]]:
        return type(self), (self.path, self.line, self._reason)
