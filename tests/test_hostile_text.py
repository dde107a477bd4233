"""Text that looks like SQL, in every argument of every method that takes text: a value like any other, or refused."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from conftest import conninfo, reading_frame
from forecast_cases import NOON, forecast_frame
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

from pvsite_sql import InvalidInput, LatitudeLongitudeLimits, PvsiteSqlError, Repository
from pvsite_sql.sites import SiteFields

PLAIN, OTHER = "plain", "other"
TEXTS = [
    "'",
    "''; DROP TABLE sites; --",
    "') OR TRUE --",
    '"',
    "\\",
    "\\'",
    "\\N",
    "%",
    "%s %(email)s %% %b",
    ":'email' :name ::text",
    "$1 $$ $x$",
    "-- ",
    "/* */ /*",
    "{a,NULL}",
    "NULL",
    " a\tb\r\nc ",
    "é 𝄞 e\u0301 \u202e \ufeff",
    "x" * 2000,
]
REFUSED = ["a\x00b", "\x00", "\ud83d", "a\udfff"]
START, END = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
SITE, OTHER_SITE = UUID(int=1), UUID(int=2)
FORECAST = UUID(int=3)

# arguments that are no text, by their names; a text is put into all others
ARGUMENTS: dict[str, Any] = {
    **dict.fromkeys(("site_uuid", "user_uuid", "site_group_uuid", "ml_model_uuid"), SITE),  # see WORLD
    "site_uuids": [SITE, OTHER_SITE],
    "forecast_uuid": FORECAST,
    "inverter_uuid": SITE,
    "user_uuids": [SITE, OTHER_SITE],
    "start_utc": START,
    "end_utc": END,
    "timestamp_utc": NOON,
    "created_utc": NOON,
    "created_before": END,
    "created_after": START,
    "at_utc": datetime(2100, 1, 1, tzinfo=UTC),
    "client_site_id": 1,
    "service_level": 1,
    "level": 1,
    "hour": 12,
    "horizon_minutes": 0,
    "min_horizon_minutes": 0,
    "max_horizon_minutes": 2880,
    "bucket_minutes": 60,
    "minute": 30,
    "created_hour": 0,
    "of_site_model": False,
    "chunk_rows": 10,
    "limit": 10,
    "offset": 0,
    "newest_first": True,
    "active": True,
    "delete_generation": True,
    "dry_run": False,
    "within": LatitudeLongitudeLimits(),
    "interval": timedelta(minutes=5),
    "progress": None,
    "frames": reading_frame(SITE, rows=3),
    "frame": forecast_frame(SITE).drop(columns=["site_uuid", "timestamp_utc"]),
}
# texts that may be but few things: what a call gets where the text is put elsewhere
CHOICES: dict[str, str] = {"timezone": "UTC", "model_version": PLAIN}
EITHER = {
    "sites.get_by_client_site_id": ("client_site_name", "client_name"),
    "forecasts.delete": ("site_uuids", "forecast_uuid"),
}
TABLES = "users, site_groups, site_group_sites, sites, clients, inverters, generation, forecasts, ml_models, status"
TABLES += ", api_request, site_history"
WORLD = """
    WITH
    c AS (INSERT INTO clients (client_name) VALUES (%(text)s) RETURNING client_uuid),
    g AS (
        INSERT INTO site_groups (site_group_uuid, site_group_name) VALUES (%(site)s, %(text)s)
        RETURNING site_group_uuid
    ),
    u AS (
        INSERT INTO users (user_uuid, email, site_group_uuid) SELECT %(site)s, %(text)s, site_group_uuid FROM g
        RETURNING user_uuid
    ),
    s AS (
        INSERT INTO sites
        (site_uuid, client_uuid, client_site_id, client_site_name, country, region, dno, gsp, latitude, longitude)
        SELECT %(site)s, client_uuid, 1, %(text)s, %(text)s, %(text)s, %(text)s, %(text)s, 1, 1 FROM c
    ),
    m AS (
        INSERT INTO ml_models (ml_model_uuid, name, version, description)
        VALUES (%(site)s, %(text)s, %(text)s, %(text)s)
    ),
    t AS (INSERT INTO status (status, message) VALUES (%(text)s, %(text)s))
    INSERT INTO api_request (url, user_uuid) SELECT %(text)s, user_uuid FROM u
