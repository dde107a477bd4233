"""Rewrites `pvsite_sql/check/schema.json`. Run `python tests/schema_snapshot.py` after you add a migration."""

from __future__ import annotations

from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from pvsite_sql import migrate
from pvsite_sql.check import drift
from pvsite_sql.embedded import server_or_dsn
from pvsite_sql.engine.migrations import packaged_migrations
from pvsite_sql.engine.session import QueryConnection


def taken(dsn: str) -> str:
    """The snapshot of an empty database, migrated for it."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"CREATE SCHEMA {drift.SNAPSHOT_SCHEMA}")
    migrate.apply(make_conninfo(dsn, options=f"-c search_path={drift.SNAPSHOT_SCHEMA}"))
    with psycopg.connect(dsn) as connection:
        call = QueryConnection(connection)
        drift.normalize_output(call)
        return drift.snapshot(call, packaged_migrations())


def main() -> None:
    """Take it on a server of its own, or that of PVSITE_SQL_DSN."""
    with server_or_dsn() as dsn, psycopg.connect(dsn, autocommit=True) as server:
        name = f"pvsite_sql_{uuid4().hex}"
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            text = taken(make_conninfo(dsn, dbname=name))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    drift.SNAPSHOT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
