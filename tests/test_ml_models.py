"""The models that make forecasts."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up
from conftest import pages
from forecast_cases import HOUR, NOON, forecast_frame, together

from pvsite_sql import InvalidInput, MlModel, NotFound, Repository, Site


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
    models = repo.ml_models.list()
    assert [(model.name, model.version) for model in models] == wanted
    assert repo.ml_models.list(name="a") == models[:3]
    assert repo.ml_models.list(name="A") == []
    pages(repo.ml_models.list, models)
    pages(partial(repo.ml_models.list, name="a"), models[:3])
    with pytest.raises(InvalidInput, match=r"^name: must not be an empty string"):
        repo.ml_models.list(name="")


def test_a_new_version_without_a_description_has_that_of_the_one_before(repo: Repository) -> None:
    make = repo.ml_models.get_or_create
    assert make("blend", version="9").description is None
    assert make("blend", version="10").description is None
    first = make("blend", version="2", description="two models")
    assert make("blend", version="11").description == "two models"  # the newest, not the greatest
    assert make("blend", version="12", description="three models").description == "three models"
    assert make("blend", version="1").description == "three models"
    assert make("other").description is None
    repo.ml_models.update(repo.ml_models.newest("blend").ml_model_uuid, description=None)
    assert make("blend", version="3").description is None
    assert make("blend", version="2") == first


def test_a_version_that_comes_with_a_forecast_has_that_of_the_one_before(repo: Repository, site: Site) -> None:
    repo.ml_models.get_or_create("blend", version="1", description="two models")
    repo.forecasts.insert(forecast_frame(site.site_uuid), model_name="blend", model_version="2")
    assert [model.description for model in repo.ml_models.list()] == ["two models", "two models"]


def test_newest_is_what_was_made_last(repo: Repository) -> None:
    for version in ("9", "10", None, "2"):
        made = repo.ml_models.get_or_create("blend", version=version)
        repo.ml_models.get_or_create("other", version=version)
        assert repo.ml_models.newest("blend") == made
    with repo.transaction() as tx:  # made in the same moment
        for version in ("4", "5", "3"):
            tx.ml_models.get_or_create("blend", version=version)
    assert repo.ml_models.newest("blend").version == "5"
    for unknown in ("Blend", ""):
        with pytest.raises(NotFound) as refusal:
            repo.ml_models.newest(unknown)
        assert str(refusal.value) == f"no model {unknown!r}"


@pytest.mark.parametrize(("given", "stored"), [("three models", "three models"), (None, None), ("", None)])
def test_update_changes_the_description_of_one_version(repo: Repository, given: str | None, stored: str | None) -> None:
    first, second = (repo.ml_models.get_or_create("blend", version=v, description="two models") for v in "12")
    changed = repo.ml_models.update(str(first.ml_model_uuid), description=given)
    assert changed == first.model_copy(update={"description": stored})
    assert repo.ml_models.list() == [changed, second]


def test_update_of_an_unknown_model_is_not_found(repo: Repository) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound) as refusal:
        repo.ml_models.update(unknown, description="new")
    assert str(refusal.value) == f"no model {unknown}"
    with pytest.raises(InvalidInput, match="ml_model_uuid: must be a UUID, got 'blend'"):
        repo.ml_models.update("blend", description="new")


@pytest.fixture
def forecasters(repo: Repository) -> tuple[list[MlModel], Site, Site]:
    """Models and two sites. The first forecasts the first site at noon for three half hours (but for the second of
    them), the second two months later, the third the second site at noon, the fourth nothing; one is by nobody."""
    here, there = repo.sites.create(), repo.sites.create()
    forecasts = [
        forecast_frame(here.site_uuid, [1.0, None, 2.0], model_name="a", model_version="1"),
        forecast_frame(here.site_uuid, timestamp=NOON + timedelta(days=61), model_name="a", model_version="2"),
        forecast_frame(there.site_uuid, model_name="b", model_version=""),
    ]
    repo.forecasts.insert(together(*forecasts))
    repo.forecasts.insert(forecast_frame(here.site_uuid))
    repo.ml_models.get_or_create("c")
    return repo.ml_models.list(), here, there


HALF = HOUR / 2


@pytest.mark.parametrize(
    ("filters", "here", "anywhere"),
    [
        ({}, "01", "0123"),
        ({"name": "a"}, "01", "01"),
        ({"name": "b"}, "", "2"),
        ({"name": "d"}, "", ""),
        ({"start_utc": NOON, "end_utc": NOON + HOUR}, "0", "02"),
        ({"start_utc": NOON + timedelta(days=1)}, "1", "1"),
        ({"end_utc": NOON}, "", ""),
        ({"end_utc": NOON + HALF / 2}, "0", "02"),
        ({"start_utc": NOON + HALF, "end_utc": NOON + HOUR}, "", "2"),  # where one has a gap
        ({"start_utc": NOON + HALF, "end_utc": NOON + HOUR, "name": "b"}, "", "2"),
        ({"start_utc": NOON + HALF / 2, "end_utc": NOON + HALF}, "", ""),  # none starts there
        ({"start_utc": NOON + HALF / 2, "end_utc": NOON + 2 * HALF + HALF / 2}, "0", "02"),
        ({"start_utc": NOON + 2 * HALF, "end_utc": NOON + 3 * HALF}, "0", "02"),
        ({"start_utc": NOON + 3 * HALF, "end_utc": NOON + timedelta(days=9)}, "", ""),
        ({"start_utc": NOON + timedelta(days=61)}, "1", "1"),
        ({"start_utc": NOON + HOUR, "end_utc": NOON}, "", ""),
    ],
)
def test_list_of_models_that_made_forecasts(
    repo: Repository,
    forecasters: tuple[list[MlModel], Site, Site],
    filters: dict[str, Any],
    here: str,
    anywhere: str,
) -> None:
    models, first, _ = forecasters
    assert repo.ml_models.list(site_uuid=str(first.site_uuid), **filters) == [models[int(n)] for n in here]
    assert repo.ml_models.list(**filters) == [models[int(n)] for n in anywhere]


def test_list_of_models_of_a_forecast_with_many_gaps(repo: Repository, site: Site) -> None:
    """More than the table lists: they are taken as one there."""
    powers = [1.0, *[None, 1.0] * 40]
    repo.forecasts.insert(forecast_frame(site.site_uuid, powers), model_name="a")
    for slot, power in enumerate(powers):
        start = NOON + slot * HALF
        found = repo.ml_models.list(site_uuid=site.site_uuid, start_utc=start, end_utc=start + HALF)
        assert [model.name for model in found] == ["a"] * (power is not None), slot


def test_list_of_models_in_parts(repo: Repository, site: Site) -> None:
    for version in "1234":
        repo.forecasts.insert(forecast_frame(site.site_uuid), model_name="a", model_version=version)
    pages(partial(repo.ml_models.list, site_uuid=site.site_uuid, start_utc=NOON), repo.ml_models.list())


def test_list_of_models_of_a_site_that_there_is_not(repo: Repository) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound) as refusal:
        repo.ml_models.list(site_uuid=unknown)
    assert str(refusal.value) == f"no site {unknown}"
    with pytest.raises(InvalidInput, match="site_uuid: must be a UUID, got 'roof'"):
        repo.ml_models.list(site_uuid="roof")
    assert repo.ml_models.list(start_utc=NOON) == []


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
