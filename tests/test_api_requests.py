"""Requests that users made to an API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pandas as pd
import psycopg
import pytest
from concurrency import held_up
from conftest import pages

from pvsite_sql import ApiRequest, InvalidInput, NotFound, Repository

ALICE, BOB = "alice@x.org", "bob@x.org"
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
URLS = ("/sites?limit=100%", "/sites/1", "/forecast_values", "/SITES")


@pytest.fixture
def asked(repo: Repository, postgresql: psycopg.Connection) -> list[ApiRequest]:
    """Alice's requests for each of the URLS, an hour apart from noon on; others ask meanwhile."""
    for email in (BOB, ALICE):
        repo.users.get_or_create(email)
    for hour, url in enumerate(URLS):
        for email in (BOB, ALICE, None):
            made = repo.api_requests.create(url, email=email)
            postgresql.execute(
                "UPDATE api_request SET created_utc = %s WHERE uuid = %s", [NOON + timedelta(hours=hour), made.uuid]
            )
    postgresql.commit()
    return repo.api_requests.list_for_user(ALICE)


def test_create_notes_who_asked_for_what(repo: Repository) -> None:
    user = repo.users.get_or_create(ALICE)
    made = repo.api_requests.create("/sites", email=ALICE)
    assert (made.url, made.user_uuid, made.email) == ("/sites", user.user_uuid, ALICE)
    assert repo.api_requests.list_for_user(ALICE) == [made]


def test_create_without_an_email_is_nobodys(repo: Repository) -> None:
    made = repo.api_requests.create("/sites")
    assert (made.user_uuid, made.email) == (None, None)


def test_an_unknown_user_is_not_found(repo: Repository, postgresql: psycopg.Connection) -> None:
    for email in (BOB, ""):
        with pytest.raises(NotFound) as refusal:
            repo.api_requests.create("/sites", email=email)
        assert str(refusal.value) == f"no user {email!r}"
    assert postgresql.execute("SELECT FROM api_request").fetchall() == []


def test_a_user_whom_another_deletes_meanwhile_is_not_found(repo: Repository, postgresql: psycopg.Connection) -> None:
    repo.users.get_or_create(ALICE)
    postgresql.execute("DELETE FROM users")
    (error,) = held_up(postgresql, postgresql.commit, lambda: repo.api_requests.create("/sites", email=ALICE))
    assert type(error) is NotFound


def test_last_per_user_is_by_email_without_those_who_never_asked(repo: Repository, asked: list[ApiRequest]) -> None:
    repo.users.get_or_create("aaron@x.org")
    alice, bob = repo.api_requests.last_per_user()
    assert alice == asked[-1]
    assert bob == repo.api_requests.list_for_user(BOB)[-1]


def test_an_unknown_user_has_no_requests(repo: Repository, asked: list[ApiRequest]) -> None:
    for newest_first in (False, True):
        assert repo.api_requests.list_for_user("carol@x.org", newest_first=newest_first) == []
        assert repo.api_requests.list_for_user(ALICE.upper(), newest_first=newest_first) == []


def test_last_per_user_newest_first(repo: Repository, asked: list[ApiRequest], postgresql: psycopg.Connection) -> None:
    alice, bob = repo.api_requests.last_per_user()
    assert (alice.email, bob.email) == (ALICE, BOB)
    moved = "UPDATE api_request SET created_utc = created_utc + %s WHERE uuid = %s"
    for request, other in ((alice, bob), (bob, alice)):
        postgresql.execute(moved, [timedelta(hours=1), request.uuid])
        postgresql.commit()
        newest = repo.api_requests.last_per_user(newest_first=True)
        assert [each.uuid for each in newest] == [request.uuid, other.uuid]
        postgresql.execute(moved, [timedelta(hours=-1), request.uuid])
        postgresql.commit()
    # equal times: by email
    assert repo.api_requests.last_per_user(newest_first=True) == [alice, bob] == repo.api_requests.last_per_user()


def test_last_per_user_in_parts(repo: Repository, asked: list[ApiRequest]) -> None:
    for email in ("carol@x.org", "dave@x.org"):
        repo.users.get_or_create(email)
        repo.api_requests.create("/", email=email)
    for newest_first in (False, True):
        ask = partial(repo.api_requests.last_per_user, newest_first=newest_first)
        pages(ask, ask())


