"""The model that a site uses."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import psycopg
import pytest
from concurrency import held_up

from pvsite_sql import InvalidInput, MissingReference, MlModel, NotFound, Repository, Site
from pvsite_sql.engine.migrations import packaged_migrations
from pvsite_sql.engine.queries import folder

MIGRATION = "0005.site-model-and-metadata"


@pytest.fixture
def models(repo: Repository) -> list[MlModel]:
    """Three versions of a model, of which the last one has the smallest name, and another model."""
    made = [repo.ml_models.get_or_create("sky", version=version) for version in ("9", "10", "")]
    return [*made, repo.ml_models.get_or_create("cloud", version="1")]


def test_is_any_until_it_is_given(repo: Repository, site: Site, models: list[MlModel]) -> None:
    assert site.ml_model_uuid is None
    given = repo.sites.create(ml_model_uuid=models[0].ml_model_uuid)
    assert given.ml_model_uuid == repo.sites.get(given.site_uuid).ml_model_uuid == models[0].ml_model_uuid
    changed = repo.sites.update(site.site_uuid, ml_model_uuid=str(models[3].ml_model_uuid))
    assert changed == site.model_copy(update={"ml_model_uuid": models[3].ml_model_uuid})
    assert repo.sites.update(site.site_uuid, tilt=1).ml_model_uuid == models[3].ml_model_uuid
    assert repo.sites.update(site.site_uuid, tilt=None, ml_model_uuid=None) == site


def test_that_does_not_exist_is_a_missing_reference(repo: Repository, site: Site) -> None:
    unknown = uuid4()
    for write in (repo.sites.create, partial(repo.sites.update, site.site_uuid)):
        with pytest.raises(MissingReference, match=f"ml_model_uuid.*{unknown}") as refusal:
            write(ml_model_uuid=unknown, gsp="changed")
        assert refusal.value.constraint_name == "sites_ml_model_uuid_fkey"
    with pytest.raises(InvalidInput, match=r"^ml_model_uuid: "):
        repo.sites.create(ml_model_uuid="sky")
    assert repo.sites.list() == [site]


def test_cannot_be_deleted_while_a_site_uses_it(
    repo: Repository, models: list[MlModel], postgresql: psycopg.Connection
) -> None:
    repo.sites.create(ml_model_uuid=models[0].ml_model_uuid)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="sites_ml_model_uuid_fkey"):
        postgresql.execute("DELETE FROM ml_models")


def test_the_migration_leaves_sites_alone_while_it_waits_for_a_writer_of_models(
    empty_database: psycopg.Connection, empty_dsn: str
) -> None:
    statements = {name: (folder("migrations") / f"{name}.sql").read_bytes() for name in packaged_migrations()}
    empty_database.autocommit = True
    for name in [name for name in statements if name < MIGRATION]:
        empty_database.execute(statements[name])
    with psycopg.connect(empty_dsn) as writer, psycopg.connect(empty_dsn) as applying:
        writer.execute("INSERT INTO ml_models (name) VALUES ('sky')")

        def use_sites() -> None:
            for connection in (empty_database, writer):
                connection.execute("SET lock_timeout = '5s'")
                connection.execute("INSERT INTO sites DEFAULT VALUES")
            writer.commit()

        (outcome,) = held_up(empty_database, use_sites, lambda: applying.execute(statements[MIGRATION]))
        assert not isinstance(outcome, Exception)
    sites = empty_database.execute("SELECT ml_id, ml_model_uuid, metadata FROM sites ORDER BY ml_id").fetchall()
    assert sites == [(1, None, {}), (2, None, {})]


class TestSetMlModel:
    @pytest.mark.parametrize(
        ("name", "version", "which"),
        [("sky", "9", 0), ("sky", "10", 1), ("sky", "", 2), ("sky", None, 2), ("cloud", "1", 3), ("cloud", None, 3)],
    )
    def test_takes_a_version_or_the_one_that_was_created_last(
        self, repo: Repository, site: Site, models: list[MlModel], name: str, version: str | None, which: int
    ) -> None:
        other = repo.sites.create()
        changed = repo.sites.set_ml_model(site.site_uuid, name, version)
        assert changed == site.model_copy(update={"ml_model_uuid": models[which].ml_model_uuid})
        assert repo.sites.list() == sorted([changed, other], key=lambda each: each.site_uuid)
        assert repo.sites.set_ml_model(str(site.site_uuid), "cloud", version=None).ml_model_uuid == (
            models[3].ml_model_uuid
        )

    def test_follows_a_new_version_when_it_is_called_again(
        self, repo: Repository, site: Site, models: list[MlModel]
    ) -> None:
        assert repo.sites.set_ml_model(site.site_uuid, "sky").ml_model_uuid == models[2].ml_model_uuid
        newer = repo.ml_models.get_or_create("sky", version="0")
        assert repo.sites.get(site.site_uuid).ml_model_uuid == models[2].ml_model_uuid
        assert repo.sites.set_ml_model(site.site_uuid, "sky").ml_model_uuid == newer.ml_model_uuid

    @pytest.mark.parametrize(
        ("name", "version", "said"),
        [
            ("fog", None, "no model 'fog'"),
            ("Sky", "9", "no model 'Sky' with version '9'"),
            ("sky", "1", "no model 'sky' with version '1'"),
            ("cloud", "", "no model 'cloud' with version ''"),
        ],
    )
    def test_an_unknown_model_is_not_found(
        self, repo: Repository, site: Site, models: list[MlModel], name: str, version: str | None, said: str
    ) -> None:
        used = repo.sites.update(site.site_uuid, ml_model_uuid=models[0].ml_model_uuid)
        with pytest.raises(NotFound) as refusal:
            repo.sites.set_ml_model(site.site_uuid, name, version)
        assert str(refusal.value) == said
        assert repo.sites.get(site.site_uuid) == used

    def test_an_unknown_site_is_not_found(self, repo: Repository, models: list[MlModel]) -> None:
        for name in (models[0].name, "fog"):
            unknown = uuid4()
            with pytest.raises(NotFound) as refusal:
                repo.sites.set_ml_model(unknown, name)
            assert str(refusal.value) == f"no site {unknown}"

    def test_is_in_the_history(self, repo: Repository, site: Site, models: list[MlModel]) -> None:
        changed = repo.sites.set_ml_model(site.site_uuid, "sky", "9")
        repo.sites.update(site.site_uuid, ml_model_uuid=None)
        created, set_, unset = repo.sites.history(site.site_uuid)
        uuids = [(change.new_row or {})["ml_model_uuid"] for change in (created, set_, unset)]
        assert uuids == [None, str(models[0].ml_model_uuid), None]
        assert repo.sites.get_as_of(site.site_uuid, at_utc=created.changed_utc) == site
        assert repo.sites.get_as_of(site.site_uuid, at_utc=set_.changed_utc) == changed
