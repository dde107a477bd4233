"""Which migrations the package brings, and which a database has."""

from __future__ import annotations

import psycopg

from ..errors import SchemaOutOfDate
from .queries import folder
from .session import QueryConnection

__all__ = ["applied_migrations", "packaged_migrations", "pending_migrations", "require_migrations"]


def packaged_migrations() -> list[str]:
    """The ids of the migrations that the package brings, in their order."""
    names = (path.name for path in folder("migrations").glob("*.sql"))
    return sorted(name.removesuffix(".sql") for name in names if not name.endswith(".rollback.sql"))


def pending_migrations(conn: QueryConnection) -> list[str]:
    """The ids of the migrations that the database lacks, in their order."""
    applied = applied_migrations(conn)
    return [migration for migration in packaged_migrations() if migration not in applied]


def applied_migrations(conn: QueryConnection) -> list[str]:
    """The ids of the migrations that yoyo has marked in the database, in their order; none without yoyo's table."""
    try:
        with conn.transaction():
            return conn.values("engine/applied_migrations")
    except psycopg.errors.UndefinedTable:
        return []


def require_migrations(conn: QueryConnection) -> None:
    """See that the database has every migration of the package.

    Raises:
        SchemaOutOfDate: some are missing; says which.
    """
    if pending := pending_migrations(conn):
        raise SchemaOutOfDate(
            f"the database lacks {', '.join(pending)}: run `pvsite-sql migrate` or `yoyo apply`", pending=pending
        )
