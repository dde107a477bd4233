"""The migrations, and `sql/schema/` beside them: two ways to the same database."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from yoyo.connections import parse_uri

from pvsite_sql import Repository, SchemaOutOfDate, migrate
from pvsite_sql.engine.migrations import packaged_migrations
from pvsite_sql.engine.queries import folder

MIGRATIONS = folder("migrations")
CATALOG = {
    "columns": """
        SELECT c.relname, c.relkind, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
            AND c.relname !~ 'yoyo'""",
    "relations": """
        SELECT c.relname, c.relkind, pg_get_partkeydef(c.oid), c.reloptions, obj_description(c.oid, 'pg_class'),
               CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
        FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ 'yoyo'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ 'yoyo'""",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename !~ 'yoyo'",
    "triggers": """
        SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger')
        FROM pg_trigger WHERE NOT tgisinternal""",
    "functions": """
        SELECT pg_get_functiondef(oid), proacl::text, obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
}


def _catalog(connection: psycopg.Connection) -> dict[str, list[Any]]:
    return {kind: sorted(map(repr, connection.execute(text).fetchall())) for kind, text in CATALOG.items()}


def _apply_schema_files(connection: psycopg.Connection) -> None:
    for path in sorted((folder("sql") / "schema").glob("[0-9]*.sql")):
        connection.execute(path.read_text())
    connection.commit()


def _yoyo(command: str, dsn: str, source: str = str(MIGRATIONS)) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "yoyo", command, "--batch", "--no-config-file", "-d", migrate.yoyo_uri(dsn), source],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"USER": "somebody"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_schema_files_and_migrations_make_the_same_database(postgresql, empty_database):
    _apply_schema_files(empty_database)
    by_migrations, by_files = _catalog(postgresql), _catalog(empty_database)
    assert by_migrations == by_files
    assert all(by_migrations.values()), "a part of the catalog is empty: the comparison compares nothing"


def test_every_statement_of_the_schema_stands_a_second_run(postgresql):
    before = _catalog(postgresql)
    _apply_schema_files(postgresql)
    for migration in packaged_migrations():
        postgresql.execute((MIGRATIONS / f"{migration}.sql").read_text())
    assert _catalog(postgresql) == before


def test_every_table_and_every_function_has_a_comment(postgresql):
    bare = postgresql.execute(
        """
        SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
            AND c.relname !~ 'yoyo' AND obj_description(c.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT p.proname FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
        """
    ).fetchall()
    assert bare == []


def test_functions_with_their_owners_rights_have_a_fixed_search_path(postgresql):
    settings = postgresql.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    ).fetchall()
    assert {name for name, _ in settings} == {
        "ensure_month_partitions",
        "ml_models_exist",
        "sites_exist",
        "sites_ml_id",
        "write_site_history",
    }
    for name, config in settings:
        assert "search_path=pg_catalog, public, pg_temp" in config, name


def test_yoyo_applies_once_and_rolls_back_to_nothing(empty_dsn, empty_database):
    untouched = _catalog(empty_database)
    _yoyo("apply", empty_dsn)
    applied = _catalog(empty_database)
    assert any("generation" in row for row in applied["relations"])
    empty_database.rollback()  # the look at the catalog holds locks
    _yoyo("apply", empty_dsn)
    assert _catalog(empty_database) == applied
    empty_database.execute("SELECT ensure_month_partitions('generation', '{2024-06-01}')")
    empty_database.execute("SELECT ensure_month_partitions('forecasts', '{2024-06-01}')")
    empty_database.commit()
    for _ in packaged_migrations():  # it takes back the last one that is there
        _yoyo("rollback", empty_dsn)
    assert _catalog(empty_database) == untouched


def test_apply_says_what_it_applied(empty_dsn):
    assert migrate.apply(empty_dsn) == packaged_migrations()
    assert migrate.apply(empty_dsn) == []


def test_works_in_a_schema_of_its_own(empty_dsn, empty_database):
    empty_database.execute("CREATE SCHEMA solar")
    empty_database.execute(f"ALTER DATABASE {empty_database.info.dbname} SET search_path = solar")
    empty_database.commit()
    migrate.apply(empty_dsn)
    with Repository(empty_dsn, min_size=1) as repo:
        site = repo.sites.create(capacity_kw=1)
        assert migrate.ensure_months_ahead(empty_dsn)
        assert repo.sites.list() == [site]


def test_a_database_without_migrations_is_out_of_date(empty_dsn):
    with Repository(empty_dsn, min_size=1) as repo:
        with pytest.raises(SchemaOutOfDate, match="pvsite-sql migrate") as error:
            repo.check()
        assert list(error.value.pending) == packaged_migrations()
        migrate.apply(empty_dsn)
        repo.check()


@pytest.mark.parametrize(
    "given",
    [
        "host=/tmp/a dbname=solar user=o'brien",
        "postgresql://me:p%40ss%2Fword@db.example:5433/so%20lar?sslmode=require",
        "host=a,b port=1,2 dbname=x target_session_attrs=read-write",
        "",
    ],
)
def test_yoyo_gets_the_same_connection(given):
    uri = parse_uri(migrate.yoyo_uri(given))
    assert uri.scheme == "postgresql+psycopg"
    assert not uri.database
    assert uri.args == conninfo_to_dict(given)
