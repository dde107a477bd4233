"""A COMMIT that the server refuses is an error, never a success."""

from __future__ import annotations

import psycopg
import pytest

from pvsite_sql import MissingReference

from .loads import LOADS, of_each_load, stored

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'not at this COMMIT' USING ERRCODE = 'ZZ001'; END $$;
"""
TRIGGER = """
    CREATE CONSTRAINT TRIGGER refused AFTER INSERT OR UPDATE ON {} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse();
"""
CALLS = {
    "users": lambda repo: repo.users.get_or_create("alice"),
    "site_groups": lambda repo: repo.site_groups.create("north"),
    "sites": lambda repo: repo.sites.create(),
    "clients": lambda repo: repo.clients.get_or_create("Sun"),
    "ml_models": lambda repo: repo.ml_models.get_or_create("blend"),
    "status": lambda repo: repo.status.create("ok", message=""),
    "api_request": lambda repo: repo.api_requests.create("/sites"),
}


@pytest.fixture
def refusing(observer: psycopg.Connection) -> psycopg.Connection:
    """The database, where COMMIT fails for whatever writes to the tables of bulk inserts."""
    observer.execute(REFUSE + TRIGGER.format("generation") + TRIGGER.format("forecasts"))
    observer.execute("ALTER TABLE generation DISABLE TRIGGER refused; ALTER TABLE forecasts DISABLE TRIGGER refused")
    return observer


def switch(connection: psycopg.Connection, word: str) -> None:
    for table in ("generation", "forecasts"):
        connection.execute(f"ALTER TABLE {table} {word} TRIGGER refused")


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in_transaction"])
@of_each_load
def test_of_a_bulk_insert(repo, dsn, refusing, load, in_transaction):
    LOADS[0].run(repo, repo.sites.create().site_uuid)
    site = load.begin(repo)
    before = stored(dsn, site)
    switch(refusing, "ENABLE")
    with pytest.raises(psycopg.Error) as refusal:  # noqa: PT012  raised at its end
        if in_transaction:
            with repo.transaction() as tx:
                assert load.run(tx, site) == load.first_time
        else:
            load.run(repo, site)
    assert refusal.value.sqlstate == "ZZ001"
    assert stored(dsn, site) == before
    switch(refusing, "DISABLE")
    assert load.run(repo, site) == load.first_time
    assert load.is_whole(stored(dsn, site))


def test_of_a_deferred_foreign_key_is_explained(repo, dsn, site, observer):
    observer.execute("CREATE TABLE allowed (site_uuid uuid PRIMARY KEY)")
    observer.execute(
        "ALTER TABLE generation ADD CONSTRAINT is_allowed FOREIGN KEY (site_uuid) REFERENCES allowed "
        "DEFERRABLE INITIALLY DEFERRED"
    )
    load = LOADS[0]
    with pytest.raises(MissingReference) as refusal:
        load.run(repo, site.site_uuid)
    assert refusal.value.constraint_name == "is_allowed"
    assert stored(dsn, site.site_uuid) == {}
    observer.execute("INSERT INTO allowed VALUES (%s)", [site.site_uuid])
    assert load.run(repo, site.site_uuid) == load.first_time


@pytest.mark.parametrize("table", CALLS)
def test_of_a_single_row(repo, observer, table):
    observer.execute(REFUSE + TRIGGER.format(table))
    with pytest.raises(psycopg.Error) as refusal:
        CALLS[table](repo)
    assert refusal.value.sqlstate == "ZZ001"
    assert refusal.value.__cause__ is None  # not itself either: a program that follows the causes would never end
    assert observer.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
