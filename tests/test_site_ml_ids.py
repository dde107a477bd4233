"""The number that machine learning knows a site by: counted, or given, and never that of two sites."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from concurrency import concurrently, held_up

from pvsite_sql import Duplicate, InvalidInput, Repository, Site

NEAR = 10_000  # a given number at most so far ahead is where counting goes on
LARGEST = 2**31 - 1


@pytest.fixture
def hand(postgresql: psycopg.Connection) -> psycopg.Connection:
    """A connection of somebody who writes by hand, a transaction a statement."""
    postgresql.autocommit = True
    return postgresql


def test_may_be_given_and_changed(repo: Repository) -> None:
    for given in (0, 7, LARGEST):
        site = repo.sites.create(ml_id=given)
        assert site.ml_id == repo.sites.get(site.site_uuid).ml_id == given
    site = repo.sites.create()
    assert repo.sites.update(site.site_uuid, ml_id=5) == site.model_copy(update={"ml_id": 5})
    assert repo.sites.update(site.site_uuid, ml_id=5, tilt=1).ml_id == 5


@pytest.mark.parametrize("value", [-1, -(2**31), 2**31, 1.5, "first"])
def test_that_is_no_number_from_0_on_is_invalid_input(repo: Repository, site: Site, value: Any) -> None:
    for write in (repo.sites.create, partial(repo.sites.update, site.site_uuid)):
        with pytest.raises(InvalidInput, match=r"^ml_id: ") as refusal:
            write(ml_id=value)
        assert refusal.value.column == "ml_id"
    assert repo.sites.list() == [site]


def test_of_another_site_is_a_duplicate_that_names_it(repo: Repository) -> None:
    sites = [repo.sites.create(ml_id=ml_id) for ml_id in (5, 6)]
    for write in (repo.sites.create, partial(repo.sites.update, sites[1].site_uuid)):
        with pytest.raises(Duplicate, match=r"\(ml_id\)=\(5\) already exists") as refusal:
            write(ml_id=5, gsp="changed")
        assert refusal.value.constraint_name == "sites_ml_id_key"
    with repo.transaction() as tx:
        with pytest.raises(Duplicate):
            tx.sites.create(ml_id=5)
        third = tx.sites.create(ml_id=7)
    assert {site.ml_id for site in repo.sites.list()} == {5, 6, third.ml_id}


def test_that_a_deleted_site_had_may_be_given_again(repo: Repository) -> None:
    site = repo.sites.create(ml_id=5)
    repo.sites.delete(site.site_uuid)
    assert repo.sites.create(ml_id=5).ml_id == 5


def test_is_counted_where_it_is_none(repo: Repository, site: Site) -> None:
    assert repo.sites.create(ml_id=None).ml_id == 2
    assert repo.sites.update(site.site_uuid, ml_id=None).ml_id == 3
    assert repo.sites.update(site.site_uuid, tilt=1).ml_id == 3


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ([1], [2, 3]),
        ([2, 1, 0], [3, 4]),
        ([NEAR], [NEAR + 1, NEAR + 2]),
        ([NEAR + 1], [1, 2]),
        ([NEAR, 2 * NEAR, 3 * NEAR], [3 * NEAR + 1, 3 * NEAR + 2]),
        ([LARGEST], [1, 2]),
    ],
)
def test_counting_goes_on_after_numbers_that_were_given_nearby(
    repo: Repository, hand: psycopg.Connection, given: list[int], counted: list[int]
) -> None:
    for ml_id in given:
        repo.sites.create(ml_id=ml_id)
    assert repo.sites.create().ml_id == counted[0]
    assert hand.execute("INSERT INTO sites DEFAULT VALUES RETURNING ml_id").fetchone() == (counted[1],)


def test_counting_goes_on_after_a_number_that_a_site_was_changed_to(repo: Repository, site: Site) -> None:
    repo.sites.update(site.site_uuid, ml_id=9)
    assert repo.sites.create().ml_id == 10


def test_counting_skips_numbers_that_were_given_far_ahead(repo: Repository, hand: psycopg.Connection) -> None:
    far = range(NEAR + 1, NEAR + 300)
    for ml_id in reversed(far):
        hand.execute("INSERT INTO sites (ml_id) VALUES (%s)", [ml_id])
    count_from(hand, far.start)
    assert [repo.sites.create().ml_id for _ in range(2)] == [far.stop, far.stop + 1]


def test_of_many_sites_in_one_statement(repo: Repository, hand: psycopg.Connection) -> None:
    hand.execute("INSERT INTO sites (ml_id) VALUES (20001), (3), (NULL), (NULL), (20002), (NULL)")
    hand.execute("UPDATE sites SET ml_id = NULL WHERE ml_id > 20000")
    assert sorted(site.ml_id for site in repo.sites.list()) == [3, 4, 5, 6, 7, 8]


def count_from(connection: psycopg.Connection, number: int) -> None:
    connection.execute("SELECT setval('sites_ml_id_seq', %s, FALSE)", [number])


@pytest.mark.parametrize(("end", "counted"), [("COMMIT", NEAR + 6), ("ROLLBACK", NEAR + 5)])
@pytest.mark.parametrize("way", ["create", "update", "get_or_create", "a transaction"])
def test_counting_waits_for_a_number_that_another_transaction_is_about_to_give(
    repo: Repository, site: Site, hand: psycopg.Connection, dsn: str, end: str, counted: int, way: str
) -> None:
    def in_a_transaction() -> Site:
        with repo.transaction() as tx:
            tx.sites.update(site.site_uuid, tilt=1)
            return tx.sites.create()

    ways: dict[str, Callable[[], Site]] = {
        "create": repo.sites.create,
        "update": lambda: repo.sites.update(site.site_uuid, ml_id=None),
        "get_or_create": lambda: repo.sites.get_or_create(client_site_name="roof"),
        "a transaction": in_a_transaction,
    }
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO sites (ml_id) VALUES (%s)", [NEAR + 5])
        count_from(hand, NEAR + 5)
        (written,) = held_up(hand, lambda: other.execute(end), ways[way])
    assert written.ml_id == counted, written
    assert repo.sites.get(written.site_uuid) == written


def test_is_never_that_of_two_sites_however_many_count_and_give_at_once(repo: Repository) -> None:
    each = 25

    def count() -> list[int]:
        return [repo.sites.create().ml_id for _ in range(each)]

    def give(first: int) -> list[int]:
        given = []
        for ml_id in range(first, first + 2 * each, 2):
            try:
                given.append(repo.sites.create(ml_id=ml_id).ml_id)
            except Duplicate:  # it was counted before it was given
                continue
        return given

    numbers = [n for found in concurrently(*[count] * 4, *[partial(give, n) for n in (0, 1, 40, 50)]) for n in found]
    assert len(numbers) == len(set(numbers)) >= 4 * each
    assert sorted(site.ml_id for site in repo.sites.list()) == sorted(numbers)


def test_the_history_knows_what_it_was(repo: Repository, site: Site) -> None:
    changed = repo.sites.update(site.site_uuid, ml_id=50)
    first, last = repo.sites.history(site.site_uuid)
    assert (last.old_row or {})["ml_id"] == site.ml_id
    assert repo.sites.get_as_of(site.site_uuid, at_utc=first.changed_utc).ml_id == site.ml_id
    assert repo.sites.get_as_of(site.site_uuid, at_utc=last.changed_utc) == changed
