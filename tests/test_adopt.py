"""Taking over databases of pvsite-datamodel: the tables are those that its versions make, see `adopt/`."""

from __future__ import annotations

import csv
import json
import signal
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest
from adopt.olds import (
    BEGIN,
    CLIENT,
    CREATED,
    GROUP,
    LAYOUTS,
    METADATA,
    MODEL,
    OTHER_GROUP,
    OTHER_USER,
    QUARTER,
    SITES,
    USER,
    Old,
)
from commands import called, started, until
from concurrency import BLOCKED, held_up
from conftest import conninfo
from plan_cases import ELSEWHERE
from plan_reading import Plan
from psycopg.types.json import Jsonb

from pvsite_sql import MlModel, NotFound, Repository, SchemaOutOfDate
from pvsite_sql.adopt import adopt as take_over
from pvsite_sql.adopt import adoption
from pvsite_sql.engine import query_connection
from pvsite_sql.engine.queries import load, query
from pvsite_sql.errors import PvsiteSqlError

NOWHERE = UUID(int=0xBAD)


@pytest.fixture
def target(postgresql):
    """The database that takes over: not through a pooler, whose connections take no settings."""
    postgresql.autocommit = True
    return postgresql


@pytest.fixture(params=LAYOUTS)
def any_old(request, empty_database):
    old = Old(empty_database, request.param)
    old.fill()
    return old


@pytest.fixture
def old(empty_database):
    filled = Old(empty_database, "1.2.15")
    filled.fill()
    return filled


def adopted(old, target, *arguments):
    return called("adopt", "--from", conninfo(old.connection), "--dsn", conninfo(target), *arguments)


def report(old, target, **options):
    return take_over(conninfo(old.connection), conninfo(target), **options)


def table(found, name):
    (one,) = (each for each in found.tables if each.name == name)
    return one


def aware(naive):
    return naive.replace(tzinfo=UTC)


def rows(folder, name):
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(target):
    """All rows of all tables, with the transactions that wrote them, and how far the sites' counter is."""
    names = target.execute(
        """
        SELECT c.oid::regclass::text FROM pg_class AS c
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        """
    ).fetchall()
    select = "SELECT t.xmin::text, t.ctid::text, t::text FROM {} AS t ORDER BY 2"
    found = {name: target.execute(select.format(name).encode()).fetchall() for (name,) in names}
    return {**found, "counters": target.execute("SELECT sequencename, last_value FROM pg_sequences").fetchall()}


