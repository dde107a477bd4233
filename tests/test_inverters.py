"""Inverters of sites."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from concurrency import held_up

from pvsite_sql import InvalidInput, NotFound, Repository, Site


def test_create_and_list_oldest_first(repo: Repository, site: Site, postgresql: psycopg.Connection) -> None:
    other = repo.sites.create()
    made = [repo.inverters.create(site_uuid=uuid) for uuid in (site.site_uuid, str(site.site_uuid), other.site_uuid)]
    assert [inverter.site_uuid for inverter in made] == [site.site_uuid, site.site_uuid, other.site_uuid]
    assert repo.inverters.list(site_uuid=site.site_uuid) == made[:2]
    assert repo.inverters.list(site_uuid=str(other.site_uuid)) == made[2:]
    postgresql.execute(
        "UPDATE inverters SET created_utc = created_utc - INTERVAL '1 day' WHERE inverter_uuid = %s",
        [made[1].inverter_uuid],
    )
    postgresql.commit()
    assert [one.inverter_uuid for one in repo.inverters.list(site_uuid=site.site_uuid)] == [
        made[1].inverter_uuid,
        made[0].inverter_uuid,
    ]


def test_a_site_may_have_none(repo: Repository, site: Site) -> None:
    assert repo.inverters.list(site_uuid=site.site_uuid) == []


@pytest.mark.parametrize("method", ["create", "list"])
def test_the_site_has_to_exist(repo: Repository, method: str) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound) as refusal:
        getattr(repo.inverters, method)(site_uuid=unknown)
    assert str(refusal.value) == f"no site {unknown}"
    with pytest.raises(InvalidInput, match="site_uuid: must be a UUID, got 'roof'"):
        getattr(repo.inverters, method)(site_uuid="roof")


def test_a_site_that_another_deletes_meanwhile_is_not_found(
    repo: Repository, site: Site, postgresql: psycopg.Connection
) -> None:
    postgresql.execute("DELETE FROM sites")
    (error,) = held_up(postgresql, postgresql.commit, lambda: repo.inverters.create(site_uuid=site.site_uuid))
    assert type(error) is NotFound
    assert str(site.site_uuid) in str(error)


def test_delete_takes_one_away(repo: Repository, site: Site) -> None:
    first, second, third = (repo.inverters.create(site_uuid=site.site_uuid) for _ in range(3))
    repo.inverters.delete(second.inverter_uuid)
    assert repo.inverters.list(site_uuid=site.site_uuid) == [first, third]
    repo.inverters.delete(inverter_uuid=str(third.inverter_uuid))
    assert repo.inverters.list(site_uuid=site.site_uuid) == [first]
    with pytest.raises(NotFound, match=f"^no inverter {second.inverter_uuid}$"):
        repo.inverters.delete(second.inverter_uuid)
    with pytest.raises(InvalidInput, match=r"^inverter_uuid: must be a UUID, got 'first'$"):
        repo.inverters.delete("first")
    assert repo.inverters.list(site_uuid=site.site_uuid) == [first]
