"""Small things that surprised people who used the package."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from commands import until
from concurrency import BLOCKED
from conftest import reading_frame
from forecast_cases import forecast_frame
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from pvsite_sql import (
    CallLimits,
    CheckFailed,
    ConstraintError,
    Duplicate,
    InvalidInput,
    Limits,
    MissingReference,
    NotFound,
    OutcomeUnknown,
    PvsiteSqlError,
    QueryFileError,
    Repository,
    SchemaOutOfDate,
)

from .programs import SECONDS, apart, ends, thread

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def is_blocked(observer: psycopg.Connection) -> bool:
    observer.execute("SELECT pg_stat_clear_snapshot()")
    return observer.execute(BLOCKED).fetchone() != (0,)


CALLS: dict[str, Callable[[Repository], Any]] = {
    "list": lambda repo: repo.sites.list(),
    "create": lambda repo: repo.sites.create(),
    "read": lambda repo: repo.generation.read(),
    "latest_values": lambda repo: repo.forecasts.latest_values(),
}
TABLES = {"list": "sites", "create": "sites", "read": "generation", "latest_values": "forecasts"}


@pytest.mark.parametrize("call", CALLS)
@ends
def test_garbage_is_collected_while_a_query_waits_for_a_lock(repo, site, observer, call):
    repo.generation.insert(reading_frame(site.site_uuid))
    repo.forecasts.insert(forecast_frame(site.site_uuid))
    assert gc.isenabled()
    with observer.transaction():
        observer.execute(f"LOCK TABLE {TABLES[call]}")
        waiting = thread(lambda: CALLS[call](repo))
        until(lambda: is_blocked(observer))
        for _ in range(20):
            assert gc.isenabled()
    assert waiting.result(SECONDS)
    assert gc.isenabled()


class TestAChangedColumn:
    """Its type changes under a statement that the connection has prepared."""

    @pytest.fixture
    def prepared(self, dsn) -> Any:
        with Repository(dsn, min_size=1, max_size=1) as repo:
            for number in range(10):
                repo.status.create("ok", message=str(number))
                repo.status.latest()
            yield repo

    @ends
    def test_a_call_is_retried(self, prepared, observer):
        observer.execute("ALTER TABLE status ALTER message TYPE varchar(100)")
        assert prepared.status.latest().message == "9"
        assert prepared.status.create("ok", message="new").message == "new"
        assert prepared.status.latest().message == "new"

    @ends
    def test_in_a_transaction_what_came_before_is_kept(self, prepared, observer):
        with prepared.transaction() as tx:
            tx.sites.create()
            with psycopg.connect(observer.info.dsn, autocommit=True) as other:
                other.execute("ALTER TABLE status ALTER message TYPE varchar(100)")
            try:
                assert tx.status.latest().message == "9"
            except psycopg.errors.FeatureNotSupported:
                assert len(tx.sites.list()) == 1  # it is the caller's to retry, as after a deadlock
        assert len(prepared.sites.list()) == 1
        assert prepared.status.latest().message == "9"


class TestALockOfTheSameThread:
    """A call on the repository that waits for a transaction of its own thread."""

    @pytest.fixture
    def quick(self, dsn) -> Any:
        limits = CallLimits(lock_s=0.2)
        with Repository(dsn, limits=Limits(read=limits, write=limits, bulk=limits, stream=limits)) as repo:
            yield repo

    @pytest.mark.parametrize("call", ["update", "delete", "get_or_create"])
    @ends
    def test_is_said(self, quick, call):
        site = quick.sites.create().site_uuid
        calls = {
            "update": lambda: quick.sites.update(site, tilt=1),
            "delete": lambda: quick.sites.delete(site),
            "get_or_create": lambda: quick.users.get_or_create("alice@example.com"),
        }
        with quick.transaction() as tx:
            tx.sites.update(site, tilt=2)
            tx.users.get_or_create("alice@example.com")
            with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
                calls[call]()
            assert "repo.transaction()" in said(refused.value)
        calls[call]()

    @ends
    def test_is_not_said_of_another_thread_nor_after_the_block(self, quick, observer):
        site = quick.sites.create().site_uuid
        with quick.transaction() as tx:
            tx.sites.update(site, tilt=2)
            with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
                apart(lambda: quick.sites.update(site, tilt=1))
            assert "repo.transaction()" not in said(refused.value)
        with observer.transaction():
            observer.execute("SELECT FROM sites FOR UPDATE")
            with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
                quick.sites.update(site, tilt=1)
            assert "repo.transaction()" not in said(refused.value)


def said(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


class TestTimeZones:
    @pytest.mark.parametrize("name", ["IST", "UTC+5", "Foo3", "Kolkata5", "BST", "CEST", "Asia/Nowhere", "+05:30", "Z"])
    def test_names_that_zoneinfo_does_not_know_are_refused(self, repo, name):
        with pytest.raises(InvalidInput) as refused:
            repo.forecasts.day_ahead_values([], hour=9, timezone=name)
        assert refused.value.column == "timezone"
        assert name in str(refused.value)

    @pytest.mark.parametrize("name", ["UTC", "Europe/London", "Asia/Kolkata", "America/Argentina/Ushuaia", "Etc/GMT+5"])
    def test_those_that_it_knows_are_taken(self, repo, site, name):
        repo.forecasts.insert(forecast_frame(site.site_uuid, created_utc=NOON - timedelta(days=3)))
        for zone in (name, ZoneInfo(name)):
            assert len(repo.forecasts.day_ahead_values([site.site_uuid], hour=9, timezone=zone)[site.site_uuid]) == 3


@pytest.mark.parametrize("seconds", [1, 29.5, 30, 59.999999])
@pytest.mark.parametrize("lead", [-90, 0])
def test_the_horizon_that_a_value_says_finds_it(repo, site, seconds, lead):
    timestamp = NOON + timedelta(seconds=seconds)
    starts = NOON + timedelta(minutes=lead)
    frame = forecast_frame(site.site_uuid).assign(timestamp_utc=timestamp)
    shift = starts - frame["start_utc"].min()
    repo.forecasts.insert(frame.assign(start_utc=frame["start_utc"] + shift, end_utc=frame["end_utc"] + shift))
    uuid = site.site_uuid
    values = repo.forecasts.latest_values([uuid])[uuid]
    assert len(values) == 3
    for value in values:
        horizon = value.horizon_minutes
        assert repo.forecasts.values_at_horizon([uuid], horizon_minutes=horizon)[uuid] == [value]
        assert value in repo.forecasts.latest_values([uuid], min_horizon_minutes=horizon)[uuid]
        assert value not in repo.forecasts.latest_values([uuid], min_horizon_minutes=horizon + 1)[uuid]
    assert len({value.horizon_minutes for value in values}) == 3


ERRORS = [
    PvsiteSqlError("no"),
    InvalidInput("no", column="power_kw", rows=[1, 2], count=9, frame=3, all_rows=[1, 2, 5]),
    NotFound("no site 'x'"),
    ConstraintError("no", constraint_name="sites_pkey"),
    Duplicate("no", constraint_name="sites_pkey"),
    MissingReference("no", constraint_name="site"),
    CheckFailed("no", constraint_name="sites_tilt_check"),
    SchemaOutOfDate("no", pending=["0001.initial-schema"]),
    OutcomeUnknown("no"),
    QueryFileError(Path("sql/x.sql"), 3, "no"),
]


def test_each_kind_of_error_is_among_them():
    def kinds(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind, *[each for derived in kind.__subclasses__() for each in kinds(derived)]}

    public = {kind for kind in kinds(PvsiteSqlError) if kind.__module__ == "pvsite_sql.errors"}
    assert public == {type(error) for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_errors_cross_processes(error, copied):
    other = copied(error)
    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("levels", [{}, {"p10": [0.5, 0.5, 0.5], "p90": [2.0, 2.0, 2.0]}], ids=["plain", "levels"])
def test_results_are_hashable_or_say_that_they_are_not(repo, site, levels):
    repo.forecasts.insert(forecast_frame(site.site_uuid, **levels))
    forecast = repo.forecasts.latest_per_site()[site.site_uuid]
    values = repo.forecasts.values(forecast.forecast_uuid)
    for one, same in [(forecast, repo.forecasts.get(forecast.forecast_uuid)), (values[0], values[0].model_copy())]:
        assert one == same
        if isinstance(one, Hashable):
            assert len({one, same}) == 1
        else:
            with pytest.raises(TypeError, match="unhashable"):
                hash(one)


class TestSites:
    @pytest.mark.parametrize("verb", ["create", "update"])
    @pytest.mark.parametrize(("wrong", "meant"), [("capacity", "capacity_kw"), ("lattitude", "latitude")])
    def test_a_field_that_there_is_not(self, repo, site, verb, wrong, meant):
        call = repo.sites.create if verb == "create" else lambda **f: repo.sites.update(site.site_uuid, **f)
        with pytest.raises(InvalidInput) as refused:
            call(**{wrong: 3})
        assert meant in str(refused.value)
        assert "extra" not in str(refused.value).lower()
        assert refused.value.column == wrong

    def test_a_field_that_nothing_is_like(self, repo):
        with pytest.raises(InvalidInput, match="zzz"):
            repo.sites.create(zzz=3)

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("orientation", 400, ["0", "360"]),
            ("tilt", -1, ["0", "180"]),
            ("latitude", 91, ["-90", "90"]),
            ("longitude", -181, ["-180", "180"]),
            ("capacity_kw", -1, ["0"]),
            ("inverter_capacity_kw", -1, ["0"]),
            ("module_capacity_kw", -1, ["0"]),
        ],
    )
    def test_a_value_out_of_range(self, repo, site, field, value, words):
        for call in (repo.sites.create, lambda **f: repo.sites.update(site.site_uuid, **f)):
            with pytest.raises(CheckFailed) as refused:
                call(**{field: value})
            text = str(refused.value)
            assert "violates" not in text
            assert all(word in text for word in [field, *words]), text
            assert refused.value.constraint_name == f"sites_{field}_check"


class TestRepr:
    """It shows host, database and pool, and never a password."""

    SECRET = "s3cr3t%p"

    def shown(self, repo: Repository) -> str:
        text = f"{repo!r} {repo!s}"
        assert self.SECRET not in text
        assert "s3cr3t" not in text
        assert "pvsite_sql.repository.Repository object at" not in text
        return text

    @pytest.mark.parametrize("where", ["conninfo", "kwargs", "url", "environment", "options"])
    def test_of_an_own_pool(self, dsn, monkeypatch, where):
        said = conninfo_to_dict(dsn)
        options: dict[str, Any] = {}
        if where == "conninfo":
            dsn = make_conninfo(dsn, password=self.SECRET)
        elif where == "kwargs":
            options = {"kwargs": {"password": self.SECRET}}
        elif where == "url":
            dsn = (
                f"postgresql://postgres:s3cr3t%25p@/{said['dbname']}?host={said['host']}&port={said.get('port', 5432)}"
            )
        elif where == "environment":
            monkeypatch.setenv("PGPASSWORD", self.SECRET)
        else:
            dsn = make_conninfo(dsn, sslpassword=self.SECRET)
        with Repository(dsn, min_size=1, max_size=7, **options) as repo:
            text = self.shown(repo)
            assert str(said["host"]) in text
            assert str(said["dbname"]) in text
            assert "7" in text
            with repo.transaction() as tx:
                self.shown(tx)
        self.shown(repo)

    def test_of_a_callers_pool(self, dsn):
        with ConnectionPool(make_conninfo(dsn, password=self.SECRET), name="solar", min_size=1, open=True) as pool:
            text = self.shown(Repository(pool))
            assert str(conninfo_to_dict(dsn)["dbname"]) in text
            assert "solar" in text

    def test_of_one_whose_options_a_function_makes(self, dsn):
        with Repository(dsn, min_size=1, kwargs=lambda: {"password": self.SECRET, "client_encoding": "UTF8"}) as repo:
            self.shown(repo)

    def test_where_the_environment_says_it_all(self, dsn, monkeypatch):
        for name, value in conninfo_to_dict(dsn).items():
            monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), str(value))
        with Repository("", min_size=1) as repo:
            self.shown(repo)
            assert repo.sites.list() == []
