"""Every method, `check` and the commands on a hot standby, fed by a server of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from commands import called
from conftest import reading_frame
from test_roles import EXISTING, METHODS, READS, Given, public_methods, store

from pvsite_sql import Repository, check, migrate
from pvsite_sql.engine.session import QueryConnection

from ..pairs import KINDS, caught_up, server, standby_of

WRITES = {method: call for method, call in METHODS.items() if method not in READS}


@dataclass(frozen=True)
class Pair:
    """A repository on the primary, one on its standby, and what the primary had stored before the standby was read."""

    primary: Repository
    standby: Repository
    standby_dsn: str
    given: Given


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with server(request.param) as primary:
        dsn = primary.create_database("solar")
        migrate.apply(dsn)
        migrate.ensure_months_ahead(dsn)
        with standby_of(primary) as standby, Repository(dsn, min_size=1) as own:
            given = store(own)
            own.site_groups.create(" without users")
            caught_up(primary, standby)
            with Repository(standby.dsn("solar"), min_size=1) as reader:
                yield Pair(own, reader, standby.dsn("solar"), given)


def test_it_is_a_standby(pair):
    with psycopg.connect(pair.standby_dsn) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    assert public_methods(pair.standby) == set(METHODS)
    assert {method for method in METHODS if method.endswith("get_or_create")} == set(EXISTING)


@pytest.mark.parametrize("method", READS)
def test_a_method_that_reads_shows_what_the_primary_shows(pair, method):
    assert READS[method](pair.standby, pair.given) == READS[method](pair.primary, pair.given)
    with pair.standby.transaction() as tx:
        if method != "check":
            assert READS[method](tx, pair.given) == READS[method](pair.primary, pair.given)


@pytest.mark.parametrize("method", EXISTING)
def test_get_or_create_of_what_exists_returns_it(pair, method):
    assert EXISTING[method](pair.standby, pair.given) == EXISTING[method](pair.primary, pair.given)


@pytest.mark.parametrize("method", WRITES)
def test_a_method_that_writes_is_refused_in_the_servers_own_words_and_not_retried(pair, method):
    before = pair.standby.stats().retries
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        WRITES[method](pair.standby, pair.given)
    assert pair.standby.stats().retries == before
    with pair.standby.transaction() as tx, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        WRITES[method](tx, pair.given)


@pytest.mark.parametrize("start", ["2024-06-01", "1999-01-01"], ids=["in_a_month_that_exists", "in_a_new_month"])
@pytest.mark.parametrize("on_conflict", ["ignore", "update", "error"])
@pytest.mark.parametrize("several", [False, True], ids=["a_frame", "frames"])
def test_so_is_an_insert_of_readings(pair, start, on_conflict, several):
    frame = reading_frame(pair.given.site, start=start, power_kw=7)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        pair.standby.generation.insert(iter([frame]) if several else frame, on_conflict=on_conflict)


def test_own_sql_reads_and_cannot_write(pair):
    for _ in range(2):  # the second block gets the connection that the first one has left
        with pair.standby.connection() as connection:
            assert connection.execute("SELECT count(*) FROM sites").fetchone() == (len(pair.primary.sites.list()),)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), pair.standby.connection() as connection:
            connection.execute("DELETE FROM status")


def test_check_finds_what_it_finds_on_the_primary(pair):
    with psycopg.connect(pair.standby_dsn, autocommit=True) as connection:
        on_standby = check.findings(QueryConnection(connection))
    with pair.primary._source.connection() as borrowed:
        borrowed.connection.autocommit = True
        on_primary = check.findings(QueryConnection(borrowed.connection))
        borrowed.connection.autocommit = False
    assert on_standby == on_primary
    assert [finding for finding in on_standby if finding.severity != "information"] == []


def test_the_commands_run_or_say_why_not(pair):
    assert called("check", "--dsn", pair.standby_dsn)[0] == 0
    code, out, err = called("migrate", "--dsn", pair.standby_dsn)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "standby" in err
