"""Whether a database is fit for this version of the package."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import get_args

import psycopg

from . import partitions
from .errors import SchemaOutOfDate
from .queries import folder
from .session import Call

__all__ = [
    "MONTHS_AHEAD",
    "findings",
    "months_ahead",
    "packaged_migrations",
    "pending_migrations",
    "require_migrations",
]

MONTHS_AHEAD = 3


def packaged_migrations() -> list[str]:
    """The ids of the migrations that the package brings, in their order."""
    names = (path.name for path in folder("migrations").glob("*.sql"))
    return sorted(name.removesuffix(".sql") for name in names if not name.endswith(".rollback.sql"))


def pending_migrations(call: Call) -> list[str]:
    """The ids of the migrations that the database lacks, in their order."""
    try:
        with call.transaction():
            applied = call.values("check/applied_migrations")
    except psycopg.errors.UndefinedTable:
        applied = []
    return [migration for migration in packaged_migrations() if migration not in applied]


def require_migrations(call: Call) -> None:
    """See that the database has every migration of the package.

    Raises:
        SchemaOutOfDate: some are missing; says which.
    """
    if pending := pending_migrations(call):
        raise SchemaOutOfDate(
            f"the database lacks {', '.join(pending)}: run `pvsite-sql migrate` or `yoyo apply`", pending=pending
        )


def months_ahead(today: date | None = None) -> list[date]:
    """The first days of this month (UTC) and of those that `migrate` makes ahead of it."""
    today = datetime.now(UTC).date() if today is None else today
    month = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(month, month + MONTHS_AHEAD + 1)]


def findings(call: Call) -> list[str]:
    """What a deploy has left to do, a sentence each; empty where all is well."""
    if pending := pending_migrations(call):
        return [f"Migration {migration} is not applied: run `pvsite-sql migrate`." for migration in pending]
    return [
        f"The table {parent} has no partition for {month:%B %Y}: run `pvsite-sql migrate`."
        for parent in get_args(partitions.Parent)
        for month in call.values("partitions/missing", parent=parent, months=months_ahead())
    ]
