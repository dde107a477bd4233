"""Clients: the organizations that the sites come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up
from conftest import pages

from pvsite_sql import ConstraintError, Duplicate, InvalidInput, NotFound, Repository


def test_get_or_create_makes_a_client_once(repo: Repository) -> None:
    client = repo.clients.get_or_create("Sun & Sons")
    assert client.client_name == "Sun & Sons"
    assert repo.clients.get_or_create("Sun & Sons") == client == repo.clients.get("Sun & Sons")
    assert repo.clients.list() == [client]


def test_list_is_by_name(repo: Repository) -> None:
    made = {name: repo.clients.get_or_create(name) for name in ("c", "a", "b")}
    assert repo.clients.list() == [made["a"], made["b"], made["c"]]
    pages(repo.clients.list, [made["a"], made["b"], made["c"]])


@pytest.mark.parametrize(
    "call",
    [
        lambda clients: clients.get("Moon & Sons"),
        lambda clients: clients.rename("Moon & Sons", "Moon"),
        lambda clients: clients.delete("Moon & Sons"),
    ],
    ids=["get", "rename", "delete"],
)
def test_an_unknown_client_is_not_found(repo: Repository, call: Callable[[Any], object]) -> None:
    with pytest.raises(NotFound) as refusal:
        call(repo.clients)
    assert str(refusal.value) == "no client 'Moon & Sons'"
    assert repo.clients.list() == []


def test_rename_keeps_the_client_and_its_sites(repo: Repository) -> None:
    client = repo.clients.get_or_create("Sun")
    site = repo.sites.create(client_uuid=client.client_uuid)
    renamed = repo.clients.rename("Sun", "Sun & Sons")
    assert renamed == client.model_copy(update={"client_name": "Sun & Sons"})
    assert repo.clients.list() == [renamed]
    assert repo.sites.list(client_name="Sun & Sons") == [site]
    assert repo.clients.rename("Sun & Sons", "Sun & Sons") == renamed


@pytest.mark.parametrize("new", ["", None, 5])
def test_a_new_name_is_a_text(repo: Repository, new: Any) -> None:
    client = repo.clients.get_or_create("Sun")
    with pytest.raises(InvalidInput, match=r"^new_name: must"):
        repo.clients.rename("Sun", new)
    assert repo.clients.list() == [client]


def test_rename_to_a_taken_name_changes_nothing(repo: Repository) -> None:
    known = [repo.clients.get_or_create(name) for name in ("Moon", "Sun")]
    with pytest.raises(Duplicate, match="Moon") as refusal:
        repo.clients.rename("Sun", "Moon")
    assert refusal.value.constraint_name == "clients_client_name_key"
    assert repo.clients.list() == known
    assert repo.clients.rename("Sun", "moon").client_name == "moon"  # another name


def test_delete_is_refused_while_sites_are_the_clients(repo: Repository) -> None:
    sun, moon = (repo.clients.get_or_create(name) for name in ("Sun", "Moon"))
    site = repo.sites.create(client_uuid=sun.client_uuid)
    with pytest.raises(ConstraintError) as refusal:
        repo.clients.delete("Sun")
    assert type(refusal.value) is ConstraintError
    assert refusal.value.constraint_name == "sites_client_uuid_fkey"
    assert str(refusal.value) == "client 'Sun' still has sites: give them to another client or delete them first"
    assert repo.clients.list() == [moon, sun]
    repo.clients.delete("Moon")
    assert repo.clients.list() == [sun]
    repo.sites.update(site.site_uuid, client_uuid=None)
    repo.clients.delete("Sun")
    assert repo.clients.list() == []
    assert [each.site_uuid for each in repo.sites.list()] == [site.site_uuid]


def test_a_client_that_gets_a_site_while_it_is_deleted_stays(repo: Repository, postgresql: psycopg.Connection) -> None:
    client = repo.clients.get_or_create("Sun")
    postgresql.execute("INSERT INTO sites (client_uuid) VALUES (%s)", [client.client_uuid])
    (error,) = held_up(postgresql, postgresql.commit, lambda: repo.clients.delete("Sun"))
    assert type(error) is ConstraintError
    assert repo.clients.list() == [client]


def test_get_or_create_by_many_at_once_makes_one_client(repo: Repository) -> None:
    for n in range(8):
        got = concurrently(*[lambda name=f"client {n}": repo.clients.get_or_create(name)] * CALLERS)
        assert got == [repo.clients.get(f"client {n}")] * CALLERS


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_get_or_create_waits_for_another_that_makes_the_same(
    repo: Repository, postgresql: psycopg.Connection, end: str
) -> None:
    postgresql.execute("INSERT INTO clients (client_name) VALUES ('Sun')")
    got = held_up(postgresql, getattr(postgresql, end), *[lambda: repo.clients.get_or_create("Sun")] * CALLERS)
    assert got == repo.clients.list() * CALLERS