def test_requests_of_one_transaction_keep_their_order(repo: Repository) -> None:
    repo.users.get_or_create(ALICE)
    with repo.transaction() as tx:
        made = [tx.api_requests.create(url, email=ALICE) for url in "cab"]
    assert repo.api_requests.list_for_user(ALICE) == made
    assert repo.api_requests.last_per_user() == made[-1:]


def test_list_for_user_is_the_users_own_oldest_first(asked: list[ApiRequest]) -> None:
    assert [request.url for request in asked] == list(URLS)
    assert [request.created_utc for request in asked] == [NOON + timedelta(hours=hour) for hour in range(4)]


ALWAYS = datetime.min, datetime.max  # noqa: DTZ901 naive on purpose
CEST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"start_utc": NOON + timedelta(hours=1)}, "123"),
        ({"end_utc": NOON + timedelta(hours=1)}, "0"),
        ({"start_utc": NOON, "end_utc": NOON + timedelta(hours=3)}, "012"),
        ({"start_utc": NOON, "end_utc": NOON}, ""),
        ({"start_utc": NOON + timedelta(hours=2), "end_utc": NOON}, ""),
        ({"start_utc": datetime(2024, 6, 1, 13), "end_utc": pd.Timestamp("2024-06-01 15:00")}, "12"),  # noqa: DTZ001 naive on purpose
        ({"start_utc": datetime(2024, 6, 1, 15, tzinfo=CEST)}, "123"),
        ({"end_utc": pd.Timestamp("2024-06-01 15:00", tz="Europe/Berlin")}, "0"),
        ({"include": "sites"}, "01"),
        ({"exclude": "sites"}, "23"),
        ({"include": "s", "exclude": "forecast"}, "01"),
        ({"include": "%"}, "0"),
        ({"exclude": "_"}, "013"),
        ({"include": "/", "start_utc": NOON + timedelta(hours=3)}, "3"),
        ({"include": "", "exclude": ""}, "0123"),
        ({"start_utc": ALWAYS[0], "end_utc": ALWAYS[1]}, "0123"),
    ],
)
def test_list_for_user_filters(repo: Repository, asked: list[ApiRequest], filters: dict[str, Any], wanted: str) -> None:
    assert repo.api_requests.list_for_user(ALICE, **filters) == [asked[int(n)] for n in wanted]
    assert repo.api_requests.list_for_user(ALICE, **filters, newest_first=True) == [
        asked[int(n)] for n in reversed(wanted)
    ]
    last = repo.api_requests.last_per_user(**filters)
    assert [request.email for request in last] == ([ALICE, BOB] if wanted else [])
    assert last[:1] == [asked[int(n)] for n in wanted[-1:]]


@pytest.mark.parametrize("newest_first", [False, True])
def test_list_for_user_in_parts(repo: Repository, asked: list[ApiRequest], newest_first: bool) -> None:
    pages(
        partial(repo.api_requests.list_for_user, ALICE, newest_first=newest_first),
        asked[::-1] if newest_first else asked,
    )


@pytest.mark.parametrize("newest_first", [False, True])
def test_parts_of_requests_of_one_moment_lose_none(
    repo: Repository, asked: list[ApiRequest], postgresql: psycopg.Connection, newest_first: bool
) -> None:
    postgresql.execute("UPDATE api_request SET created_utc = %s", [NOON])
    postgresql.commit()
    ask = partial(repo.api_requests.list_for_user, ALICE, newest_first=newest_first)
    pages(ask, ask())
    assert {request.uuid for request in ask()} == {request.uuid for request in asked}


@pytest.mark.parametrize("bound", ["start_utc", "end_utc"])
def test_a_bound_is_a_time(repo: Repository, bound: str) -> None:
    with pytest.raises(InvalidInput, match=f"{bound}: must be a datetime"):
        repo.api_requests.list_for_user(ALICE, **{bound: "2024-06-01"})
    with pytest.raises(InvalidInput, match=f"{bound}: must be a datetime"):
        repo.api_requests.last_per_user(**{bound: "2024-06-01"})
