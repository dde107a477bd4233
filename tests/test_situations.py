"""Who sees what: a user is in one site group, a site stands in any number of them."""

from __future__ import annotations

from uuid import UUID

import pytest
from conftest import reading_frame

from pvsite_sql import LatitudeLongitudeLimits, Repository

ALICE, BOB, OCF = "alice@x.org", "bob@x.org", "admin@ocf.org"
COMPANY = "company"


def add_site(repo: Repository, *emails: str) -> UUID:
    """Make a site with one reading in it, and put it where these users find it."""
    site = repo.sites.create(latitude=51.5, longitude=-0.1)
    repo.generation.insert(reading_frame(site.site_uuid, rows=1))
    groups = {group.site_group_uuid: group.site_group_name for group in repo.site_groups.list()}
    for email in emails:
        repo.site_groups.add_site(groups[repo.users.get(email).site_group_uuid], site_uuid=site.site_uuid)
    return site.site_uuid


def assert_sees(repo: Repository, email: str, *site_uuids: UUID) -> None:
    """The user sees these sites and no others, by whatever call."""
    user, all_uuids = repo.users.get(email), [site.site_uuid for site in repo.sites.list()]
    ways = [
        [site.site_uuid for site in repo.sites.list_for_user(email)],
        [site.site_uuid for site in repo.sites.list_for_user(email, within=LatitudeLongitudeLimits())],
        sorted(repo.sites.visible(email, site_uuids=all_uuids)),
        [reading.site_uuid for reading in repo.generation.read_for_users([user.user_uuid])],
    ]
    assert ways == [sorted(site_uuids)] * len(ways)


@pytest.fixture
def alice(repo: Repository) -> str:
    """A user with a group of her own."""
    return repo.users.get_or_create(ALICE).email


@pytest.fixture
def colleagues(repo: Repository) -> tuple[str, str]:
    """Two users of one company."""
    repo.site_groups.create(COMPANY)
    first, second = (repo.users.create(email, site_group_name=COMPANY).email for email in (ALICE, BOB))
    return first, second


@pytest.fixture
def stranger(repo: Repository) -> UUID:
    """A site of somebody else."""
    return add_site(repo, repo.users.get_or_create("stranger@x.org").email)


def test_1_one_user_adds_and_views_one_site(repo: Repository, alice: str, stranger: UUID) -> None:
    assert_sees(repo, alice)
    site = add_site(repo, alice)
    assert_sees(repo, alice, site)
    assert_sees(repo, "stranger@x.org", stranger)


def test_2_one_user_adds_and_views_several_sites(repo: Repository, alice: str, stranger: UUID) -> None:
    sites = [add_site(repo, alice) for _ in range(3)]
    assert_sees(repo, alice, *sites)
    assert_sees(repo, "stranger@x.org", stranger)


def test_3_two_users_look_at_one_site(repo: Repository, colleagues: tuple[str, str], stranger: UUID) -> None:
    site = add_site(repo, ALICE)
    for email in colleagues:
        assert_sees(repo, email, site)
    assert_sees(repo, "stranger@x.org", stranger)


def test_4_two_users_look_at_sites_that_either_added(
    repo: Repository, colleagues: tuple[str, str], stranger: UUID
) -> None:
    sites = [add_site(repo, email) for email in colleagues]
    for email in colleagues:
        assert_sees(repo, email, *sites)
    repo.site_groups.remove_site(COMPANY, site_uuid=sites[0])
    for email in colleagues:
        assert_sees(repo, email, sites[1])
    assert_sees(repo, "stranger@x.org", stranger)


def test_5_an_admin_sees_everything(repo: Repository, colleagues: tuple[str, str], stranger: UUID) -> None:
    repo.users.get_or_create(OCF)
    shared = [add_site(repo, ALICE, OCF), add_site(repo, BOB, OCF)]
    own = add_site(repo, OCF)
    repo.site_groups.add_site(f"site_group_for_{OCF}", site_uuid=stranger)
    assert_sees(repo, OCF, *shared, own, stranger)
    for email in colleagues:
        assert_sees(repo, email, *shared)
    users = [repo.users.get(email).user_uuid for email in (*colleagues, OCF)]
    assert [reading.site_uuid for reading in repo.generation.read_for_users(users)] == sorted([*shared, own, stranger])


def test_a_user_who_moves_sees_what_the_new_group_sees(
    repo: Repository, colleagues: tuple[str, str], stranger: UUID
) -> None:
    site = add_site(repo, ALICE)
    repo.users.set_site_group(BOB, site_group_name="site_group_for_stranger@x.org")
    assert_sees(repo, BOB, stranger)
    assert_sees(repo, ALICE, site)
