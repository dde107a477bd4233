"""Databases for tests: clones of the migrated template, and one that many tests use in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pytest_postgresql.executors import NoopExecutor

# Every other session of the database ends, as it would if the database were dropped.
END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# DELETE is the quickest where there is little to delete. What a table has grown by is given back by TRUNCATE.
EMPTY = """
DO $$
DECLARE
    name regclass;
    filled boolean;
BEGIN
    SET LOCAL lock_timeout = '2s';
    SET LOCAL session_replication_role = replica;
    IF (SELECT count(*) FROM pg_inherits) > 200 THEN
        RAISE EXCEPTION 'a new database is made sooner than so many partitions are dropped';
    END IF;
    FOR name IN
        SELECT i.inhrelid FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('DROP TABLE %s', name);
    END LOOP;
    FOR name IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relkind = 'r' AND c.oid >= 16384 AND c.relnamespace = 'public'::regnamespace AND c.relname !~ '^_?yoyo'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO filled;
        IF pg_relation_size(name) > 100000 THEN
            EXECUTE format('TRUNCATE %s CASCADE', name);
        ELSIF filled THEN
            EXECUTE format('DELETE FROM %s', name);
        END IF;
    END LOOP;
    PERFORM setval(s.seqrelid::regclass, s.seqstart, false) FROM pg_sequence AS s;
END
$$
"""
# Of a catalog: the column that says whose the row is.
CATALOGS = {
    "pg_attrdef": "oid",
    "pg_attribute": "attrelid",
    "pg_cast": "oid",
    "pg_collation": "oid",
    "pg_constraint": "oid",
    "pg_default_acl": "oid",
    "pg_description": "objoid",
    "pg_event_trigger": "oid",
    "pg_extension": "oid",
    "pg_index": "indexrelid",
    "pg_inherits": "inhrelid",
    "pg_language": "oid",
    "pg_largeobject_metadata": "oid",
    "pg_operator": "oid",
    "pg_policy": "oid",
    "pg_proc": "oid",
    "pg_publication": "oid",
    "pg_rewrite": "oid",
    "pg_sequence": "seqrelid",
    "pg_statistic_ext": "oid",
    "pg_trigger": "oid",
    "pg_ts_config": "oid",
    "pg_type": "oid",
}
OURS = "d.datname = current_database()"
CHANGING = "relfilenode,relpages,relallvisible,relallfrozen,relfrozenxid,relminmxid,relhassubclass"
OTHER_FACTS = (
    # reltuples stays: it says whether the table was analyzed
    f"SELECT (to_jsonb(c) - '{{{CHANGING}}}'::text[])::text FROM pg_class AS c WHERE c.oid >= 16384",
    "SELECT n::text FROM pg_namespace AS n WHERE n.nspname !~ '^pg_(toast_)?temp_'",
    "SELECT format('%s %s', s.starelid, s.staattnum) FROM pg_statistic AS s WHERE s.starelid >= 16384",
    "SELECT format('%s %s', c.oid, c.relacl) FROM pg_class AS c WHERE c.oid < 16384",
    "SELECT format('%s %s', p.oid, p.proacl) FROM pg_proc AS p WHERE p.oid < 16384 AND p.proacl IS NOT NULL",
    f"SELECT (to_jsonb(d) - '{{datfrozenxid,datminmxid}}'::text[])::text FROM pg_database AS d WHERE {OURS}",
    f"SELECT s::text FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase WHERE {OURS}",
    "SELECT m::text FROM _yoyo_migration AS m",
    "SELECT l::text FROM _yoyo_log AS l",
    "SELECT l::text FROM yoyo_lock AS l",
)
OF_CATALOGS = tuple(f"SELECT c::text FROM {name} AS c WHERE c.{key} >= 16384" for name, key in CATALOGS.items())
EACH = " UNION ALL ".join(OF_CATALOGS + OTHER_FACTS)
FACTS = f"SELECT md5(string_agg(f.fact, ' ' ORDER BY f.fact)) FROM ({EACH}) AS f (fact)"


class Databases:
    """Clones of the migrated template. Each worker of pytest-xdist has names of its own: workers may share a server."""

    def __init__(self, migrated: NoopExecutor) -> None:
        self._access = {"host": migrated.host, "port": migrated.port, "user": migrated.user}
        self._access |= {"password": migrated.password or None}
        self.maintenance = migrated.maintenance_dbname
        self._template = sql.Identifier(migrated.template_dbname)
        self._prefix = migrated.dbname

    def server(self) -> psycopg.Connection:
        """A connection to no database in particular, in autocommit mode."""
        return psycopg.connect(dbname=self.maintenance, autocommit=True, **self._access)

    def conninfo(self, name: str) -> str:
        """How to reach a clone."""
        return make_conninfo(dbname=f"{self._prefix}_{name}", **self._access)

    def create(self, name: str) -> None:
        """Make a clone, in place of the one of that name."""
        self.drop(name)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(self._identifier(name), self._template)
        with self.server() as server:
            server.execute(statement)

    def drop(self, name: str) -> None:
        """Drop a clone and end the sessions that are connected to it."""
        with self.server() as server:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(self._identifier(name)))

    @contextmanager
    def clone(self, name: str) -> Iterator[str]:
        """The conninfo of a clone that is dropped at the end."""
        self.create(name)
        try:
            yield self.conninfo(name)
        finally:
            self.drop(name)

    def _identifier(self, name: str) -> sql.Identifier:
        return sql.Identifier(f"{self._prefix}_{name}")


class SharedDatabase:
    """A clone that serves one test after another, each as if it were new."""

    NAME = "shared"

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._facts = ""
        self._keeper: psycopg.Connection | None = None  # stays: most of a check is what a new session has to look up
        self.clones = 0

    @contextmanager
    def lent(self) -> Iterator[psycopg.Connection]:
        """A connection to the database as the template is. What is done to it is undone at the end."""
        if self._keeper is None:
            self._clone()
        connection = self._connected()
        try:
            yield connection
        finally:
            connection.close()
            self._restore()

    def drop(self) -> None:
        """Drop it; the next test gets a new one."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        self._databases.drop(self.NAME)

    def _clone(self) -> None:
        self._databases.create(self.NAME)
        self.clones += 1
        self._keeper = self._connected()
        self._keeper.autocommit = True
        self._facts = self._found(self._keeper)

    def _restore(self) -> None:
        """Empty it, and drop it where that fails or is not enough."""
        try:
            assert self._keeper is not None
            self._keeper.execute(END_OTHERS)
            self._keeper.execute(EMPTY)
            same = self._found(self._keeper) == self._facts
        except psycopg.Error:
            same = False
        if not same:
            self.drop()

    def _connected(self) -> psycopg.Connection:
        return psycopg.connect(self._databases.conninfo(self.NAME))

    @staticmethod
    def _found(connection: psycopg.Connection) -> str:
        (facts,) = connection.execute(FACTS).fetchone() or ("",)
        return str(facts)
