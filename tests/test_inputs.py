"""Arguments: what is taken, what is refused, and text that looks like SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg
import pytest

from pvsite_sql import InvalidInput, Repository
from pvsite_sql.engine.inputs import as_filter, as_integer, as_optional_text, as_text, as_utc, as_uuid, as_uuids, window

ONE, TWO = UUID(int=0xABCDEF1), UUID(int=2)
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
NEPAL = timezone(timedelta(hours=5, minutes=45))


@pytest.mark.parametrize("given", [ONE, str(ONE), str(ONE).upper(), ONE.hex, f"{{{ONE}}}", ONE.urn, np.str_(ONE)])
def test_a_uuid_or_its_text(given: Any) -> None:
    found = as_uuid(given, "site_uuid")
    assert type(found) is UUID
    assert found == ONE


@pytest.mark.parametrize(
    "given",
    [
        "",
        "roof",
        str(ONE)[:-1],
        f"{ONE}0",
        f" {str(ONE)[1:]}",
        f"{str(ONE)[:8]}_{str(ONE)[9:]}",
        f"0_{str(ONE)[2:]}",
        f"+{str(ONE)[1:]}",
        str(ONE).replace("0", "\u0660"),
        str(ONE).encode(),
        ONE.int,
        None,
        float("nan"),
    ],
)
def test_what_is_no_uuid(given: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        as_uuid(given, "site_uuid")
    assert str(refusal.value) == f"site_uuid: must be a UUID, got {given!r}"
    assert refusal.value.column == "site_uuid"


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array, pd.Series, dict.fromkeys])
def test_uuids_keep_their_order_and_come_once(kind: Callable[[list[Any]], Any]) -> None:
    assert as_uuids(kind([TWO, str(ONE), ONE, TWO]), "site_uuids") == [TWO, ONE]
    assert as_uuids(kind([]), "site_uuids") == []


@pytest.mark.parametrize("given", [ONE, str(ONE), b"", None, 5])
def test_one_uuid_is_no_list_of_uuids(given: Any) -> None:
    with pytest.raises(InvalidInput, match="site_uuids: must be a list of UUIDs, got "):
        as_uuids(given, "site_uuids")


@pytest.mark.parametrize("given", [0, -(2**31), 2**31 - 1, np.int64(5), np.uint8(5)])
def test_integers_of_32_bits(given: int) -> None:
    found = as_integer(given, "level")
    assert type(found) is int
    assert found == given


@pytest.mark.parametrize("given", [2**31, -(2**31) - 1, np.int64(2**40), True, np.True_, 1.0, "1", None])
def test_what_is_no_integer_of_32_bits(given: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^level: must be an integer from -2147483648 to 2147483647, got"):
        as_integer(given, "level")


@pytest.mark.parametrize(
    "given",
    [
        NOON,
        datetime(2024, 6, 1, 12),  # noqa: DTZ001 naive on purpose
        NOON.astimezone(NEPAL),
        pd.Timestamp(NOON),
        pd.Timestamp("2024-06-01 12:00"),
        pd.Timestamp("2024-06-01 14:00", tz="Europe/Berlin"),
    ],
)
def test_naive_times_mean_utc_and_aware_ones_are_converted(given: datetime) -> None:
    found = as_utc(given, "start_utc")
    assert type(found) is datetime
    assert found == NOON
    assert found.tzinfo is UTC


def test_times_are_exact_to_the_microsecond() -> None:
    precise = NOON + timedelta(microseconds=1)
    assert as_utc(precise, "start_utc") == as_utc(pd.Timestamp(precise), "start_utc") == precise
    with pytest.raises(InvalidInput, match="start_utc: must not have a fraction of a microsecond"):
        as_utc(pd.Timestamp(precise) + pd.Timedelta(1, "ns"), "start_utc")


@pytest.mark.parametrize(
    "given", [date(2024, 6, 1), "2024-06-01", 1717200000, None, pd.NaT, np.datetime64("2024-06-01")]
)
def test_what_is_no_time(given: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        as_utc(given, "start_utc")
    assert str(refusal.value) == f"start_utc: must be a datetime, got {given!r}"


@pytest.mark.parametrize(
    "given",
    [
        datetime.min.replace(tzinfo=NEPAL),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        pd.Timestamp(np.datetime64("20000-01-01", "s")),
        pd.Timestamp(np.datetime64("-2000-01-01", "s")),
    ],
)
def test_a_time_outside_of_the_calendar(given: datetime) -> None:
    with pytest.raises(InvalidInput, match="start_utc: must be within the years 1 to 9999"):
        as_utc(given, "start_utc")


def test_a_window_is_unbounded_where_none_is_given() -> None:
    assert window(None, None) == {"start_utc": "-infinity", "end_utc": "infinity"}
    assert window(NOON.astimezone(NEPAL), None) == {"start_utc": NOON, "end_utc": "infinity"}
    assert window(None, NOON) == {"start_utc": "-infinity", "end_utc": NOON}
    for bounds, name in ((("now", None), "start_utc"), ((None, "now"), "end_utc")):
        with pytest.raises(InvalidInput, match=f"^{name}: "):
            window(*bounds)


def test_an_optional_text_is_empty_where_none_is_given() -> None:
    assert as_optional_text(None, "version") == as_filter(None, "country") == ""
    assert as_optional_text("", "version") == as_text("", "version") == ""
    with pytest.raises(InvalidInput, match="country: must not be an empty string; use None for no filter"):
        as_filter("", "country")


HOSTILE = [
    "O'Brien",
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    '"quoted"',
    "100 %",
    "%% %s %(email)s %b",
    ":'email' :email :\"email\"",
    "$1 $$ $tag$",
    "back\\slash \\' \\",
    "/* comment */ -- comment",
    "{0} {email}",
    "line\r\nbreak\ttab\x01\x7f",
    " spaces ",
    "NULL",
    "\N{GRINNING FACE} \N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT} \N{CJK UNIFIED IDEOGRAPH-6F22}",
    "\U0010ffff \ufeff \ufffe",
    '{"a": [1]}',
    "x" * 2000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_is_stored_and_found_as_it_is(repo: Repository, text: str) -> None:
    other = "another"
    for name in (text, other):
        group = repo.site_groups.create(name)
        assert (group.site_group_name, repo.site_groups.get(name), repo.site_groups.get_or_create(name)) == (
            name,
            group,
            group,
        )
        user = repo.users.create(name, site_group_name=name)
        assert (user.email, repo.users.get(name), repo.users.get_or_create(name)) == (name, user, user)
        client = repo.clients.get_or_create(name)
        assert (client.client_name, repo.clients.get(name)) == (name, client)
        texts = dict.fromkeys(("client_site_name", "country", "region", "dno", "gsp"), name)
        site = repo.sites.create(client_site_id=1, client_uuid=client.client_uuid, **texts)
        assert site == repo.sites.update(site.site_uuid, **texts) == repo.sites.get(site.site_uuid)
        assert site.model_dump(include=set(texts)) == texts
        found = [
            repo.sites.get_by_client_site_name(name),
            repo.sites.get_by_client_site_id(1, client_site_name=name),
            repo.sites.get_by_client_site_id(1, client_name=name),
            *repo.sites.list(country=name, client_name=name),
            *repo.sites.list([site.site_uuid], country=name, client_name=name),
            *repo.sites.list(client_site_name_contains=name),
            *repo.site_groups.add_site(name, site_uuid=site.site_uuid),
            *repo.site_groups.sites(name),
            *repo.sites.list_for_user(name),
            *repo.sites.list(site_group_name=name),
        ]
        assert found == [site] * 10
        assert repo.sites.visible(name, site_uuids=[site.site_uuid]) == {site.site_uuid}
        model = repo.ml_models.get_or_create(name, version=name, description=name)
        assert (model.name, model.version, model.description) == (name, name, name)
        assert repo.ml_models.get_or_create(name, version=name) == repo.ml_models.newest(name) == model
        assert repo.ml_models.list(name=name) == [model]
        assert repo.ml_models.update(model.ml_model_uuid, description=name) == model
        said = repo.status.create(name, message=name)
        assert (said.status, said.message, repo.status.latest()) == (name, name, said)
        asked = repo.api_requests.create(name, email=name)
        assert (asked.url, asked.user_uuid, asked.email) == (name, user.user_uuid, name)
        assert repo.api_requests.last_per_user(include=name, exclude=f"not {name}") == [asked]
        assert repo.api_requests.list_for_user(name, include=name, exclude=f"not {name}") == [asked]
        assert repo.api_requests.list_for_user(name, exclude=name) == []
    for rename in (repo.site_groups.rename, repo.clients.rename):
        rename(text, f"new {text}")
        rename(f"new {text}", text)
    assert repo.users.update(text, new_email=f"new {text}").email == f"new {text}"
    assert repo.users.update(f"new {text}", new_email=text).site_group_name == text
    assert repo.site_groups.set_service_level(text, level=1).service_level == 1
    assert repo.site_groups.remove_site(text, site_uuid=repo.sites.get_by_client_site_name(text).site_uuid) == []
    assert [user.email for user in repo.site_groups.users(text)] == [text]
    assert repo.users.set_site_group(text, site_group_name=other).email == text
    repo.site_groups.delete(text)
    repo.users.delete(text)
    assert (
        [user.email for user in repo.users.list()]
        == [group.site_group_name for group in repo.site_groups.list()]
        == [other]
    )


SITE = UUID(int=1)
TAKES_TEXT: dict[str, tuple[str, Callable[[Repository, Any], object]]] = {
    "users.get": ("email", lambda repo, text: repo.users.get(text)),
    "users.get_or_create": ("email", lambda repo, text: repo.users.get_or_create(text)),
    "users.create": ("email", lambda repo, text: repo.users.create(text, site_group_name="known")),
    "users.create group": ("site_group_name", lambda repo, text: repo.users.create("new", site_group_name=text)),
    "users.set_site_group": ("email", lambda repo, text: repo.users.set_site_group(text, site_group_name="known")),
    "users.set_site_group group": (
        "site_group_name",
        lambda repo, text: repo.users.set_site_group("known", site_group_name=text),
    ),
    "users.update": ("email", lambda repo, text: repo.users.update(text, new_email="new")),
    "users.update new": ("new_email", lambda repo, text: repo.users.update("known", new_email=text)),
    "users.delete": ("email", lambda repo, text: repo.users.delete(text)),
    "site_groups.get": ("site_group_name", lambda repo, text: repo.site_groups.get(text)),
    "site_groups.get_or_create": ("name", lambda repo, text: repo.site_groups.get_or_create(text)),
    "site_groups.create": ("name", lambda repo, text: repo.site_groups.create(text)),
    "site_groups.sites": ("site_group_name", lambda repo, text: repo.site_groups.sites(text)),
    "site_groups.users": ("site_group_name", lambda repo, text: repo.site_groups.users(text)),
    "site_groups.add_site": ("site_group_name", lambda repo, text: repo.site_groups.add_site(text, site_uuid=SITE)),
    "site_groups.remove_site": (
        "site_group_name",
        lambda repo, text: repo.site_groups.remove_site(text, site_uuid=SITE),
    ),
    "site_groups.set_service_level": (
        "site_group_name",
        lambda repo, text: repo.site_groups.set_service_level(text, level=1),
    ),
    "site_groups.rename": ("site_group_name", lambda repo, text: repo.site_groups.rename(text, "new")),
    "site_groups.rename new": ("new_name", lambda repo, text: repo.site_groups.rename("known", text)),
    "site_groups.delete": ("site_group_name", lambda repo, text: repo.site_groups.delete(text)),
    **{
        f"sites.create {name}": (name, lambda repo, text, name=name: repo.sites.create(**{name: text}))
        for name in ("client_site_name", "country", "region", "dno", "gsp", "asset_type")
    },
    "sites.update": ("gsp", lambda repo, text: repo.sites.update(SITE, gsp=text)),
    **{
        f"sites.get_or_create {name}": (
            name,
            lambda repo, text, name=name: repo.sites.get_or_create(**{"client_site_name": "new", name: text}),
        )
        for name in ("client_site_name", "client_name", "country", "gsp")
    },
    "sites.set_ml_model": ("name", lambda repo, text: repo.sites.set_ml_model(SITE, text)),
    "sites.set_ml_model version": ("version", lambda repo, text: repo.sites.set_ml_model(SITE, "known", text)),
    "sites.get_by_client_site_name": ("name", lambda repo, text: repo.sites.get_by_client_site_name(text)),
    **{
        f"sites.get_by_client_site_id {name}": (
            name,
            lambda repo, text, name=name: repo.sites.get_by_client_site_id(1, **{name: text}),
        )
        for name in ("client_site_name", "client_name")
    },
    **{
        f"sites.list {name}": (name, lambda repo, text, name=name: repo.sites.list(**{name: text}))
        for name in ("country", "asset_type", "client_name", "client_site_name_contains", "site_group_name", "order_by")
    },
    "sites.list_for_user": ("email", lambda repo, text: repo.sites.list_for_user(text)),
    "sites.visible": ("email", lambda repo, text: repo.sites.visible(text, site_uuids=[])),
    "clients.get": ("name", lambda repo, text: repo.clients.get(text)),
    "clients.get_or_create": ("name", lambda repo, text: repo.clients.get_or_create(text)),
    "clients.rename": ("name", lambda repo, text: repo.clients.rename(text, "new")),
    "clients.rename new": ("new_name", lambda repo, text: repo.clients.rename("known", text)),
    "clients.delete": ("name", lambda repo, text: repo.clients.delete(text)),
    "ml_models.newest": ("name", lambda repo, text: repo.ml_models.newest(text)),
    "ml_models.list": ("name", lambda repo, text: repo.ml_models.list(name=text)),
    "ml_models.update": ("description", lambda repo, text: repo.ml_models.update(SITE, description=text)),
    "ml_models.get_or_create": ("name", lambda repo, text: repo.ml_models.get_or_create(text)),
    **{
        f"ml_models.get_or_create {name}": (
            name,
            lambda repo, text, name=name: repo.ml_models.get_or_create("new", **{name: text}),
        )
        for name in ("version", "description")
    },
    "status.create": ("status", lambda repo, text: repo.status.create(text, message="")),
    "status.create message": ("message", lambda repo, text: repo.status.create("", message=text)),
    "api_requests.create": ("url", lambda repo, text: repo.api_requests.create(text)),
    "api_requests.create email": ("email", lambda repo, text: repo.api_requests.create("", email=text)),
    "api_requests.list_for_user": ("email", lambda repo, text: repo.api_requests.list_for_user(text)),
    **{
        f"api_requests.list_for_user {name}": (
            name,
            lambda repo, text, name=name: repo.api_requests.list_for_user("known", **{name: text}),
        )
        for name in ("include", "exclude")
    },
    **{
        f"api_requests.last_per_user {name}": (
            name,
            lambda repo, text, name=name: repo.api_requests.last_per_user(**{name: text}),
        )
        for name in ("include", "exclude")
    },
}
ROWS = """
    SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM site_groups), (SELECT count(*) FROM sites),
        (SELECT count(*) FROM clients), (SELECT count(*) FROM ml_models), (SELECT count(*) FROM status),
        (SELECT count(*) FROM api_request)
"""


@pytest.mark.parametrize("text", ["a\x00b", "\ud83d", "a\udfff", 5, 0, b"bytes", ["list"]], ids=repr)
def test_text_that_cannot_be_stored_is_invalid_input(
    repo: Repository, postgresql: psycopg.Connection, text: Any
) -> None:
    repo.users.create("known", site_group_name=repo.site_groups.create("known").site_group_name)
    for call, (column, take) in TAKES_TEXT.items():
        with pytest.raises(InvalidInput) as refusal:
            take(repo, text)
        assert refusal.value.column == column, call
        assert str(refusal.value).startswith(f"{column}: "), call
    assert postgresql.execute(ROWS).fetchone() == (1, 1, 0, 0, 0, 0, 0)
