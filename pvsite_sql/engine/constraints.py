"""Refused constraints, as the package's errors."""

from __future__ import annotations

import psycopg

from ..errors import CheckFailed, ConstraintError, Duplicate, MissingReference

__all__ = ["as_package_error"]

_ERRORS: dict[type[psycopg.Error], type[ConstraintError]] = {
    psycopg.errors.UniqueViolation: Duplicate,
    psycopg.errors.ForeignKeyViolation: MissingReference,
    psycopg.errors.CheckViolation: CheckFailed,
    psycopg.errors.NotNullViolation: CheckFailed,
}


def as_package_error(error: psycopg.Error) -> Exception:
    """The error of the package for a refused constraint; any other error as it is."""
    for refused, kind in _ERRORS.items():
        if isinstance(error, refused):
            # of a failed CHECK the detail is the whole row
            shown = error.diag.message_detail if kind is not CheckFailed else None
            detail = f": {shown}" if shown else ""
            return kind(f"{error.diag.message_primary}{detail}", constraint_name=error.diag.constraint_name)
    return error
