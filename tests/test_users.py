"""Users, each in one site group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up
from conftest import pages

from pvsite_sql import CheckFailed, Duplicate, InvalidInput, NotFound, Repository
from pvsite_sql.users import Users

ALICE = "alice@example.com"
OWN_GROUP = f"site_group_for_{ALICE}"


@pytest.fixture
def users(repo: Repository) -> Users:
    """The aggregate, where there are two groups and nobody in them."""
    repo.site_groups.create("north")
    repo.site_groups.create("south")
    return repo.users


def test_create_puts_a_user_into_a_group(repo: Repository, users: Users) -> None:
    user = users.create(ALICE, site_group_name="south")
    assert (user.email, user.site_group_uuid) == (ALICE, repo.site_groups.get("south").site_group_uuid)
    assert user.site_group_name == "south"
    assert users.get(ALICE) == users.get_by_uuid(user.user_uuid) == users.get_by_uuid(str(user.user_uuid)) == user
    assert users.list() == [user]


def test_create_refuses_a_second_user_of_an_email(users: Users) -> None:
    user = users.create(ALICE, site_group_name="north")
    with pytest.raises(Duplicate, match=ALICE) as refusal:
        users.create(ALICE, site_group_name="south")
    assert refusal.value.constraint_name == "users_email_key"
    assert users.list() == [user]


def test_list_is_by_email(users: Users) -> None:
    made = [users.create(email, site_group_name="north") for email in ("c@x.org", "a@x.org", "b@x.org")]
    assert users.list() == sorted(made, key=lambda user: user.email)
    pages(users.list, sorted(made, key=lambda user: user.email))


def test_emails_are_compared_as_they_are_written(users: Users) -> None:
    users.get_or_create(ALICE)
    with pytest.raises(NotFound, match="ALICE"):
        users.get(ALICE.upper())
    assert users.get_or_create(ALICE.upper()) != users.get(ALICE)


@pytest.mark.parametrize(
    "call",
    [
        lambda users: users.get("bob@x.org"),
        lambda users: users.set_site_group("bob@x.org", site_group_name="north"),
        lambda users: users.update("bob@x.org", new_email="carol@x.org"),
        lambda users: users.delete("bob@x.org"),
    ],
    ids=["get", "set_site_group_which_did_nothing_or_made_the_user", "update", "delete"],
)
def test_an_unknown_user_is_not_found(users: Users, call: Callable[[Users], object]) -> None:
    with pytest.raises(NotFound) as refusal:
        call(users)
    assert str(refusal.value) == "no user 'bob@x.org'"
    assert users.list() == []


def test_an_unknown_uuid_is_not_found(users: Users) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound) as refusal:
        users.get_by_uuid(unknown)
    assert str(refusal.value) == f"no user {unknown}"
    with pytest.raises(InvalidInput, match="user_uuid: must be a UUID, got 'alice'"):
        users.get_by_uuid("alice")


@pytest.mark.parametrize("method", ["create", "set_site_group"])
def test_an_unknown_group_is_not_found(users: Users, method: str) -> None:
    known = [users.create(ALICE, site_group_name="north")]
    with pytest.raises(NotFound) as refusal:
        getattr(users, method)("bob@x.org" if method == "create" else ALICE, site_group_name="east")
    assert str(refusal.value) == "no site group 'east'"
    assert users.list() == known


def test_get_or_create_makes_a_user_with_a_group_of_its_own(repo: Repository) -> None:
    user = repo.users.get_or_create(ALICE)
    (group,) = repo.site_groups.list()
    assert (group.site_group_name, group.site_group_uuid) == (OWN_GROUP, user.site_group_uuid)
    assert user.site_group_name == OWN_GROUP
    assert repo.users.get_or_create(ALICE) == user == repo.users.get(ALICE)
    assert repo.site_groups.list() == [group]


def test_get_or_create_leaves_a_user_in_the_group_where_it_is(repo: Repository, users: Users) -> None:
    groups = repo.site_groups.list()
    user = users.create(ALICE, site_group_name="south")
    assert users.get_or_create(ALICE) == user
    assert repo.site_groups.list() == groups


def test_get_or_create_uses_a_leftover_group_where_it_was_an_integrity_error(repo: Repository) -> None:
    user = repo.users.get_or_create(ALICE)
    repo.users.delete(ALICE)
    again = repo.users.get_or_create(ALICE)
    assert again.user_uuid != user.user_uuid
    assert again.site_group_uuid == user.site_group_uuid


def test_get_or_create_makes_both_or_neither_where_it_was_two_commits(
    repo: Repository, postgresql: psycopg.Connection
) -> None:
    postgresql.execute("ALTER TABLE users ADD CONSTRAINT no_guests CHECK (email <> 'guest')")
    postgresql.commit()
    with pytest.raises(CheckFailed) as refusal:
        repo.users.get_or_create("guest")
    assert refusal.value.constraint_name == "no_guests"
    assert repo.site_groups.list() == []


@pytest.mark.parametrize("leftover", [False, True], ids=["new_group", "leftover_group"])
def test_get_or_create_by_many_at_once_makes_one_user(repo: Repository, leftover: bool) -> None:
    for n in range(8):
        email = f"user{n}@x.org"
        if leftover:
            repo.site_groups.create(f"site_group_for_{email}")
        got = concurrently(*[lambda email=email: repo.users.get_or_create(email)] * CALLERS)
        assert got == [repo.users.get(email)] * CALLERS
    assert len(repo.users.list()) == len(repo.site_groups.list()) == 8


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("other_makes", ["group", "group_and_user"])
def test_get_or_create_waits_for_another_that_makes_the_same(
    repo: Repository, postgresql: psycopg.Connection, other_makes: str, end: str
) -> None:
    postgresql.execute("INSERT INTO site_groups (site_group_name) VALUES (%s)", [OWN_GROUP])
    if other_makes == "group_and_user":
        postgresql.execute(
            "INSERT INTO users (email, site_group_uuid) SELECT %s, site_group_uuid FROM site_groups", [ALICE]
        )
    got = held_up(postgresql, getattr(postgresql, end), *[lambda: repo.users.get_or_create(ALICE)] * CALLERS)
    assert got == repo.users.list() * CALLERS
    assert [group.site_group_uuid for group in repo.site_groups.list()] == [got[0].site_group_uuid]


def test_get_or_create_while_the_leftover_group_is_deleted_makes_another(
    repo: Repository, postgresql: psycopg.Connection
) -> None:
    repo.site_groups.create(OWN_GROUP)
    postgresql.execute("DELETE FROM site_groups")
    (user,) = held_up(postgresql, postgresql.commit, lambda: repo.users.get_or_create(ALICE))
    assert user == repo.users.get(ALICE)
    assert user.site_group_uuid == repo.site_groups.get(OWN_GROUP).site_group_uuid


def test_get_or_create_when_the_leftover_group_is_deleted_at_the_last_moment_makes_another(
    repo: Repository, postgresql: psycopg.Connection
) -> None:
    repo.site_groups.create(OWN_GROUP)
    postgresql.execute("INSERT INTO site_groups (site_group_name) VALUES ('north')")
    postgresql.execute(
        "INSERT INTO users (email, site_group_uuid) "
        "SELECT %s, site_group_uuid FROM site_groups WHERE site_group_name = 'north'",
        [ALICE],
    )

    def release() -> None:  # the call has settled for the group, and waits for the user of that email
        repo.site_groups.delete(OWN_GROUP)
        postgresql.rollback()

    (user,) = held_up(postgresql, release, lambda: repo.users.get_or_create(ALICE))
    assert user == repo.users.get(ALICE)
    assert user.site_group_uuid == repo.site_groups.get(OWN_GROUP).site_group_uuid


@pytest.mark.parametrize("method", ["create", "set_site_group"])
def test_a_group_that_another_deletes_meanwhile_is_not_found(
    users: Users, postgresql: psycopg.Connection, method: str
) -> None:
    if method == "set_site_group":
        users.create(ALICE, site_group_name="north")
    known = users.list()
    postgresql.execute("DELETE FROM site_groups WHERE site_group_name = 'south'")
    (error,) = held_up(postgresql, postgresql.commit, lambda: getattr(users, method)(ALICE, site_group_name="south"))
    assert type(error) is NotFound
    assert users.list() == known


def test_set_site_group_moves_a_user(repo: Repository, users: Users) -> None:
    alice, bob = (users.create(email, site_group_name="north") for email in (ALICE, "bob@x.org"))
    moved = users.set_site_group(ALICE, site_group_name="south")
    south = repo.site_groups.get("south")
    assert moved == alice.model_copy(
        update={"site_group_uuid": south.site_group_uuid, "site_group_name": south.site_group_name}
    )
    assert users.list() == [moved, bob]


def test_the_group_of_a_user_has_the_name_that_it_has_now(repo: Repository, users: Users) -> None:
    user = users.create(ALICE, site_group_name="north")
    repo.site_groups.rename("north", "far north")
    renamed = user.model_copy(update={"site_group_name": "far north"})
    assert users.get(ALICE) == users.get_or_create(ALICE) == users.get_by_uuid(user.user_uuid) == renamed
    assert users.list() == repo.site_groups.users("far north") == [renamed]


def test_update_changes_the_email_and_nothing_else(repo: Repository, users: Users) -> None:
    alice, bob = (users.create(email, site_group_name="north") for email in (ALICE, "bob@x.org"))
    asked = repo.api_requests.create("/sites", email=ALICE)
    moved = users.update(ALICE, new_email="alice@y.org")
    assert moved == alice.model_copy(update={"email": "alice@y.org"})
    assert users.list() == repo.site_groups.users("north") == [moved, bob]
    assert repo.api_requests.list_for_user("alice@y.org") == [asked.model_copy(update={"email": "alice@y.org"})]
    with pytest.raises(NotFound, match=ALICE):
        users.get(ALICE)


def test_update_to_the_same_email_changes_nothing(repo: Repository) -> None:
    user = repo.users.get_or_create(ALICE)
    assert repo.users.update(ALICE, new_email=ALICE) == user == repo.users.get(ALICE)


def test_emails_that_differ_in_case_are_different_ones(users: Users) -> None:
    alice = users.create(ALICE, site_group_name="north")
    upper = users.update(ALICE, new_email=ALICE.upper())
    assert upper == alice.model_copy(update={"email": ALICE.upper()})
    assert users.create(ALICE, site_group_name="south") != upper


@pytest.mark.parametrize("new", ["", None, 5])
def test_a_new_email_is_a_text(users: Users, new: Any) -> None:
    user = users.create(ALICE, site_group_name="north")
    with pytest.raises(InvalidInput, match=r"^new_email: must"):
        users.update(ALICE, new_email=new)
    assert users.list() == [user]


def test_update_to_a_taken_email_changes_nothing(users: Users) -> None:
    known = [users.create(email, site_group_name="north") for email in (ALICE, "bob@x.org")]
    with pytest.raises(Duplicate, match=r"bob@x\.org") as refusal:
        users.update(ALICE, new_email="bob@x.org")
    assert refusal.value.constraint_name == "users_email_key"
    assert users.list() == known


def test_whoever_gets_the_old_email_does_not_see_what_the_user_sees(repo: Repository) -> None:
    """Else get_or_create would take the group that the user left its name on."""
    site_uuid = repo.sites.create().site_uuid
    alice = repo.users.get_or_create(ALICE)
    repo.site_groups.add_site(OWN_GROUP, site_uuid=site_uuid)
    moved = repo.users.update(ALICE, new_email="alice@y.org")
    assert moved == alice.model_copy(update={"email": "alice@y.org", "site_group_name": "site_group_for_alice@y.org"})
    assert repo.users.get("alice@y.org") == repo.users.get_or_create("alice@y.org") == moved
    repo.users.get_or_create(ALICE)
    assert repo.sites.list_for_user(ALICE) == []
    assert [site.site_uuid for site in repo.sites.list_for_user("alice@y.org")] == [site_uuid]


def test_a_group_that_the_user_left_behind_goes_along(repo: Repository, users: Users) -> None:
    users.get_or_create(ALICE)
    users.set_site_group(ALICE, site_group_name="north")
    repo.site_groups.add_site(OWN_GROUP, site_uuid=repo.sites.create().site_uuid)
    assert users.update(ALICE, new_email="alice@y.org").site_group_name == "north"
    users.get_or_create(ALICE)
    assert repo.sites.list_for_user(ALICE) == []


def test_update_where_the_name_of_the_group_is_taken_changes_nothing(repo: Repository) -> None:
    user = repo.users.get_or_create(ALICE)
    repo.site_groups.create("site_group_for_alice@y.org")
    with pytest.raises(Duplicate, match=r"site_group_for_alice@y\.org") as refusal:
        repo.users.update(ALICE, new_email="alice@y.org")
    assert refusal.value.constraint_name == "site_groups_site_group_name_key"
    assert repo.users.list() == [user]


def test_update_of_an_unknown_user_leaves_the_group_of_that_name(repo: Repository) -> None:
    group = repo.site_groups.create(OWN_GROUP)
    with pytest.raises(NotFound):
        repo.users.update(ALICE, new_email="alice@y.org")
    assert repo.site_groups.list() == [group]


def test_delete_leaves_the_group_and_the_requests(repo: Repository, users: Users) -> None:
    bob = users.create("bob@x.org", site_group_name="north")
    users.create(ALICE, site_group_name="north")
    asked = [repo.api_requests.create("/sites", email=email) for email in (ALICE, "bob@x.org")]
    users.delete(ALICE)
    assert users.list() == [bob]
    assert repo.site_groups.users("north") == [bob]
    assert repo.api_requests.list_for_user("bob@x.org") == asked[1:]


def test_requests_of_a_deleted_user_stay_without_one(repo: Repository, postgresql: psycopg.Connection) -> None:
    repo.users.get_or_create(ALICE)
    asked = repo.api_requests.create("/sites", email=ALICE)
    repo.users.delete(ALICE)
    assert postgresql.execute("SELECT uuid, user_uuid FROM api_request").fetchall() == [(asked.uuid, None)]
