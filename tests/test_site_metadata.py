"""The metadata of a site: a JSON object that programs keep with it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import psycopg
import pytest

from pvsite_sql import InvalidInput, Repository, Site

RICH: dict[str, Any] = {
    "panels": [{"make": "Sun & Söhne", "count": 12}, {"make": "𝄞\\u0000'\"\n", "count": 0}],
    "tracker": None,
    "shaded": True,
    "losses": {"dc": 0.1, "ac": -2.5e-7, "none": {}, "list": []},
    "": "",
    "count": 2**70,
}


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


CIRCULAR: dict[str, Any] = {}
CIRCULAR["a"] = [CIRCULAR]


def test_is_empty_until_it_is_given(repo: Repository, site: Site) -> None:
    assert site.metadata == {}
    given = repo.sites.create(metadata=RICH)
    assert given.metadata == repo.sites.get(given.site_uuid).metadata == RICH
    assert repo.sites.update(site.site_uuid, metadata=RICH) == site.model_copy(update={"metadata": RICH})
    assert repo.sites.update(site.site_uuid, tilt=1).metadata == RICH


def test_an_update_replaces_it(repo: Repository) -> None:
    site = repo.sites.create(metadata={"a": 1, "b": 2})
    assert repo.sites.update(site.site_uuid, metadata={"b": 3}).metadata == {"b": 3}
    assert repo.sites.update(site.site_uuid, metadata={}).metadata == {}


def test_may_be_any_mapping_with_tuples_in_it(repo: Repository) -> None:
    for given in (OrderedDict(b=(1, (2, 3)), a=[]), MappingProxyType({"a": [], "b": (1, [2, 3])})):
        assert repo.sites.create(metadata=given).metadata == {"a": [], "b": [1, [2, 3]]}


def test_may_have_a_hundred_levels(repo: Repository) -> None:
    assert repo.sites.create(metadata=nested(100)).metadata == nested(100)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "valid dictionary"),
        ([], "valid dictionary"),
        ("{}", "valid dictionary"),
        ({1: 2}, "valid string"),
        ({"a": {1: 2}}, r"\['a'\] has a key that is not a string: 1"),
        ({"a": [0, float("nan")]}, r"\['a'\]\[1\] must be finite, got nan"),
        ({"a": float("-inf")}, r"\['a'\] must be finite, got -inf"),
        ({"a": datetime(2024, 6, 1, tzinfo=UTC)}, r"\['a'\] is not a JSON value: datetime"),
        ({"a": {"b": b"c"}}, r"\['a'\]\['b'\] is not a JSON value: b'c'"),
        ({"a": np.int64(1)}, r"\['a'\] is not a JSON value"),
        ({"a": {1}}, r"\['a'\] is not a JSON value: \{1\}"),
        ({"a": 10**1000}, r"\['a'\] must have at most 1,000 digits"),
        ({"a": ["\x00"]}, r"\['a'\]\[0\] contains a character that PostgreSQL cannot store"),
        ({"a": {"\x00": 1}}, r"a key of \['a'\] contains a character that PostgreSQL cannot store"),
        ({"\ud800": 1}, "a character that PostgreSQL cannot store|valid string"),
        (nested(102), "has more than 100 levels"),
        (CIRCULAR, "has more than 100 levels"),
    ],
)
def test_that_is_no_json_object_is_invalid_input(repo: Repository, site: Site, given: Any, said: str) -> None:
    writes = (
        repo.sites.create,
        partial(repo.sites.update, site.site_uuid),
        partial(repo.sites.get_or_create, client_site_name="roof"),
    )
    for write in writes:
        with pytest.raises(InvalidInput, match=f"^metadata: .*({said})") as refusal:
            write(metadata=given)
        assert refusal.value.column == "metadata"
    assert repo.sites.list() == [site]


@pytest.mark.parametrize("text", ["[]", "1", "null", '"a"'])
def test_no_statement_makes_it_anything_else(postgresql: psycopg.Connection, site: Site, text: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="sites_metadata_check"):
        postgresql.execute("UPDATE sites SET metadata = %s WHERE site_uuid = %s", [text, site.site_uuid])


def test_is_in_the_history(repo: Repository, site: Site) -> None:
    changed = repo.sites.update(site.site_uuid, metadata=RICH)
    repo.sites.update(site.site_uuid, metadata={})
    created, filled, emptied = repo.sites.history(site.site_uuid)
    assert [(change.new_row or {})["metadata"] for change in (created, filled, emptied)] == [{}, RICH, {}]
    assert repo.sites.get_as_of(site.site_uuid, at_utc=created.changed_utc) == site
    assert repo.sites.get_as_of(site.site_uuid, at_utc=filled.changed_utc) == changed


def test_does_not_keep_sites_out_of_sets(repo: Repository) -> None:
    sites = [repo.sites.create(metadata=RICH) for _ in range(2)]
    assert {*sites, *repo.sites.list()} == {*sites}
