"""Site groups: what a user may see."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up
from conftest import pages

from pvsite_sql import CheckFailed, ConstraintError, Duplicate, InvalidInput, NotFound, Repository, Site
from pvsite_sql.site_groups import SiteGroups


@pytest.fixture
def sites(repo: Repository) -> list[Site]:
    """Three sites, by site_uuid."""
    return sorted((repo.sites.create() for _ in range(3)), key=lambda site: site.site_uuid)


@pytest.fixture
def groups(repo: Repository) -> SiteGroups:
    """The aggregate, with the groups `north`, where Alice and Bob are, and `south`, where nobody is."""
    for name in ("south", "north"):
        repo.site_groups.create(name)
    for email in ("bob@x.org", "alice@x.org"):
        repo.users.create(email, site_group_name="north")
    return repo.site_groups


def test_create_makes_a_group_of_the_basic_service(repo: Repository) -> None:
    group = repo.site_groups.create("north")
    assert (group.site_group_name, group.service_level) == ("north", 0)
    assert repo.site_groups.get("north") == repo.site_groups.get_by_uuid(group.site_group_uuid) == group
    assert repo.site_groups.get_by_uuid(str(group.site_group_uuid)) == group


def test_create_takes_a_service_level(repo: Repository) -> None:
    assert repo.site_groups.create("north", service_level=2).service_level == 2
    assert repo.site_groups.get("north").service_level == 2


def test_create_refuses_a_second_group_of_a_name(groups: SiteGroups) -> None:
    known = groups.list()
    with pytest.raises(Duplicate, match="north") as refusal:
        groups.create("north", service_level=3)
    assert refusal.value.constraint_name == "site_groups_site_group_name_key"
    assert groups.list() == known


@pytest.mark.parametrize(
    "call",
    [
        lambda groups, level: groups.create("east", service_level=level),
        lambda groups, level: groups.set_service_level("north", level=level),
    ],
    ids=["create", "set_service_level"],
)
def test_a_service_level_is_an_integer_from_zero(
    groups: SiteGroups, call: Callable[[SiteGroups, object], object]
) -> None:
    known = groups.list()
    with pytest.raises(CheckFailed, match="service_level") as refusal:
        call(groups, -1)
    assert refusal.value.constraint_name == "site_groups_service_level_check"
    for level in ("2", 1.0, True, None, 2**31):
        with pytest.raises(InvalidInput, match=r"level: must be an integer from -2147483648 to 2147483647, got"):
            call(groups, level)
    assert groups.list() == known


def test_set_service_level_changes_one_group(groups: SiteGroups) -> None:
    north, south = groups.list()
    raised = groups.set_service_level("north", level=5)
    assert raised == north.model_copy(update={"service_level": 5})
    assert groups.list() == [raised, south]


def test_list_is_by_name(repo: Repository) -> None:
    made = {name: repo.site_groups.create(name) for name in ("c", "a", "b")}
    assert repo.site_groups.list() == [made["a"], made["b"], made["c"]]
    pages(repo.site_groups.list, [made["a"], made["b"], made["c"]])


def test_users_are_those_of_the_group_by_email(repo: Repository, groups: SiteGroups) -> None:
    assert [user.email for user in groups.users("north")] == ["alice@x.org", "bob@x.org"]
    assert groups.users("south") == []
    repo.users.create("carol@x.org", site_group_name="north")
    pages(partial(groups.users, "north"), [repo.users.get(f"{name}@x.org") for name in ("alice", "bob", "carol")])


def test_get_or_create_makes_a_group_once(repo: Repository) -> None:
    group = repo.site_groups.get_or_create("north")
    repo.site_groups.set_service_level("north", level=1)
    assert repo.site_groups.get_or_create("north") == group.model_copy(update={"service_level": 1})
    assert len(repo.site_groups.list()) == 1


def test_get_or_create_by_many_at_once_makes_one_group(repo: Repository) -> None:
    for n in range(8):
        got = concurrently(*[lambda name=f"group {n}": repo.site_groups.get_or_create(name)] * CALLERS)
        assert got == [repo.site_groups.get(f"group {n}")] * CALLERS


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_get_or_create_waits_for_another_that_makes_the_same(
    repo: Repository, postgresql: psycopg.Connection, end: str
) -> None:
    postgresql.execute("INSERT INTO site_groups (site_group_name) VALUES ('north')")
    got = held_up(postgresql, getattr(postgresql, end), *[lambda: repo.site_groups.get_or_create("north")] * CALLERS)
    assert got == repo.site_groups.list() * CALLERS


UNKNOWN_GROUP = {
    "get": lambda groups, _: groups.get("east"),
    "sites": lambda groups, _: groups.sites("east"),
    "users": lambda groups, _: groups.users("east"),
    "add_site_which_was_an_attribute_error": lambda groups, uuid: groups.add_site("east", site_uuid=uuid),
    "remove_site": lambda groups, uuid: groups.remove_site("east", site_uuid=uuid),
    "set_service_level": lambda groups, _: groups.set_service_level("east", level=1),
    "rename": lambda groups, _: groups.rename("east", "west"),
    "delete": lambda groups, _: groups.delete("east"),
}


@pytest.mark.parametrize("call", UNKNOWN_GROUP.values(), ids=UNKNOWN_GROUP)
def test_an_unknown_group_is_not_found(
    groups: SiteGroups, site: Site, call: Callable[[SiteGroups, UUID], object]
) -> None:
    known = groups.list()
    with pytest.raises(NotFound) as refusal:
        call(groups, site.site_uuid)
    assert str(refusal.value) == "no site group 'east'"
    assert groups.list() == known


def test_an_unknown_uuid_is_not_found(groups: SiteGroups) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound) as refusal:
        groups.get_by_uuid(unknown)
    assert str(refusal.value) == f"no site group {unknown}"
    with pytest.raises(InvalidInput, match="site_group_uuid: must be a UUID, got 'north'"):
        groups.get_by_uuid("north")


def test_rename_keeps_users_sites_and_service_level(groups: SiteGroups, site: Site) -> None:
    groups.add_site("north", site_uuid=site.site_uuid)
    north, south = groups.set_service_level("north", level=2), groups.get("south")
    renamed = groups.rename("north", "zenith")
    assert renamed == north.model_copy(update={"site_group_name": "zenith"})
    assert groups.list() == [south, renamed]
    assert groups.sites("zenith") == [site]
    assert [user.email for user in groups.users("zenith")] == ["alice@x.org", "bob@x.org"]
    assert groups.rename("zenith", "zenith") == renamed


@pytest.mark.parametrize("new", ["", None, 5])
def test_a_new_name_is_a_text(groups: SiteGroups, new: Any) -> None:
    known = groups.list()
    with pytest.raises(InvalidInput, match=r"^new_name: must"):
        groups.rename("north", new)
    assert groups.list() == known


def test_rename_to_a_taken_name_changes_nothing(groups: SiteGroups) -> None:
    known = groups.list()
    with pytest.raises(Duplicate, match="south") as refusal:
        groups.rename("north", "south")
    assert refusal.value.constraint_name == "site_groups_site_group_name_key"
    assert groups.list() == known
    assert groups.rename("north", "South").site_group_name == "South"  # another name


@pytest.mark.parametrize("method", ["add_site", "remove_site"])
def test_a_site_in_a_group_has_to_exist(groups: SiteGroups, method: str) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound) as refusal:
        getattr(groups, method)("north", site_uuid=unknown)
    assert str(refusal.value) == f"no site {unknown}"
    with pytest.raises(InvalidInput, match="site_uuid: must be a UUID, got 'roof'"):
        getattr(groups, method)("north", site_uuid="roof")


def test_add_site_returns_the_groups_sites_by_uuid(groups: SiteGroups, sites: list[Site]) -> None:
    first, second, third = sites
    assert groups.add_site("north", site_uuid=third.site_uuid) == [third]
    assert groups.add_site("north", site_uuid=str(first.site_uuid)) == [first, third]
    assert groups.add_site("north", site_uuid=second.site_uuid) == sites
    assert groups.add_site("north", site_uuid=second.site_uuid) == sites  # where it is already
    assert groups.sites("north") == sites
    assert groups.sites("south") == []
    pages(partial(groups.sites, "north"), sites)


def test_remove_site_leaves_the_site_and_its_other_groups(
    repo: Repository, groups: SiteGroups, sites: list[Site]
) -> None:
    first, second, third = sites
    for site in sites:
        for name in ("north", "south"):
            groups.add_site(name, site_uuid=site.site_uuid)
    assert groups.remove_site("north", site_uuid=str(second.site_uuid)) == [first, third]
    assert groups.remove_site("north", site_uuid=second.site_uuid) == [first, third]  # where it is no more
    assert groups.sites("north") == [first, third]
    assert groups.sites("south") == sites == repo.sites.list()


def test_delete_takes_the_memberships_and_leaves_the_sites(
    repo: Repository, groups: SiteGroups, sites: list[Site], postgresql: psycopg.Connection
) -> None:
    for name in ("north", "south"):
        groups.add_site(name, site_uuid=sites[0].site_uuid)
    north, _ = groups.list()
    groups.delete("south")
    assert groups.list() == [north]
    assert repo.sites.list() == sites
    assert postgresql.execute("SELECT site_group_uuid FROM site_group_sites").fetchall() == [(north.site_group_uuid,)]


def test_delete_raises_while_users_are_in_it_where_it_returned_a_sentence(
    groups: SiteGroups, repo: Repository, site: Site
) -> None:
    groups.add_site("north", site_uuid=site.site_uuid)
    known = groups.list()
    with pytest.raises(ConstraintError) as refusal:
        groups.delete("north")
    assert type(refusal.value) is ConstraintError
    assert refusal.value.constraint_name == "users_site_group_uuid_fkey"
    assert str(refusal.value) == "site group 'north' still has users: move or delete them first"
    assert groups.list() == known
    assert groups.sites("north") == [site]
    repo.users.delete("alice@x.org")
    repo.users.set_site_group("bob@x.org", site_group_name="south")
    groups.delete("north")
    assert groups.list() == known[1:]


@pytest.mark.parametrize("gone", ["sites", "site_groups"])
def test_add_site_of_what_another_deletes_meanwhile_is_not_found(
    repo: Repository, site: Site, postgresql: psycopg.Connection, gone: str
) -> None:
    repo.site_groups.create("north")
    postgresql.execute(f"DELETE FROM {gone}".encode())
    (error,) = held_up(
        postgresql, postgresql.commit, lambda: repo.site_groups.add_site("north", site_uuid=site.site_uuid)
    )
    assert type(error) is NotFound


def test_a_user_who_comes_while_the_group_is_deleted_keeps_it(repo: Repository, postgresql: psycopg.Connection) -> None:
    repo.site_groups.create("north")
    postgresql.execute("INSERT INTO users (email, site_group_uuid) SELECT 'a@x.org', site_group_uuid FROM site_groups")
    (error,) = held_up(postgresql, postgresql.commit, lambda: repo.site_groups.delete("north"))
    assert type(error) is ConstraintError
    assert [user.email for user in repo.site_groups.users("north")] == ["a@x.org"]