def test_all_of_it_arrives(any_old, target):
    name = any_old.connection.info.dbname
    any_old.run(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")  # naive times are UTC, wherever it stands
    code, out, err = adopted(any_old, target)
    assert (code, out.splitlines()[-1][:21]) == (0, "Counts and sums agree"), out + err
    with Repository(conninfo(target), min_size=1) as repo:
        sites = repo.sites.list()
        assert [site.site_uuid for site in sites] == SITES
        assert [site.ml_id for site in sites] == [7, 17, 27]
        assert [site.client_site_name for site in sites] == ["site 0", "site 1", "site 2"]
        assert sites[1].capacity_kw == sites[1].inverter_capacity_kw == 4 + 1 / 7
        assert {site.created_utc for site in sites} == {aware(CREATED)}
        assert [site.ml_model_uuid for site in sites] == [None, MODEL if any_old.has_models else None, None]
        assert [site.metadata for site in sites] == [{}, METADATA if any_old.version == "1.2.15" else {}, {}]
        assert repo.sites.create().ml_id == 28
        assert [(group.site_group_uuid, group.site_group_name) for group in repo.site_groups.list()] == [
            (GROUP, "company"),
            (OTHER_GROUP, "ocf"),
        ]
        assert {site.site_uuid for site in repo.sites.list_for_user("b@example.com")} == set(SITES)
        assert repo.sites.list_for_user("a@example.com") == []
        assert repo.users.get("a@example.com").user_uuid == USER
        *inserted, taken_over = repo.sites.history(SITES[0])
        assert (taken_over.operation, taken_over.actor) == ("insert", "adopt")
        assert [(change.operation, change.actor) for change in inserted] == [
            ("insert", "a@example.com")
        ] * any_old.has_models
        assert [len(repo.inverters.list(site_uuid=site)) for site in SITES] == [1, 1, 1]
        assert repo.status.latest().message == "all is well"
        readings = repo.generation.read()
        assert [(reading.site_uuid, reading.start_utc, reading.generation_power_kw) for reading in readings] == [
            (site, aware(BEGIN + slot * QUARTER), number + slot / 7)
            for number, site in enumerate(SITES)
            for slot in range(12)
        ]
        assert {(reading.end_utc - reading.start_utc, reading.created_utc) for reading in readings} == {
            (QUARTER, aware(CREATED))
        }
        forecast = repo.forecasts.get(UUID(int=0xF1))
        assert (forecast.site_uuid, forecast.timestamp_utc) == (SITES[1], aware(BEGIN))
        assert (forecast.created_utc, forecast.forecast_version) == (aware(CREATED), "1")
        assert forecast.resolution_minutes == 15
        assert forecast.power_kw == [0, pytest.approx(1 / 7), None, pytest.approx(3 / 7), pytest.approx(4 / 7)]
        requests = target.execute("SELECT url, user_uuid FROM api_request ORDER BY url").fetchall()
        assert requests == [("/docs", None), ("/sites", USER)]
        if any_old.has_models:
            assert repo.site_groups.get("company").service_level == 1
            assert (sites[1].client_uuid, sites[1].asset_type, sites[1].country) == (CLIENT, "wind", "nl")
            assert [site.active for site in sites] == [True, False, True]
            assert repo.ml_models.list() == [
                MlModel(
                    ml_model_uuid=MODEL,
                    name="a model",
                    version="3",
                    description="No description provided.",
                    created_utc=aware(CREATED),
                )
            ]
            assert forecast.ml_model_uuid == MODEL
            assert forecast.probabilistic_levels == ["p10", "p90"]
            assert forecast.probabilistic_kw[1] == [0, 1, None, 3, 4]
        else:
            assert (forecast.ml_model_uuid, forecast.probabilistic_levels) == (None, None)
            assert {(site.client_uuid, site.asset_type, site.country) for site in sites} == {(None, "pv", "uk")}


def test_each_query_for_the_source_is_run(any_old, target, monkeypatch):
    ran = set()
    monkeypatch.setattr(query_connection, "query", lambda name: ran.add(name) or query(name))
    report(any_old, target)
    tables = any_old.run("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    small = {f"{ELSEWHERE}{name}" for (name,) in tables if name not in ("generation", "forecasts")} & set(load())
    big = ("columns", "generation_ranges", "generation", "forecast_totals", "forecast_ranges", "forecasts")
    assert {name for name in ran if name.startswith(ELSEWHERE)} == small | {ELSEWHERE + name for name in big}
    assert len(small) >= 7


def test_ranges_are_found_by_the_indexes_of_the_source(any_old):
    any_old.run(
        "INSERT INTO generation (generation_uuid, {site_uuid}, start_utc, end_utc, generation_power_kw) "
        f"SELECT gen_random_uuid(), '{SITES[0]}', t, t + interval '1 minute', 1 "
        "FROM generate_series(timestamp '2024-01-01', '2024-01-20', interval '1 minute') AS t"
    )
    any_old.run(
        "INSERT INTO forecasts (forecast_uuid, {site_uuid}, timestamp_utc, forecast_version) "
        f"SELECT gen_random_uuid(), '{SITES[0]}', t, '' "
        "FROM generate_series(timestamp '2024-01-01', '2024-01-20', interval '1 hour') AS t"
    )
    any_old.run(
        "INSERT INTO forecast_values "
        "(forecast_value_uuid, forecast_uuid, start_utc, end_utc, forecast_power_kw, horizon_minutes) "
        "SELECT gen_random_uuid(), forecast_uuid, timestamp_utc, timestamp_utc + interval '1 hour', 1, n "
        "FROM forecasts CROSS JOIN generate_series(1, 50) AS n"
    )
    any_old.run("ANALYZE")
    window = {"start_utc": "2024-01-10", "end_utc": "2024-01-10 02:00"}
    for name, of in (("generation", "generation"), ("forecasts", "forecast_values")):
        explain = b"EXPLAIN (FORMAT JSON) " + query(f"adopt/source_{name}").text
        ((found,),) = any_old.connection.execute(explain, window).fetchall()
        scans = [node for node in Plan(found[0]["Plan"]).nodes if node.get("Relation Name") == of]
        assert [node["Node Type"] for node in scans] in (["Index Scan"], ["Bitmap Heap Scan"]), found


def test_counts_and_sums_are_those_of_the_source(any_old, target):
    found = report(any_old, target)
    assert found.disagreements() == []
    for name, column in (("generation", "generation_power_kw"), ("forecast_values", "forecast_power_kw")):
        ((count, power),) = any_old.run(f"SELECT count(*), sum({column}) FROM {name}")
        assert table(found, name).source_rows == table(found, name).stored_rows == count > 0
        assert float(table(found, name).stored_power_kw) == pytest.approx(power, rel=1e-6)
        ((count, power),) = target.execute(f"SELECT count(*), sum({column}) FROM {name}").fetchall()
        assert count == table(found, name).stored_rows
        assert power == pytest.approx(float(table(found, name).source_power_kw))


def test_a_second_run_changes_nothing(any_old, target):
    first = report(any_old, target)
    before = contents(target)
    assert sum(map(len, before.values())) > 40
    second = report(any_old, target)
    assert contents(target) == before
    assert second.disagreements() == []
    assert [each.stored_rows for each in second.tables] == [each.stored_rows for each in first.tables]
    assert {each.inserted for each in second.tables} == {0}


def test_what_came_since_is_taken_over_by_the_next_run(old, target):
    report(old, target)
    old.reading(SITES[0], BEGIN + timedelta(days=400), 3.5)
    old.value(old.forecast(UUID(int=0xFF), SITES[0], BEGIN + timedelta(days=400)), BEGIN + timedelta(days=400), 1)
    found = report(old, target)
    assert found.disagreements() == []
    assert {each.name: each.inserted for each in found.tables if each.inserted} == {"generation": 1, "forecasts": 1}


def test_ranges_leave_nothing_out(old, target, monkeypatch):
    monkeypatch.setattr(adoption, "GENERATION_RANGE", 5)
    monkeypatch.setattr(adoption, "FORECAST_RANGE", 1)
    old.value(old.forecast(uuid4(), SITES[0], BEGIN + QUARTER), BEGIN, 1)
    told = []
    found = report(old, target, progress=lambda *so_far: told.append(so_far))
    assert found.disagreements() == []
    assert table(found, "generation").inserted == 36
    assert [rows for name, rows, _ in told if name == "generation"] == [0, 12, 24, 36]
    assert [(rows, of) for name, rows, of in told if name == "forecast_values"] == [(0, 0), (0, 0), (12, 13), (13, 13)]


@contextmanager
def held_at(target, lock, query):
    """Hold a lock of the target. Yields two calls: one waits until the adoption waits for it, one releases it."""
    target.execute("SELECT ensure_month_partitions('generation', '{2024-05-01,2024-06-01}')")
    target.execute("SELECT ensure_month_partitions('forecasts', '{2024-05-01}')")
    waiting = f"{BLOCKED} AND query LIKE '%/* {query} */%'".encode()
    with psycopg.connect(conninfo(target)) as other:
        other.execute(f"LOCK TABLE {lock} IN SHARE MODE".encode())
        yield lambda: until(lambda: target.execute(waiting).fetchone()[0]), other.rollback


@pytest.mark.parametrize(
    ("lock", "query", "is_there"),
    [
        ("sites", "adopt/sites_insert", {"users": 2, "sites": 0, "generation": 0, "forecasts": 0}),
        ("generation", "adopt/generation_insert", {"users": 2, "sites": 3, "generation": 0, "forecasts": 0}),
        ("forecasts", "adopt/forecasts_insert", {"users": 2, "sites": 3, "generation": 36, "forecasts": 0}),
    ],
)
def test_a_run_that_was_killed_is_completed_by_the_next(old, target, lock, query, is_there):
    with (
        held_at(target, lock, query) as (wait, _),
        started("adopt", "--from", conninfo(old.connection), "--dsn", conninfo(target)) as child,
    ):
        wait()
        child.send_signal(signal.SIGKILL)
        child.wait()
    until(lambda: not target.execute(BLOCKED.encode()).fetchone()[0])
    assert {
        name: target.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()[0] for name in is_there
    } == is_there
    found = report(old, target)
    assert found.disagreements() == []
    assert table(found, "generation").stored_rows == 36
    assert {each.name for each in found.tables if each.inserted} >= {"forecasts", lock}


@pytest.mark.parametrize("parent", ["generation", "forecasts"])
def test_a_month_that_anothers_open_transaction_has_made_is_waited_for(old, target, monkeypatch, parent):
    target.execute("ALTER FUNCTION ensure_month_partitions SET lock_timeout = '100ms'")  # it waits for two seconds
    waited = Event()
    monkeypatch.setattr(query_connection.QueryConnection, "retried", lambda *_, **__: waited.set())
    with psycopg.connect(conninfo(target)) as other:
        other.execute("SELECT ensure_month_partitions(%s, '{2024-05-01,2024-06-01}')", [parent])

        def release():
            assert waited.wait(20)
            other.rollback()

        (found,) = held_up(target, release, lambda: report(old, target))
    assert table(found, "generation").stored_rows == 36
    assert found.disagreements() == []


def test_the_source_is_seen_as_it_was_at_the_start(old, target):
    with (
        held_at(target, "generation", "adopt/generation_insert") as (wait, release),
        started("adopt", "--from", conninfo(old.connection), "--dsn", conninfo(target)) as child,
    ):
        wait()
        old.reading(SITES[0], BEGIN - QUARTER, 1)
        old.run("DELETE FROM forecast_values")
        release()
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, out + err
    assert target.execute(
        "SELECT (SELECT count(*) FROM generation), (SELECT count(*) FROM forecast_values)"
    ).fetchone() == (
        36,
        12,
    )


def test_the_source_needs_to_be_readable_and_nothing_more(old, target):
    old.run("CREATE ROLE pvsite_sql_adopt_reader LOGIN")
    try:
        old.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO pvsite_sql_adopt_reader")
        source = conninfo(old.connection).replace(f"user={old.connection.info.user}", "user=pvsite_sql_adopt_reader")
        assert take_over(source, conninfo(target)).disagreements() == []
    finally:
        old.run("DROP OWNED BY pvsite_sql_adopt_reader")
        old.run("DROP ROLE pvsite_sql_adopt_reader")


def test_readings_that_have_no_place_are_named(old, target, tmp_path):
    old.run("ALTER TABLE generation DROP CONSTRAINT generation_location_uuid_fkey")
    old.run("ALTER TABLE generation ALTER generation_power_kw DROP NOT NULL")
    site = SITES[0]
    later = BEGIN + timedelta(days=1)
    older, newer, equal = (UUID(int=n) for n in (0x10, 0x11, 0x12))
    old.reading(NOWHERE, later, 1)
    for power in (float("nan"), float("inf"), None):
        old.reading(site, later, power)
        later += QUARTER
    old.reading(site, later, 1, lasts=-QUARTER)
    old.reading(site, later, 1, lasts=timedelta(0))
    for start in ("1969-12-31 23:59", "2100-01-01", "infinity", "-infinity"):
        old.add(
            "generation",
            generation_uuid=uuid4(),
            site_uuid=site,
            start_utc=start,
            end_utc="infinity",
            generation_power_kw=1,
        )
    later += QUARTER
    old.reading(site, later, 7, generation_uuid=newer, lasts=2 * QUARTER, created_utc=CREATED + QUARTER)
    old.reading(site, later, 8, generation_uuid=older)
    old.reading(site, later, 9, generation_uuid=equal, lasts=3 * QUARTER, created_utc=None)
    code, out, err = adopted(old, target, "--rejects", tmp_path / "rejects")
    assert code == 0, out + err
    stored = target.execute(
        "SELECT generation_power_kw FROM generation WHERE start_utc > %s", [aware(BEGIN + timedelta(hours=3))]
    )
    assert stored.fetchall() == [(7,)]
    rejected = rows(tmp_path / "rejects", "generation")
    reasons = [each["reason"] for each in rejected]
    assert {reason: reasons.count(reason) for reason in reasons} == {
        "its site does not exist": 1,
        "its power is NULL, NaN or infinite": 3,
        "its end is not after its start": 2,
        "its start is outside 1970 to 2099": 4,
        "a newer reading has the same site and start": 2,
    }
    assert {UUID(each["generation_uuid"]) for each in rejected if "newer" in each["reason"]} == {older, equal}
    for reason in set(reasons):
        assert f"generation: {reasons.count(reason)} rejected: {reason}" in out
    assert "Rejected and changed rows were written to" in out
    adopted(old, target, "--rejects", tmp_path / "rejects")
    assert len(rows(tmp_path / "rejects", "generation")) == len(rejected)  # not added to


def test_a_reading_without_created_utc_is_stored_as_of_now(old, target):
    old.reading(SITES[0], BEGIN + timedelta(days=1), 1, created_utc=None)
    for _ in range(2):  # again: it is known by its key
        found = report(old, target)
        assert found.disagreements() == []
        assert dict(table(found, "generation").notes) == {"created_utc is NULL: stored with the current time": 1}


def irregular(old):
    """Forecasts that cannot be stored: the reason of each."""
    later = BEGIN + timedelta(days=1)
    minute = timedelta(minutes=1)

    def add(*values, timestamp=later, site=SITES[0], **columns):
        forecast = old.forecast(uuid4(), site, timestamp, forecast_version=str(uuid4())[:8], **columns)
        for start, lasts, power, *more in values:
            old.value(forecast, later + start, power, lasts=lasts, **(more[0] if more else {}))
        return forecast

    good = (0 * minute, QUARTER, 1.0)
    old.run("ALTER TABLE forecasts DROP CONSTRAINT forecasts_location_uuid_fkey")
    old.run("ALTER TABLE forecast_values ALTER forecast_power_kw DROP NOT NULL")
    other = {"ml_model_uuid": MODEL}
    return {
        add(good, site=NOWHERE): "its site does not exist",
        add(good, timestamp="2100-01-01"): "its timestamp is outside 1970 to 2099",
        add(good, timestamp="infinity"): "its timestamp is outside 1970 to 2099",
        add(): "it has no values",
        add(good, (QUARTER, QUARTER, 1, other)): "its values have several models",
        add(good, (QUARTER, QUARTER, float("nan"))): "a value is NULL, NaN or infinite",
        add(good, (QUARTER, QUARTER, None)): "a value is NULL, NaN or infinite",
        add(good, (QUARTER, QUARTER, 1e39)): "a value is NULL, NaN or infinite",
        add(good, (timedelta(days=30_000), QUARTER, 1)): "a value is outside 1970 to 2099",
        add(good, (QUARTER, -QUARTER, 1)): "the end of a value is not after its start",
        add(good, (QUARTER, 2 * QUARTER, 1)): "its values have different durations",
        add(good, good): "two values have the same start",
        add((0 * minute, minute / 2, 1)): "the duration of its values is not 1 to 1440 whole minutes",
        add((0 * minute, 1441 * minute, 1)): "the duration of its values is not 1 to 1440 whole minutes",
        add(good, (minute, QUARTER, 1)): "its values are not on one time grid",
        add((0 * minute, minute, 1), (100_000 * minute, minute, 1)): "it has more than 100000 slots",
        add(
            (*good, {"probabilistic_values": {"p10": "much"}})
        ): "its probabilistic values are not an object of numbers",
        add((*good, {"probabilistic_values": {"p10": 1e300}})): "its probabilistic values are not an object of numbers",
    }


def test_forecasts_that_have_no_place_are_named_and_left_out_whole(old, target, tmp_path):
    reasons = irregular(old)
    code, out, err = adopted(old, target, "--rejects", tmp_path)
    assert code == 0, out + err
    assert target.execute("SELECT count(*) FROM forecasts").fetchone() == (3,)
    rejected = rows(tmp_path, "forecasts")
    assert {UUID(each["forecast_uuid"]): each["reason"] for each in rejected} == reasons
    ((values,),) = old.run("SELECT count(*) FROM forecast_values")
    assert sum(each["start_utc"] != "" for each in rejected) == values - 12
    assert "forecasts: 1 rejected: its values have several models" in out
    assert "forecast_values: 2 rejected: its values have several models" in out


def test_odd_forecasts_that_have_a_place(old, target):
    day = BEGIN + timedelta(days=1)
    long = old.forecast(uuid4(), SITES[0], day, forecast_version="long")
    old.value(long, day, -1, lasts=timedelta(minutes=1), probabilistic_values={"p10": None, "p2": 1e-300, "p100": 5})
    old.value(long, day + timedelta(minutes=99_999), 1e-300, lasts=timedelta(minutes=1))
    daily = old.forecast(uuid4(), SITES[0], day, forecast_version="daily", created_utc=None)
    for number in range(3):
        old.value(daily, day + timedelta(days=number), 3.4e38, lasts=timedelta(days=1))
    found = report(old, target)
    assert found.disagreements() == []
    with Repository(conninfo(target), min_size=1) as repo:
        stored = repo.forecasts.get(long)
        assert (len(stored.power_kw), stored.power_kw[0], stored.power_kw[-1]) == (100_000, -1, 0)
        assert stored.probabilistic_levels == ["p2", "p100"]
        assert (stored.probabilistic_kw[0][0], stored.probabilistic_kw[1][:2]) == (0, [5, None])
        assert repo.forecasts.get(daily).resolution_minutes == 1440


def test_of_two_forecasts_of_one_key_the_newest_is_stored(old, target):
    newest, oldest, unknown = (UUID(int=n) for n in (0xF10, 0xF11, 0xF12))
    for forecast, created in ((newest, CREATED + QUARTER), (oldest, CREATED - QUARTER), (unknown, None)):
        old.value(old.forecast(forecast, SITES[0], BEGIN, created_utc=created), BEGIN, 1, ml_model_uuid=MODEL)
    found = report(old, target)
    assert found.disagreements() == []
    assert dict(table(found, "forecasts").rejected) == {
        "a newer forecast has the same site, timestamp, model and version": 3
    }
    stored = target.execute("SELECT forecast_uuid FROM forecasts WHERE site_uuid = %s", [SITES[0]]).fetchall()
    assert stored == [(newest,)]


def test_values_of_a_forecast_that_is_not_there_do_not_go_unnoticed(old, target):
    old.run("ALTER TABLE forecast_values DROP CONSTRAINT forecast_values_forecast_uuid_fkey")
    old.value(NOWHERE, BEGIN, 1)
    code, out, _ = adopted(old, target)
    assert code == 1
    assert "forecast_values: 12 of 13 rows are accounted for." in out


def test_what_is_stored_already_stays_and_conflicts_are_named(old, target, tmp_path):
    with Repository(conninfo(target), min_size=1) as repo:
        report(old, target)
        target.execute("UPDATE generation SET generation_power_kw = 99 WHERE site_uuid = %s", [SITES[2]])
        target.execute("UPDATE forecasts SET created_utc = now() WHERE site_uuid = %s", [SITES[2]])
        repo.users.set_site_group("a@example.com", site_group_name="ocf")
        repo.sites.update(SITES[0], tilt=45)
        repo.sites.update(SITES[1], metadata={**METADATA, "more": 1})
        repo.sites.update(SITES[2], metadata={"more": 1})
        before = contents(target)
        code, out, _ = adopted(old, target, "--rejects", tmp_path)
        assert code == 1
        assert contents(target) == before
    said = out.splitlines()[-1]
    assert said.startswith(
        "The databases disagree. users: 1 rows are already stored with different values. sites: 3 rows"
    )
    assert "generation: 12 rows are already stored with different values." in said
    assert "forecasts: 1 rows are already stored with different values." in said
    assert {each["outcome"] for each in rows(tmp_path, "generation")} == {"conflict"}
    assert {each["stored_power_kw"] for each in rows(tmp_path, "generation")} == {"99.0"}
    assert len(rows(tmp_path, "forecasts")) == 4  # its values
    assert len(rows(tmp_path, "sites")) == 3
    (user,) = rows(tmp_path, "users")
    assert str(GROUP) in user["document"]
    assert str(OTHER_GROUP) in user["stored"]


def test_a_forecast_whose_model_has_changed_in_the_source_is_a_conflict(old, target):
    report(old, target)
    before = contents(target)
    old.run("UPDATE forecast_values SET ml_model_uuid = NULL WHERE ml_model_uuid IS NOT NULL")
    found = table(report(old, target), "forecasts")
    assert (found.inserted, found.conflicts > 0) == (0, True)
    assert contents(target) == before


def test_names_that_are_there_under_another_id_stand_for_those_that_come(old, target):
    with Repository(conninfo(target), min_size=1) as repo:
        group = repo.site_groups.create("ocf")
        repo.site_groups.create("third")
        user = repo.users.create("b@example.com", site_group_name="ocf")
        other = repo.users.create("a@example.com", site_group_name="third")
        model = repo.ml_models.get_or_create("a model", version="3")
        client = repo.clients.get_or_create("a client")
        found = report(old, target)
        assert {site.site_uuid for site in repo.site_groups.sites("ocf")} == set(SITES)
        site = repo.sites.get(SITES[1])
        assert (site.client_uuid, site.ml_model_uuid) == (client.client_uuid, model.ml_model_uuid)
        then = repo.sites.get_as_of(SITES[1], at_utc=aware(CREATED))
        assert (then.client_uuid, then.ml_model_uuid) == (client.client_uuid, model.ml_model_uuid)
        assert repo.forecasts.get(UUID(int=0xF0)).ml_model_uuid == model.ml_model_uuid
        assert [each.user_uuid for each in repo.site_groups.users("ocf")] == [user.user_uuid]
        assert repo.site_groups.get("ocf").site_group_uuid == group.site_group_uuid
    assert target.execute("SELECT user_uuid FROM api_request WHERE url = '/sites'").fetchone() == (other.user_uuid,)
    # whose group there is another one: nobody is moved
    assert found.disagreements() == ["users: 1 rows are already stored with different values."]
    for name in ("clients", "site_groups", "users", "ml_models"):
        assert any("with another id, which is used" in note for note in table(found, name).notes), name
    before = contents(target)
    report(old, target)
    assert contents(target) == before


def test_models_of_one_name_and_version_become_one(old, target):
    second, nameless = UUID(int=0xD2), UUID(int=0xD3)
    old.add("ml_model", model_uuid=second, name="a model", version="3", created_utc=CREATED + QUARTER)
    old.add("ml_model", model_uuid=nameless, name=None, version=None)
    for number, model in enumerate((second, nameless)):
        old.value(old.forecast(UUID(int=0xF8 + number), SITES[0], BEGIN + QUARTER), BEGIN, 1, ml_model_uuid=model)
    found = report(old, target)
    assert found.disagreements() == []
    stored = target.execute(
        "SELECT forecast_uuid, ml_model_uuid FROM forecasts WHERE timestamp_utc = %s", [aware(BEGIN + QUARTER)]
    )
    assert dict(stored.fetchall()) == {UUID(int=0xF8): MODEL, UUID(int=0xF9): nameless}
    assert target.execute("SELECT ml_model_uuid, name, version FROM ml_models ORDER BY 1").fetchall() == [
        (MODEL, "a model", "3"),
        (nameless, "", ""),
    ]


def test_sites_are_kept_whatever_is_odd_about_them(old, target, tmp_path):
    with Repository(conninfo(target), min_size=1) as repo:
        taken = repo.sites.create()  # ml_id 1
        twin, far, region = (UUID(int=n) for n in (4, 5, 6))
        old.add("sites", site_uuid=twin, ml_id=7, active=True, created_utc=CREATED + QUARTER)
        wrong = {"latitude": 91, "longitude": float("nan"), "tilt": -1, "capacity_kw": -5}
        old.add("sites", site_uuid=far, ml_id=taken.ml_id, active=True, **wrong)
        more = {"location_type": "region", "location_metadata": {"name": "north"}, "ml_model_uuid": MODEL}
        old.add("sites", site_uuid=region, ml_id=100, country=None, active=None, **more)
        old.add(
            "location_locations", location_location_uuid=uuid4(), location_parent_uuid=region, location_child_uuid=twin
        )
        for _ in range(2):
            code, out, err = adopted(old, target, "--rejects", tmp_path)
            assert code == 0, out + err
            sites = {site.site_uuid: site for site in repo.sites.list()}
            assert (sites[SITES[0]].ml_id, sites[region].ml_id) == (7, 100)
            assert {sites[twin].ml_id, sites[far].ml_id} == {101, 102}
            assert {sites[far].latitude, sites[far].longitude, sites[far].tilt, sites[far].capacity_kw} == {None}
            assert (sites[region].country, sites[region].active) == ("uk", True)
            assert (sites[region].metadata, sites[region].ml_model_uuid) == ({"name": "north"}, MODEL)
    notes = {UUID(json.loads(each["document"])["location_uuid"]): each["note"] for each in rows(tmp_path, "sites")}
    assert notes[twin] == "another site has its ml_id: a new one is used"
    assert notes[far] == (
        "tilt out of range: stored as NULL; latitude out of range: stored as NULL; "
        "longitude out of range: stored as NULL; capacity_kw out of range: stored as NULL; "
        "another site has its ml_id: a new one is used"
    )
    assert notes[region] == (
        "country is NULL: stored as uk; active is NULL: stored as true; location_type region: stored as a site"
    )
    assert "location_locations: 1 rejected: sites cannot contain other sites" in out
    assert [each["outcome"] for each in rows(tmp_path, "location_locations")] == ["rejected"]


def test_a_site_is_kept_without_a_model_or_metadata_that_cannot_be(old, target, tmp_path):
    old.run("ALTER TABLE locations DROP CONSTRAINT locations_ml_model_uuid_fkey")
    odd = [Jsonb([{"a": 1}]), Jsonb("a"), Jsonb(None), Jsonb({})]
    sites = [UUID(int=n) for n in range(4, 8)]
    for site, metadata in zip(sites, odd, strict=True):
        old.add(
            "sites",
            site_uuid=site,
            ml_id=100 + site.int,
            ml_model_uuid=NOWHERE,
            location_metadata=metadata,
            active=True,
        )
        old.change(site, "INSERT")
    for _ in range(2):
        code, out, err = adopted(old, target, "--rejects", tmp_path)
        assert code == 0, out + err
    with Repository(conninfo(target), min_size=1) as repo:
        for site in repo.sites.list(sites):
            assert (site.ml_model_uuid, site.metadata, site.ml_id) == (None, {}, 100 + site.site_uuid.int)
            assert repo.sites.get_as_of(site.site_uuid, at_utc=aware(CREATED)).metadata == {}
    notes = {UUID(json.loads(each["document"])["location_uuid"]): each["note"] for each in rows(tmp_path, "sites")}
    lost = "its model was not copied: stored without it"
    shapeless = f"location_metadata is not an object: stored without it; {lost}"
    assert [notes[site] for site in sites] == [shapeless, shapeless, lost, lost]


@pytest.mark.parametrize("version", ["1.0.58", "1.2.15"])
def test_the_history_of_the_sites_is_taken_over(empty_database, target, version):
    old = Old(empty_database, version)
    old.fill()
    with Repository(conninfo(target), min_size=1) as repo:
        client = target.execute(
            "INSERT INTO clients (client_name) VALUES ('a client') RETURNING client_uuid"
        ).fetchone()
        model = repo.ml_models.get_or_create("a model", version="3").ml_model_uuid
        day = timedelta(days=1)
        old.run("UPDATE {sites} SET capacity_kw = 5, dno = 'north' WHERE ml_id = 17")
        old.change(SITES[1], "UPDATE", CREATED + day)  # two in one transaction, by nobody who is known
        old.run("UPDATE {sites} SET capacity_kw = 6 WHERE ml_id = 17")
        old.change(SITES[1], "UPDATE", CREATED + day, by=OTHER_USER)
        older, gone = UUID(int=4), UUID(int=5)
        for number, site in enumerate((older, gone)):
            old.add("sites", site_uuid=site, ml_id=100 + number, active=True)
        old.change(older, "UPDATE", CREATED + day)
        old.change(gone, "INSERT", CREATED)
        old.change(gone, "DELETE", CREATED + day)
        old.run("DELETE FROM {sites} WHERE ml_id = 101")

        assert report(old, target).disagreements() == []
        first, grown, again, adopted_ = repo.sites.history(SITES[1])
        changes = [(change.operation, change.actor) for change in (first, grown, again, adopted_)]
        assert changes[:2] == [("insert", "a@example.com"), ("update", None)]
        assert changes[2:] == [("update", "b@example.com"), ("insert", "adopt")]
        assert [change.changed_utc for change in (first, grown, again)] == [aware(CREATED + n * day) for n in (0, 1, 1)]
        assert (grown.old_row, again.old_row) == (first.new_row, grown.new_row)
        assert again.new_row == {**grown.new_row, "capacity_kw": 6}
        assert {change.database_user for change in (first, grown, again)} == {"(pvsite-datamodel)"}
        assert [change.operation for change in repo.sites.history(older)] == ["baseline", "insert"]
        assert [change.operation for change in repo.sites.history(gone)] == ["insert", "delete"]

        then = repo.sites.get_as_of(SITES[1], at_utc=aware(CREATED + day / 2))
        assert (then.capacity_kw, then.dno, then.client_site_name, then.client_site_id) == (
            4 + 1 / 7,
            None,
            "site 1",
            1,
        )
        assert (then.client_uuid, then.created_utc, then.active) == (*client, aware(CREATED), False)
        assert (then.ml_model_uuid, then.metadata) == (model, METADATA if version == "1.2.15" else {})
        last = repo.sites.get(SITES[1]).model_copy(update={"inverter_capacity_kw": None})  # made up by an insert here
        assert repo.sites.get_as_of(SITES[1], at_utc=aware(CREATED + 2 * day)) == last
        assert repo.sites.get_as_of(gone, at_utc=aware(CREATED + day / 2)).ml_id == 101
        with pytest.raises(NotFound):
            repo.sites.get_as_of(gone, at_utc=aware(CREATED + 2 * day))

    before = contents(target)
    assert report(old, target).disagreements() == []
    assert contents(target) == before

    old.run("UPDATE {sites} SET client_uuid = NULL, ml_model_uuid = NULL")
    old.run("ALTER TABLE forecast_values DROP CONSTRAINT forecast_values_ml_model_uuid_fkey")
    old.run("DELETE FROM clients")  # a client or a model that goes takes its id here along
    old.run("DELETE FROM ml_model")
    assert table(report(old, target), "site_history").inserted == 0


def test_a_change_of_a_site_that_cannot_be_right_or_came_too_late_is_named(old, target, tmp_path):
    old.change(SITES[0], "TRUNCATE")
    old.change(SITES[0], "UPDATE", None)
    for data in ({}, {"location_uuid": str(SITES[1])}):
        made = {"site_history_uuid": uuid4(), "site_uuid": SITES[0], "site_data": data, "operation_type": "UPDATE"}
        old.add("sites_history", **made)
    old.change(NOWHERE, "UPDATE")  # of no site: nothing
    for when, why in (("first", None), ("second", "it is not older than the history of the site in this database")):
        code, out, err = adopted(old, target, "--rejects", tmp_path)
        assert code == 0, out + err
        wrong = ["it has no time", "its operation is not insert, update or delete", "its data is not a row of its site"]
        wrong += ["its data is not a row of its site", *([why] if why else [])]
        assert sorted(each["reason"] for each in rows(tmp_path, "site_history")) == sorted(wrong), when
        assert "changed: the row before" not in out, when
        with Repository(conninfo(target), min_size=1) as repo:
            assert [change.operation for change in repo.sites.history(SITES[0])] == ["insert", "insert"]
        old.change(SITES[0], "UPDATE", datetime.now(UTC).replace(tzinfo=None))


@pytest.mark.parametrize("version", ["1.0.58", "1.2.15"])
def test_a_row_in_the_history_that_could_be_no_site_is_rejected(empty_database, target, version):
    old = Old(empty_database, version)
    old.fill()
    ((row,),) = old.run(f"SELECT to_jsonb(s) FROM {{sites}} AS s WHERE {{site_uuid}} = '{SITES[0]}'")
    client_site_id, client_site_name = old.name("client_site_id"), old.name("client_site_name")
    wrong = [{"ml_id": None}, {"ml_id": 1.5}, {"ml_id": 3_000_000_000}, {client_site_id: "a"}, {"capacity_kw": "four"}]
    wrong += [{"tilt": {}}, {"latitude": 10**309}, {"active": "maybe"}, {"client_uuid": "a"}, {"created_utc": 5}]
    wrong += [{"created_utc": "infinity"}, {"ml_model_uuid": "a"}]
    no_rows = [[1], 5, "a", True, None, {}, {old.name("site_uuid"): str(SITES[0])}]
    no_rows += [{**row, **each} for each in wrong]
    right = [
        {"latitude": "NaN", "capacity_kw": "Infinity"},
        {client_site_id: None, client_site_name: None, "country": None, "asset_type": None, "active": None},
        {"created_utc": None},
        {"created_utc": "2024-01-01T00:00:00+01:00"},
    ]
    days = [CREATED + timedelta(days=day) for day in range(1, 1 + len(no_rows) + len(right))]
    for day, data in zip(days, [*no_rows, *({**row, **each} for each in right)], strict=True):
        change = {"site_history_uuid": uuid4(), "site_uuid": SITES[0], "site_data": Jsonb(data), "created_utc": day}
        old.add("sites_history", **change, operation_type="UPDATE")
    old.change(SITES[0], "UPDATE", datetime(2099, 1, 1))  # noqa: DTZ001
    found = report(old, target)
    assert found.disagreements() == []
    assert table(found, "site_history").rejected == {
        "its data is not a row of its site": len(no_rows),
        "its time is in the future": 1,
    }
    assert table(found, "site_history").notes == {
        "the row before the update is unknown: stored as a baseline": 1,
        "created_utc of the site is unknown: the time of the change is used": 1,
    }
    with Repository(conninfo(target), min_size=1) as repo:
        assert [change.operation for change in repo.sites.history(SITES[0])] == [
            *("insert", "baseline", "update", "update", "update", "insert")
        ]
        then = [repo.sites.get_as_of(SITES[0], at_utc=aware(day)) for day in days]
    assert then[len(no_rows) - 1].capacity_kw == 4
    assert [site.capacity_kw for site in then[-4:]] == [float("inf"), 4, 4, 4]
    assert [(site.client_site_name, site.asset_type, site.active) for site in then[-3:-1]] == [
        (None, "pv", True),
        ("site 0", "pv", True),
    ]
    assert [site.created_utc for site in then[-2:]] == [aware(days[-2]), datetime(2023, 12, 31, 23, tzinfo=UTC)]
    before = contents(target)
    report(old, target)
    assert contents(target) == before


def test_small_rows_that_have_no_place_are_named(old, target, tmp_path):
    old.run("ALTER TABLE users DROP CONSTRAINT users_location_group_uuid_fkey")
    old.run("ALTER TABLE inverters DROP CONSTRAINT inverters_location_uuid_fkey")
    old.run("ALTER TABLE location_group_locations DROP CONSTRAINT location_group_locations_location_uuid_fkey")
    nobody = uuid4()
    unnamed = uuid4()
    old.add("users", user_uuid=nobody, email=None, site_group_uuid=GROUP)
    old.add("users", user_uuid=uuid4(), email="c@example.com", site_group_uuid=NOWHERE)
    old.add("site_groups", site_group_uuid=unnamed, site_group_name=None)
    old.add("site_group_sites", site_group_site_uuid=uuid4(), site_group_uuid=unnamed, site_uuid=SITES[0])
    old.add("site_group_sites", site_group_site_uuid=uuid4(), site_group_uuid=GROUP, site_uuid=NOWHERE)
    old.add("inverters", inverter_uuid=uuid4(), site_uuid=NOWHERE)
    old.add("status", status_uuid=uuid4(), status=None, message="x")
    old.add("status", status_uuid=uuid4(), status="ok", message=None)
    old.add("api_request", uuid=uuid4(), url=None)
    old.add("api_request", uuid=uuid4(), url="/of-nobody", user_uuid=nobody)
    code, out, err = adopted(old, target, "--rejects", tmp_path)
    assert code == 0, out + err
    for said in (
        "users: 1 rejected: it has no email",
        "users: 1 rejected: its group was not copied",
        "site_groups: 1 rejected: it has no name",
        "site_group_sites: 1 rejected: its group was not copied",
        "site_group_sites: 1 rejected: its site does not exist",
        "inverters: 1 rejected: its site does not exist",
        "status: 1 rejected: it has no status",
        "status: 1 rejected: it has no message",
        "api_request: 1 rejected: it has no url",
        "api_request: 1 changed: its user was not copied: stored without a user",
    ):
        assert said in out.splitlines()
    assert len(rows(tmp_path, "users")) == len(rows(tmp_path, "status")) == len(rows(tmp_path, "api_request")) == 2
    assert not (tmp_path / "generation.csv").exists()


def test_tables_and_columns_of_others_are_named(old, target):
    old.run("CREATE TABLE weather (at timestamp); ALTER TABLE locations ADD COLUMN colour text")
    old.run("CREATE TABLE alembic_version (version_num varchar(32))")
    code, out, _ = adopted(old, target)
    assert (code, "Ignored: table weather, column locations.colour." in out) == (0, True)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE forecast_values", "missing tables: forecast_values"),
        ("DROP TABLE location_group_locations", "missing tables: location_group_locations"),
        (
            "CREATE TABLE sites (a int); CREATE TABLE site_groups (a int); CREATE TABLE site_group_sites (a int)",
            "both tables, sites and",
        ),
        (
            "ALTER TABLE generation RENAME location_uuid TO place_uuid",
            "generation has neither site_uuid nor location_uuid",
        ),
    ],
)
def test_another_database_is_refused(old, target, statement, said):
    old.run(statement)
    before = contents(target)
    with pytest.raises(PvsiteSqlError, match=said):
        report(old, target)
    assert contents(target) == before


