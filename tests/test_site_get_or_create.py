"""`sites.get_or_create`: one site of a name, however many ask for it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up

from pvsite_sql import CheckFailed, Duplicate, InvalidInput, MissingReference, NotFound, Repository, Site

FIELDS: dict[str, Any] = {"client_site_id": 3, "gsp": "F-West", "capacity_kw": 4.0, "ml_id": 7, "metadata": {"a": 1}}


def test_creates_a_site_with_the_fields_and_then_leaves_it_as_it_is(repo: Repository) -> None:
    made = repo.sites.get_or_create(client_site_name="roof", **FIELDS)
    assert (made.client_site_name, made.client_uuid, made.country) == ("roof", None, "uk")
    assert made.model_dump(include=FIELDS.keys()) == FIELDS
    assert made.inverter_capacity_kw == 4.0
    for fields in ({}, FIELDS, {"capacity_kw": 5.0, "ml_id": 8}, {"ml_id": 7, "ml_model_uuid": uuid4()}):
        assert repo.sites.get_or_create(client_site_name="roof", **fields) == made
    assert repo.sites.list() == [made]
    assert len(repo.sites.history(made.site_uuid)) == 1


def test_looks_among_the_sites_of_the_client_and_the_country(repo: Repository) -> None:
    sun, moon = (repo.clients.get_or_create(name).client_uuid for name in ("Sun", "Moon"))
    get = repo.sites.get_or_create
    first = get(client_site_name="roof", client_name="Sun")
    assert (first.client_uuid, first.country) == (sun, "uk")
    assert get(client_site_name="roof") == get(client_site_name="roof", country="uk") == first
    dutch = get(client_site_name="roof", client_name="Sun", country="nl")
    assert (dutch.client_uuid, dutch.country) == (sun, "nl")
    other = get(client_site_name="roof", client_name="Moon", country="nl", dno="Stedin")
    assert (other.client_uuid, other.country, other.dno) == (moon, "nl", "Stedin")
    assert get(client_site_name="roof", client_name="Moon") == other
    assert get(client_site_name="roof", country="nl") == dutch
    assert get(client_site_name="Roof") not in (first, dutch, other)
    assert len(repo.sites.list()) == 4


def test_of_several_sites_it_returns_the_oldest(repo: Repository, postgresql: psycopg.Connection) -> None:
    client = repo.clients.get_or_create("Sun").client_uuid
    sites = [repo.sites.create(client_site_name="roof", client_uuid=client) for _ in range(6)]
    postgresql.execute(
        "UPDATE sites SET created_utc = created_utc - interval '1 day' WHERE site_uuid = %s", [sites[4].site_uuid]
    )
    postgresql.commit()
    oldest = repo.sites.get(sites[4].site_uuid)
    assert repo.sites.get_or_create(client_site_name="roof") == oldest
    assert repo.sites.get_or_create(client_site_name="roof", client_name="Sun", country="uk") == oldest
    assert repo.sites.get_by_client_site_name("roof") == oldest


def test_an_unknown_client_is_not_found(repo: Repository, site: Site) -> None:
    with pytest.raises(NotFound) as refusal:
        repo.sites.get_or_create(client_site_name="roof", client_name="Sun")
    assert str(refusal.value) == "no client 'Sun'"
    assert repo.sites.list() == [site]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"client_site_name": ""}, "client_site_name: must not be empty|client_site_name: must not be an empty string"),
        ({"client_site_name": None}, "client_site_name: must be a string"),
        ({"client_name": ""}, "client_name: must not be an empty string"),
        ({"country": ""}, "country: must not be an empty string"),
        ({"client_uuid": uuid4()}, "client_uuid: give the name of the client as client_name"),
        ({"capacity": 4}, "capacity: a site has no field capacity; did you mean capacity_kw?"),
        ({"tilt": "steep"}, "tilt: "),
        ({"ml_id": -1}, "ml_id: "),
    ],
)
def test_what_cannot_be_is_invalid_input_whether_the_site_exists_or_not(
    repo: Repository, arguments: dict[str, Any], said: str
) -> None:
    known = repo.sites.create(client_site_name="shed")
    for name in ("roof", "shed"):
        with pytest.raises(InvalidInput, match=f"^({said})"):
            repo.sites.get_or_create(**{"client_site_name": name, **arguments})
        with pytest.raises(CheckFailed, match=r"^capacity_kw must be "):
            repo.sites.get_or_create(client_site_name=name, capacity_kw=-1.0)
    assert repo.sites.list() == [known]


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"capacity_kw": -1.0}, CheckFailed), ({"ml_id": 1}, Duplicate), ({"ml_model_uuid": uuid4()}, MissingReference)],
)
def test_fields_that_the_database_refuses_create_nothing(
    repo: Repository, fields: dict[str, Any], error: type[Exception]
) -> None:
    known = repo.sites.create(ml_id=1)
    with repo.transaction() as tx:
        with pytest.raises(error):
            tx.sites.get_or_create(client_site_name="roof", **fields)
        assert tx.sites.list() == [known]
    with pytest.raises(error):
        repo.sites.get_or_create(client_site_name="roof", **fields)
    assert repo.sites.list() == [known]


def test_callers_at_once_get_one_site(repo: Repository) -> None:
    repo.clients.get_or_create("Sun")

    def in_a_transaction() -> Site:
        with repo.transaction() as tx:
            return tx.sites.get_or_create(client_site_name="roof", client_name="Sun", country="uk")

    ways: list[Callable[[], Site]] = [
        lambda: repo.sites.get_or_create(client_site_name="roof", client_name="Sun", capacity_kw=1.0),
        lambda: repo.sites.get_or_create(client_site_name="roof", client_name="Sun", country="uk"),
        in_a_transaction,
    ]
    found = concurrently(*[ways[n % len(ways)] for n in range(CALLERS)])
    assert [*{*found}] == repo.sites.list() == [found[0]]
    assert len(repo.sites.history(found[0].site_uuid)) == 1


def test_callers_that_ask_for_many_names_get_one_site_of_each(repo: Repository) -> None:
    names = [f"roof {n}" for n in range(10)]

    def get(*order: str) -> dict[str, Site]:
        return {name: repo.sites.get_or_create(client_site_name=name) for name in order}

    found = concurrently(*[lambda n=n: get(*names[n:], *names[:n]) for n in range(4)])
    assert found[0] == found[1] == found[2] == found[3]
    assert len(repo.sites.list()) == len(names)


@pytest.mark.parametrize("commits", [True, False])
def test_waits_for_the_one_that_is_about_to_create_it(
    repo: Repository, dsn: str, postgresql: psycopg.Connection, commits: bool
) -> None:
    with Repository(dsn, min_size=1) as other:
        transaction = other.transaction()
        tx = transaction.__enter__()
        theirs = tx.sites.get_or_create(client_site_name="roof")

        def end() -> None:
            if commits:
                transaction.__exit__(None, None, None)
            else:
                assert not transaction.__exit__(RuntimeError, RuntimeError("rolled back"), None)

        known = repo.sites.create(client_site_name="known")
        with repo.transaction() as mine:  # neither other names nor what exists wait for it
            assert mine.sites.get_or_create(client_site_name="shed").client_site_name == "shed"
            assert mine.sites.get_or_create(client_site_name="known") == known
        found, again = held_up(
            postgresql,
            end,
            lambda: repo.sites.get_or_create(client_site_name="roof", tilt=1),
            lambda: repo.sites.get_or_create(client_site_name="roof", country="uk"),
        )
    assert found == again
    assert (found == theirs) is commits
    assert [site.client_site_name for site in repo.sites.list()].count("roof") == 1


def test_what_exists_is_found_while_another_creates_one_of_the_name(repo: Repository) -> None:
    known = repo.sites.create(client_site_name="roof")
    with repo.transaction() as tx:
        tx.sites.get_or_create(client_site_name="roof", country="nl")  # holds the lock
        assert repo.sites.get_or_create(client_site_name="roof") == known


def test_what_exists_is_found_in_a_read_only_transaction(repo: Repository, dsn: str) -> None:
    known = repo.sites.create(client_site_name="roof")
    with Repository(dsn, min_size=1, kwargs={"options": "-c default_transaction_read_only=on"}) as reader:
        assert reader.sites.get_or_create(client_site_name="roof") == known
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.sites.get_or_create(client_site_name="shed")