"""
REST = """
    INSERT INTO inverters (inverter_uuid, site_uuid) VALUES (%(site)s, %(site)s);
    INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
    VALUES (%(site)s, '2024-06-01', '2024-06-01 00:30', 1);
    INSERT INTO site_group_sites (site_group_uuid, site_uuid)
    SELECT site_group_uuid, %(site)s FROM site_groups WHERE site_group_name = %(text)s;
    INSERT INTO forecasts (
        forecast_uuid, site_uuid, timestamp_utc, ml_model_uuid, forecast_version, created_utc, start_utc,
        resolution_minutes, power_kw
    )
    SELECT %(forecast)s, %(site)s, '2024-06-01 12:00', ml_model_uuid, %(text)s, '2024-05-01', '2024-06-01', 30, '{1}'
    FROM ml_models WHERE name = %(text)s
"""


def texts_of(hint: Any) -> bool:
    """Whether an argument of that type takes free text."""
    if hint is str:
        return True
    if get_origin(hint) in (Union, UnionType):
        return UUID not in get_args(hint) and any(texts_of(part) for part in get_args(hint))
    return False


def methods() -> Iterator[tuple[str, dict[str, Any], set[str]]]:
    """All methods of all aggregates, their arguments with their types, and those that take text."""
    for name, aggregate in sorted(vars(Repository("", open=False)).items()):
        if name.startswith("_"):
            continue
        for method, function in inspect.getmembers(aggregate, inspect.ismethod):
            if method.startswith("_"):
                continue
            signature = inspect.signature(function)
            hints = get_type_hints(
                function, localns={"pd": pd, "NewForecast": object, "AnyFrame": pd.DataFrame, "pa": pa}
            )
            arguments = {key: hints[key] for key in signature.parameters}
            if "fields" in arguments or "changes" in arguments:
                arguments = {key: hint for key, hint in arguments.items() if key not in ("fields", "changes")}
                arguments |= {key: hint for key, hint in get_type_hints(SiteFields).items() if texts_of(hint)}
            yield f"{name}.{method}", arguments, {key for key, hint in arguments.items() if texts_of(hint)}


METHODS = {name: (arguments, texts) for name, arguments, texts in methods()}


def arguments_of(name: str, text: str) -> dict[str, Any]:
    """Every argument of a method: the text wherever one is taken."""
    given: dict[str, Any] = {}
    for key, hint in METHODS[name][0].items():
        if key in EITHER.get(name, ())[1:]:
            continue
        if key in METHODS[name][1]:
            given[key] = CHOICES.get(key, text) if key == "timezone" else text
        elif get_origin(hint) is Literal or key in ("by", "on_conflict", "same_key", "asset_type"):
            continue
        else:
            assert key in ARGUMENTS, f"{name} takes {key}: say in ARGUMENTS what it is to get"
            given[key] = ARGUMENTS[key]
    given.pop("exclude", None)
    return given


def made(connection: psycopg.Connection, text: str | None) -> None:
    """A database of two worlds: one in which every text is this one (None: without it), and one of others."""
    for parent in ("generation", "forecasts"):
        connection.execute("SELECT ensure_month_partitions(%s, '{2024-06-01}')", [parent])
    for table in TABLES.split(", "):
        connection.execute(f"DELETE FROM {table}")
    for site, word, forecast in ((SITE, text, FORECAST), (OTHER_SITE, OTHER, UUID(int=4))):
        if word is None:
            continue
        parameters = {"site": site, "text": word, "forecast": forecast}
        connection.execute(WORLD, parameters)
        for statement in REST.split(";"):
            connection.execute(statement, parameters)


def rows(connection: psycopg.Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    found = {}
    for table in TABLES.split(", "):
        found[table] = [row for (row,) in connection.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY t::text")]
    return found


COUNTED = {"ml_id", "change_id"}
IDENTITY = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ][\d:.]+(\+00:00|Z)?")


def shown(value: Any, text: str) -> Any:  # noqa: PLR0911  one a kind of value
    """A value without what differs from one world to the next: the uuids, the times and the text itself."""
    if isinstance(value, BaseModel):
        return shown(value.model_dump(exclude=COUNTED), text)
    if isinstance(value, pd.DataFrame):
        return shown(value.to_dict("records"), text)
    if isinstance(value, dict):
        return {shown(key, text): shown(each, text) for key, each in value.items() if key not in COUNTED}
    if isinstance(value, (list, set, tuple)) or inspect.isgenerator(value):
        return [shown(each, text) for each in value]
    if isinstance(value, (UUID, datetime)):
        return type(value).__name__
    if isinstance(value, str):
        return PLAIN if value == text else IDENTITY.sub("id", value).replace(text, PLAIN)
    return value


def outcome(repo: Repository, connection: psycopg.Connection, name: str, text: str, *, known: bool) -> tuple[Any, Any]:
    """What a method returns or says, in the world of a text or without it, and what the tables hold then."""
    made(connection, text if known else None)
    aggregate, method = name.split(".")
    try:
        result = shown(getattr(getattr(repo, aggregate), method)(**arguments_of(name, text)), text)
    except PvsiteSqlError as error:
        result = type(error)
    after = rows(connection)
    return result, {table: [shown(row, text) for row in found] for table, found in after.items()}


def sorted_rows(tables: dict[str, list[Any]]) -> dict[str, list[str]]:
    return {table: sorted(map(repr, found)) for table, found in tables.items()}


@pytest.fixture
def connection(postgresql: psycopg.Connection) -> psycopg.Connection:
    postgresql.autocommit = True
    postgresql.execute("SET timezone = 'UTC'")
    return postgresql


@pytest.mark.parametrize("known", [True, False], ids=["of rows that are there", "of rows that are not"])
def test_every_method_treats_every_text_as_it_treats_a_plain_one(
    repo: Repository, connection: psycopg.Connection, known: bool
) -> None:
    assert len(METHODS) > 40
    answered = set()
    for name, (_, texts) in METHODS.items():
        expected, tables = outcome(repo, connection, name, PLAIN, known=known)
        assert str(OTHER_SITE) in {row["site_uuid"] for row in rows(connection)["sites"]}, name
        if not isinstance(expected, type):
            answered.add(name)
        for text in TEXTS if texts else []:
            result, after = outcome(repo, connection, name, text, known=known)
            assert repr(result) == repr(expected), (name, text)  # of NaN too
            assert sorted_rows(after) == sorted_rows(tables), (name, text)
    makes = {"users.get_or_create", "site_groups.get_or_create", "site_groups.create", "clients.get_or_create"}
    makes |= {"ml_models.get_or_create", "status.create", "sites.create"}
    if known:  # what is there cannot be made; a group with users, or a client with sites, cannot be deleted
        refused = {"users.create", "site_groups.create", "site_groups.delete", "clients.delete"}
        assert set(METHODS) - answered == refused
    else:
        assert makes <= answered


def test_what_postgresql_cannot_store_is_refused_by_every_argument(
    repo: Repository, connection: psycopg.Connection
) -> None:
    for name, (_, texts) in METHODS.items():
        for key in sorted(texts):
            for text in REFUSED:
                made(connection, PLAIN)
                before = rows(connection)
                given = {**arguments_of(name, PLAIN), key: text}
                for either in EITHER.get(name, ()):
                    if either != key and key in EITHER[name]:
                        given.pop(either, None)
                aggregate, method = name.split(".")
                with pytest.raises(InvalidInput):
                    getattr(getattr(repo, aggregate), method)(**given)
                assert rows(connection) == before, (name, key, text)


def test_uuids_that_look_like_sql_are_refused(repo: Repository, connection: psycopg.Connection) -> None:
    tried = 0
    made(connection, PLAIN)
    before = rows(connection)
    for name, (arguments, _) in METHODS.items():
        for key in arguments:
            if key in ("frame", "frames") or not key.endswith(("_uuid", "_uuids")):
                continue
            for text in (*TEXTS, *REFUSED, "", f"{SITE}' OR TRUE --"):
                given = {**arguments_of(name, PLAIN), key: [text] if key.endswith("s") else text}
                aggregate, method = name.split(".")
                with pytest.raises(InvalidInput):
                    getattr(getattr(repo, aggregate), method)(**given)
                tried += 1
    assert rows(connection) == before
    assert tried > 500


def test_choices_that_look_like_sql_are_refused(repo: Repository, connection: psycopg.Connection) -> None:
    made(connection, PLAIN)
    before = rows(connection)
    for name, (arguments, _) in METHODS.items():
        for key in {"by", "on_conflict", "same_key", "asset_type", "order_by", "timezone"} & set(arguments):
            for text in (*TEXTS, *REFUSED, "", None if key == "by" else 5):
                aggregate, method = name.split(".")
                with pytest.raises(InvalidInput):
                    getattr(getattr(repo, aggregate), method)(**{**arguments_of(name, PLAIN), key: text})
    assert rows(connection) == before


def test_time_zone_that_there_is_not_is_refused_without_any_forecast(repo: Repository) -> None:
    for sites in (None, []):
        with pytest.raises(InvalidInput, match=r"^timezone: must be an IANA time zone .*'Europe/Camelot'$"):
            repo.forecasts.day_ahead_values(sites, hour=9, timezone="Europe/Camelot")
        assert repo.forecasts.day_ahead_values(sites, hour=9, timezone="Europe/London") == {}


def test_model_has_a_name(repo: Repository, connection: psycopg.Connection) -> None:
    made(connection, PLAIN)
    frame = forecast_frame(SITE)
    for refused in (
        lambda: repo.forecasts.insert(frame, model_name=""),
        lambda: repo.forecasts.insert(frame.assign(model_name="")),
        lambda: repo.ml_models.get_or_create(""),
    ):
        with pytest.raises(InvalidInput, match="must not be an empty string"):
            refused()
    assert len(repo.ml_models.list()) == 2


@pytest.mark.parametrize("encoding", ["latin1", "sql_ascii"])
def test_repository_reads_and_writes_any_script_whatever_the_connection_string_says(
    postgresql: psycopg.Connection, encoding: str
) -> None:
    dsn = conninfo(postgresql)
    with Repository(f"{dsn} client_encoding={encoding}", kwargs={"application_name": "x"}) as repo:
        assert repo.site_groups.get_or_create("é𝄞").site_group_name == "é𝄞"
    with Repository(dsn) as repo:
        assert repo.site_groups.get("é𝄞").site_group_name == "é𝄞"
    with ConnectionPool(f"{dsn} client_encoding={encoding}") as pool:
        for call in (
            Repository(pool).site_groups.list,
            lambda: Repository(pool).generation.insert(reading_frame(SITE)),
            lambda: in_transaction(Repository(pool)),
        ):
            with pytest.raises(PvsiteSqlError, match="client_encoding=UTF8"):
                call()


def in_transaction(repo: Repository) -> None:
    with repo.transaction() as tx:
        tx.site_groups.list()


def test_arrays_of_two_dimensions_cannot_be_stored_as_powers(postgresql: psycopg.Connection) -> None:
    made(postgresql, PLAIN)
    postgresql.commit()
    for powers in ("{{1},{2}}", "[0:0]={1}", "{}", "{NULL}"):
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.FeatureNotSupported)):
            postgresql.execute("UPDATE forecasts SET power_kw = %s", [powers])
        postgresql.rollback()


def test_no_file_of_the_package_puts_statements_together() -> None:
    package = Path(inspect.getfile(Repository)).parent
    for path in package.glob("*.py"):
        assert not re.search(r"\.execute\(\s*f[\"']", path.read_text(encoding="utf-8")), path
