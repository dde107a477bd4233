"""Clients: the organizations that the sites come from."""

from __future__ import annotations

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up

from pvsite_sql import NotFound, Repository


def test_get_or_create_makes_a_client_once(repo: Repository) -> None:
    client = repo.clients.get_or_create("Sun & Sons")
    assert client.client_name == "Sun & Sons"
    assert repo.clients.get_or_create("Sun & Sons") == client == repo.clients.get("Sun & Sons")
    assert repo.clients.list() == [client]


def test_list_is_by_name(repo: Repository) -> None:
    made = {name: repo.clients.get_or_create(name) for name in ("c", "a", "b")}
    assert repo.clients.list() == [made["a"], made["b"], made["c"]]


def test_an_unknown_client_is_not_found(repo: Repository) -> None:
    with pytest.raises(NotFound) as refusal:
        repo.clients.get("Moon & Sons")
    assert str(refusal.value) == "no client 'Moon & Sons'"
    assert repo.clients.list() == []


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