def test_a_database_of_this_package_is_no_source(target):
    dsn = conninfo(target)
    code, out, err = called("adopt", "--from", dsn, "--dsn", dsn)
    assert (code, out) == (1, "")
    assert "is not a database of pvsite-datamodel" in err


def test_a_target_without_migrations_is_refused(old, bare):
    dsn = conninfo(old.connection)
    with pytest.raises(SchemaOutOfDate, match="pvsite-sql migrate"):
        take_over(dsn, dsn)


def test_an_empty_source_is_taken_over_too(empty_database, target):
    found = report(Old(empty_database, "1.0.6"), target)
    assert found.disagreements() == []
    assert {each.source_rows for each in found.tables} == {0}


def test_a_wrong_call_is_told_so(target):
    code, _, err = called("adopt", "--dsn", conninfo(target))
    assert (code, "--from" in err) == (2, True)
    code, _, err = called("adopt", "--from", "nonsense", "--dsn", conninfo(target))
    assert (code, "Invalid DSN" in err) == (2, True)


def test_times_are_those_of_utc(old, target):
    report(old, target)
    first = target.execute("SELECT min(start_utc) FROM generation").fetchone()[0]
    assert first == datetime(2024, 5, 31, 22, tzinfo=UTC)


def test_the_other_user_is_in_the_other_group(old, target):
    report(old, target)
    assert target.execute("SELECT site_group_uuid FROM users WHERE user_uuid = %s", [OTHER_USER]).fetchone() == (
        OTHER_GROUP,
    )
