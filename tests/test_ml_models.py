"""The models that make forecasts."""

from __future__ import annotations

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up

from pvsite_sql import Repository


def test_get_or_create_makes_a_model_once_and_keeps_its_description(repo: Repository) -> None:
    model = repo.ml_models.get_or_create("blend", version="1.2", description="two models, weighted")
    assert (model.name, model.version, model.description) == ("blend", "1.2", "two models, weighted")
    assert repo.ml_models.get_or_create("blend", version="1.2", description="another") == model
    assert repo.ml_models.get_or_create("blend", version="1.2") == model
    assert repo.ml_models.list() == [model]


def test_a_model_may_come_without_version_and_description(repo: Repository) -> None:
    model = repo.ml_models.get_or_create("blend")
    assert (model.version, model.description) == ("", None)
    assert repo.ml_models.get_or_create("blend", version=None, description="late") == model
    assert repo.ml_models.get_or_create("blend", version="") == model


def test_list_is_by_name_and_version(repo: Repository) -> None:
    wanted = [("a", ""), ("a", "1"), ("a", "2"), ("b", "")]
    for name, version in reversed(wanted):
        repo.ml_models.get_or_create(name, version=version)
    assert [(model.name, model.version) for model in repo.ml_models.list()] == wanted


def test_get_or_create_by_many_at_once_makes_one_model(repo: Repository) -> None:
    for version in (None, *"1234567"):
        got = concurrently(*[lambda version=version: repo.ml_models.get_or_create("blend", version=version)] * CALLERS)
        assert got == [model for model in repo.ml_models.list() if model.version == (version or "")] * CALLERS


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_get_or_create_waits_for_another_that_makes_the_same(
    repo: Repository, postgresql: psycopg.Connection, end: str
) -> None:
    postgresql.execute("INSERT INTO ml_models (name, version) VALUES ('blend', '1')")
    calls = [lambda: repo.ml_models.get_or_create("blend", version="1")] * CALLERS
    got = held_up(postgresql, getattr(postgresql, end), *calls)
    assert got == repo.ml_models.list() * CALLERS
