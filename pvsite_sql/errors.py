"""What can go wrong, as types: every error of the package is a `PvsiteSqlError`.

What is not the package's to explain (the server is gone, a statement timed out) stays a `psycopg.Error`, with a note
that names the query file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    """Any error that the package raises itself."""


class InvalidInput(PvsiteSqlError, ValueError):
    """An argument or a frame that cannot be stored or asked for; raised before anything is written.

    Attributes:
        reason: what is wrong, as a sentence without its place.
        column: the column or argument it is about, None where it is about the whole.
        rows: the positions (from 0) of the first offending rows of the frame.
        count: how many rows offend.
        frame: the position (from 0) of the frame in an iterable of frames, None where there is but one.
        all_rows: the positions of all the offending rows.
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
    """What was named does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the sentence in quotes


class ConstraintError(PvsiteSqlError):
    """The database refused a write; nothing of it was stored.

    Attributes:
        constraint_name: the constraint's name in the schema, None where the server does not say it.
    """

    def __init__(self, message: str, *, constraint_name: str | None = None) -> None:
        self.constraint_name = constraint_name
        super().__init__(message)


class Duplicate(ConstraintError):
    """A row of that key is there already, or stands twice in the input."""


class MissingReference(ConstraintError):
    """A row names another that does not exist, such as a reading of an unknown site."""


class CheckFailed(ConstraintError):
    """A value is outside of what the column allows."""


class SchemaOutOfDate(PvsiteSqlError):
    """The database lacks migrations that this version of the package needs.

    Attributes:
        pending: the ids of the missing migrations, in their order.
    """

    def __init__(self, message: str, *, pending: Sequence[str] = ()) -> None:
        self.pending = tuple(pending)
        super().__init__(message)


class OutcomeUnknown(PvsiteSqlError):
    """The connection died between COMMIT and its answer: the call is stored whole or not at all, which is unknown."""


class QueryFileError(PvsiteSqlError):
    """A `.sql` file of the package that breaks the rules of `sql/README.md`.

    Attributes:
        path: the file.
        line: the line, from 1.
    """

    def __init__(self, path: Path, line: int, reason: str) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}:{line}: {reason}")
