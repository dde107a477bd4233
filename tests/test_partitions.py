"""The month partitions of `generation`: created when they are missing, by any program, without blocking others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from time import monotonic, sleep
from uuid import UUID, uuid4

import pandas as pd
import psycopg
import pytest
from commands import until
from concurrency import SECONDS, concurrently, held_up
from conftest import reading_frame
from forecast_cases import forecast_frame
from psycopg import sql

from pvsite_sql import CallLimits, InsertResult, Limits, MissingReference, Repository
from pvsite_sql.engine import partitions
from pvsite_sql.engine.session import QueryConnection

MONTHS = """
    SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'generation'::regclass AND NOT i.inhdetachpending ORDER BY c.relname
"""
ENSURE = "SELECT ensure_month_partitions(%s, %s::date[])"
IMPATIENT = {"options": "-c lock_timeout=5s"}


@pytest.fixture
def admin(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def names(admin: psycopg.Connection) -> list[str]:
    return [name for (name,) in admin.execute(MONTHS)]


def ensure(admin: psycopg.Connection, *months: str, parent: str = "generation") -> list[str]:
    row = admin.execute(ENSURE, [parent, list(months)]).fetchone()
    assert row is not None
    return list(row[0])


def months_of(site_uuid: UUID, *starts: str, rows: int = 2) -> list[pd.DataFrame]:
    return [reading_frame(site_uuid, start=start, rows=rows) for start in starts]


def test_are_made_when_they_are_missing(repo, site, admin):
    assert names(admin) == []
    repo.generation.insert(reading_frame(site.site_uuid, start="2024-06-30T23:50", rows=4))
    assert names(admin) == ["generation_p2024_06", "generation_p2024_07"]
    repo.generation.insert(pd.concat(months_of(site.site_uuid, "2024-06-02", "2023-12-31", "1970-01-01", "2099-12-01")))
    assert names(admin) == [f"generation_p{m}" for m in ("1970_01", "2023_12", "2024_06", "2024_07", "2099_12")]
    repo.generation.insert(months_of(site.site_uuid, "2024-07-05", "2024-09-01", "2024-08-01"))
    assert names(admin)[-3:] == ["generation_p2024_08", "generation_p2024_09", "generation_p2099_12"]


def test_a_detached_month_is_gone_from_older_snapshots_that_have_not_used_the_table(dsn, repo, site, admin):
    repo.generation.insert(months_of(site.site_uuid, "2024-06-01", "2024-07-01", rows=2))
    counted = "SELECT count(*) FROM generation"
    with psycopg.connect(dsn) as user, psycopg.connect(dsn) as latecomer:
        for connection, used in ((user, "generation"), (latecomer, "sites")):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(used)))

        def leave():
            assert user.execute(counted).fetchone() == (4,)
            user.commit()

        detach = "ALTER TABLE generation DETACH PARTITION generation_p2024_06 CONCURRENTLY"
        with psycopg.connect(dsn, autocommit=True) as other:
            held_up(admin, leave, lambda: other.execute(detach))
        assert latecomer.execute(counted).fetchone() == (2,)
    assert names(admin) == ["generation_p2024_07"]


def test_of_a_long_history_are_made_at_once(repo, site, admin):
    starts = pd.date_range("2010-01-15", periods=130, freq="MS", tz="UTC", unit="us")
    frame = pd.DataFrame({"site_uuid": site.site_uuid, "start_utc": starts, "power_kw": 1.0})
    assert repo.generation.insert(frame) == InsertResult(inserted=130)
    assert len(names(admin)) == 130


def test_are_not_made_for_nothing(repo, site, admin):
    frame = reading_frame(site.site_uuid)
    repo.generation.insert(frame.iloc[:0])
    repo.generation.insert([frame.iloc[:0], frame.iloc[:0]])
    repo.generation.read_frame(start_utc=datetime(2024, 6, 1, tzinfo=UTC))
    for bad in (frame.assign(power_kw=None), [frame.assign(power_kw=None), frame]):
        with pytest.raises(ValueError, match="no value"):
            repo.generation.insert(bad)
    assert names(admin) == []
    with pytest.raises(ValueError, match="frame 1"):
        repo.generation.insert([frame, reading_frame(site.site_uuid, start="2024-07-01").assign(power_kw=None)])
    assert names(admin) == ["generation_p2024_06"]


def test_begin_and_end_in_utc_whatever_the_time_zone(dsn, admin):
    admin.execute(f"ALTER DATABASE \"{admin.info.dbname}\" SET timezone = 'America/Denver'")
    with Repository(dsn, min_size=1) as repo:
        site = repo.sites.create().site_uuid
        repo.generation.insert(reading_frame(site, start="2024-06-30T23:55", rows=2))
    rows = admin.execute("SELECT tableoid::regclass::text, start_utc AT TIME ZONE 'UTC' FROM generation ORDER BY 2")
    assert rows.fetchall() == [
        ("generation_p2024_06", datetime(2024, 6, 30, 23, 55)),  # noqa: DTZ001  without a zone, as asked for
        ("generation_p2024_07", datetime(2024, 7, 1)),  # noqa: DTZ001  too
    ]


class TestFunction:
    def test_returns_the_names_of_those_that_were_missing(self, admin):
        assert ensure(admin, "2024-07-31", "2024-06-01", "2024-06-30") == ["generation_p2024_06", "generation_p2024_07"]
        assert ensure(admin, "2024-06-15", "2024-08-01") == ["generation_p2024_08"]
        assert ensure(admin, "2024-06-15") == ensure(admin) == []
        assert ensure(admin, "2024-06-15", parent="forecasts") == ["forecasts_p2024_06"]

    @pytest.mark.parametrize("month", ["1969-12-31", "2100-01-01", "0001-01-01", "infinity", "-infinity", None])
    def test_refuses_months_outside_of_1970_to_2099(self, admin, month):
        with pytest.raises(psycopg.errors.DatetimeFieldOverflow, match="a month outside of 1970 to 2099"):
            ensure(admin, "2024-06-01", month)
        assert names(admin) == []
        assert len(ensure(admin, "1970-01-01", "2099-12-31")) == 2

    @pytest.mark.parametrize("parent", ["sites", "generation_p2024_06", "nothing", "generation; DROP TABLE sites", ""])
    def test_refuses_other_tables(self, admin, parent):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="has no month partitions"):
            ensure(admin, "2024-06-01", parent=parent)

    def test_gives_each_partition_what_its_table_has(self, admin):
        ensure(admin, "2024-06-01")
        for listed, catalog, table in (
            ("tgname, tgfoid, tgtype, tgattr::text, tgnewtable", "pg_trigger", "tgrelid"),
            ("conname, pg_get_constraintdef(oid)", "pg_constraint", "contype = 'c' AND conrelid"),
            ("attname, atttypid, attnotnull", "pg_attribute", "attnum > 0 AND attrelid"),
            ("indkey::text, indisunique, indisprimary", "pg_index", "indrelid"),
        ):
            asked = f"SELECT {listed} FROM {catalog} WHERE {table} = %s::regclass ORDER BY 1"
            of_table = admin.execute(asked, ["generation"]).fetchall()
            assert admin.execute(asked, ["generation_p2024_06"]).fetchall() == of_table != []

    def test_takes_no_lock_where_there_is_nothing_to_do(self, dsn, admin):
        ensure(admin, "2024-06-01")
        with psycopg.connect(dsn) as other:
            other.execute("LOCK TABLE generation IN SHARE UPDATE EXCLUSIVE MODE")
            admin.execute("SET statement_timeout = '5s'")
            assert ensure(admin, "2024-06-01") == []
            with pytest.raises(psycopg.errors.LockNotAvailable):
                ensure(admin, "2024-07-01")


class TestOthersPartitions:
    def test_a_year_counts_for_its_months(self, repo, site, admin):
        admin.execute(f"ALTER DATABASE \"{admin.info.dbname}\" SET datestyle = 'German, DMY'")
        admin.execute("SET timezone = 'Asia/Tokyo'")
        admin.execute("CREATE TABLE y30 PARTITION OF generation FOR VALUES FROM ('2030-01-01Z') TO ('2031-01-01Z')")
        repo.generation.insert(months_of(site.site_uuid, "2030-01-01", "2030-06-01", "2030-12-31T23:55"))
        assert names(admin) == ["generation_p2031_01", "y30"]

    def test_so_do_weeks_and_open_ends(self, repo, site, admin):
        for first in range(0, 35, 7):
            bounds = [(datetime(2029, 12, 31) + timedelta(first + days)).strftime("%Y-%m-%d 00:00Z") for days in (0, 7)]  # noqa: DTZ001  text
            admin.execute(
                f"CREATE TABLE w{first} PARTITION OF generation FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
            )
        admin.execute("CREATE TABLE old PARTITION OF generation FOR VALUES FROM (MINVALUE) TO ('1990-01-01Z')")
        admin.execute("CREATE TABLE new PARTITION OF generation FOR VALUES FROM ('2031-01-01Z') TO (MAXVALUE)")
        before = names(admin)
        repo.generation.insert(months_of(site.site_uuid, "2030-01-31T12:00", "1989-12-31", "2050-01-01"))
        assert names(admin) == before
        with pytest.raises(
            psycopg.errors.InvalidObjectDefinition, match="generation_p2030_02"
        ):  # the last week is in it
            repo.generation.insert(reading_frame(site.site_uuid, start="2030-02-10"))

    def test_a_table_of_the_name_that_is_no_partition_is_named(self, repo, site, admin):
        frame = reading_frame(site.site_uuid)
        repo.generation.insert(frame)
        admin.execute("ALTER TABLE generation DETACH PARTITION generation_p2024_06")
        with pytest.raises(psycopg.errors.DuplicateTable, match="generation_p2024_06") as caught:
            repo.generation.insert(frame)
        assert any("ensure_partitions.sql" in note for note in caught.value.__notes__)
        assert repo.generation.insert(reading_frame(site.site_uuid, start="2024-07-01")) == InsertResult(inserted=12)
        admin.execute("DROP TABLE generation_p2024_06")
        assert repo.generation.insert(frame) == InsertResult(inserted=12)


class TestInNobodysWay:
    @pytest.mark.parametrize("makers", [2, 8])
    def test_makers_of_one_month_beside_a_writer_and_a_reader(self, repo, site, admin, makers):
        frame = reading_frame(site.site_uuid)
        repo.generation.insert(frame)

        def make(number: int) -> list[InsertResult]:
            return [
                repo.generation.insert(reading_frame(site.site_uuid, start=f"2025-{month:02}-{number:02}"))
                for month in range(1, 7)
            ]

        def write() -> list[InsertResult]:
            return [repo.generation.insert(frame.assign(power_kw=float(n)), on_conflict="update") for n in range(20)]

        def read() -> list[int]:
            return [
                len(repo.generation.read([site.site_uuid], end_utc=datetime(2024, 7, 1, tzinfo=UTC))) for _ in range(20)
            ]

        *made, written, seen = concurrently(*(lambda n=n: make(n) for n in range(1, makers + 1)), write, read)
        assert made == [[InsertResult(inserted=12)] * 6] * makers
        assert sum(result.updated for result in written) == 12 * 20
        assert seen == [12] * 20
        assert names(admin) == ["generation_p2024_06", *(f"generation_p2025_{month:02}" for month in range(1, 7))]

    @pytest.mark.parametrize("makers", [2, 8])
    def test_makers_through_the_function_alone(self, dsn, admin, makers):
        def make() -> list[str]:
            with psycopg.connect(dsn) as connection:
                return ensure(connection, "2024-06-01", "2024-07-01", "2024-08-01")

        made = concurrently(*[make] * makers)
        assert sorted(name for names_ in made for name in names_) == names(admin)

    def test_a_maker_does_not_wait_for_long_transactions(self, dsn, admin, site, repo):
        repo.generation.insert(reading_frame(site.site_uuid))
        with psycopg.connect(dsn) as reader, psycopg.connect(dsn) as writer:
            reader.execute("SELECT count(*) FROM generation")
            writer.execute("UPDATE generation SET generation_power_kw = 9")
            with Repository(dsn, min_size=1, kwargs=IMPATIENT) as impatient:
                impatient.generation.insert(reading_frame(site.site_uuid, start="2024-07-01"))
            assert reader.execute("SELECT count(*) FROM generation").fetchone() == (24,)
            writer.execute("UPDATE generation SET generation_power_kw = 8")
        assert names(admin) == ["generation_p2024_06", "generation_p2024_07"]

    def test_nobody_waits_for_a_maker_that_takes_long(self, dsn, repo, site, admin):
        repo.generation.insert(reading_frame(site.site_uuid))
        with psycopg.connect(dsn) as maker, Repository(dsn, min_size=1, kwargs=IMPATIENT) as impatient:
            assert ensure(maker, "2024-07-01") == ["generation_p2024_07"]
            assert len(impatient.generation.read()) == 12
            assert impatient.generation.sums() != []
            assert list(impatient.generation.latest()) == [site.site_uuid]
            for mode in ("ignore", "update"):
                result = impatient.generation.insert(
                    reading_frame(site.site_uuid, rows=20, power_kw=5), on_conflict=mode
                )
                assert result.inserted + result.updated + result.skipped == 20
            impatient.sites.create()
        with psycopg.connect(dsn) as maker, Repository(dsn, kwargs={"options": "-c lock_timeout=1s"}) as hasty:
            assert ensure(maker, "2024-09-01") == ["generation_p2024_09"]
            with pytest.raises(psycopg.errors.LockNotAvailable):  # the one thing that does, up to its lock timeout
                hasty.generation.insert(reading_frame(site.site_uuid, start="2024-08-01"))


class TestAnothersOpenTransaction:
    """That has made the month which a call needs."""

    @pytest.fixture(autouse=True)
    def _shorter_waits(self, admin) -> None:
        """The function itself waits for two seconds at a time."""
        admin.execute("ALTER FUNCTION ensure_month_partitions SET lock_timeout = '100ms'")

    @pytest.fixture(params=["commit", "rollback"])
    def end(self, request) -> str:
        return str(request.param)

    def calls(self, repo: Repository, site_uuid: UUID) -> dict[str, Callable[[], InsertResult]]:
        frame = reading_frame(site_uuid, start="2024-08-01")

        def inside() -> InsertResult:
            with repo.transaction() as tx:
                return tx.generation.insert(frame)

        def late() -> Iterator[pd.DataFrame]:
            yield frame.assign(start_utc=frame["start_utc"] - timedelta(31))
            yield frame

        return {
            "frame": lambda: repo.generation.insert(frame),
            "frames": lambda: repo.generation.insert(iter([frame])),
            "a later frame": lambda: repo.generation.insert(late()),
            "in a transaction": inside,
        }

    @pytest.mark.parametrize("call", ["frame", "frames", "a later frame", "in a transaction"])
    def test_is_waited_for(self, dsn, repo, site, admin, end, call):
        ensure(admin, "2024-07-01")
        with psycopg.connect(dsn) as other, psycopg.connect(dsn, autocommit=True) as observer:
            assert ensure(other, "2024-08-01") == ["generation_p2024_08"]

            def release() -> None:
                until(lambda: repo.stats().retries > 0)
                getattr(other, end)()

            (result,) = held_up(observer, release, self.calls(repo, site.site_uuid)[call])
        assert result.inserted in (12, 24), result
        assert "generation_p2024_08" in names(admin)

    def test_of_forecasts_is_waited_for(self, dsn, repo, site, end):
        with psycopg.connect(dsn) as other, psycopg.connect(dsn, autocommit=True) as observer:
            assert ensure(other, "2024-06-01", parent="forecasts") == ["forecasts_p2024_06"]

            def release() -> None:
                until(lambda: repo.stats().retries > 0)
                getattr(other, end)()

            (result,) = held_up(observer, release, lambda: repo.forecasts.insert(forecast_frame(site.site_uuid)))
        assert result == InsertResult(inserted=1)

    @pytest.mark.parametrize("set_by", ["limits", "connection"])
    def test_is_waited_for_as_long_as_for_other_locks(self, dsn, site, set_by):
        limits = Limits(bulk=CallLimits(lock_s=0.5))
        options = {"limits": limits} if set_by == "limits" else {"kwargs": {"options": "-c lock_timeout=500ms"}}
        with psycopg.connect(dsn) as other, Repository(dsn, min_size=1, **options) as repo:
            ensure(other, "2024-08-01")
            began = monotonic()
            with pytest.raises(psycopg.errors.LockNotAvailable):
                repo.generation.insert(reading_frame(site.site_uuid, start="2024-08-01"))
            assert monotonic() - began >= 0.5

    def test_of_the_same_thread_is_not_waited_for(self, repo, site):
        with repo.transaction() as tx:
            tx.generation.insert(reading_frame(site.site_uuid, start="2024-08-01"))
            with pytest.raises(psycopg.errors.LockNotAvailable, match=r"repo\.transaction\(\)"):
                repo.generation.insert(reading_frame(site.site_uuid, start="2024-08-01"))
            assert repo.stats().queries["engine/ensure_partitions"].errors == 1
        assert repo.generation.insert(reading_frame(site.site_uuid, start="2024-08-01")) == InsertResult(skipped=12)


class TestInTheMiddleOfACall:
    STARTS = ("2024-06-01", "2024-07-01", "2024-08-01")

    @pytest.mark.parametrize("mode", ["ignore", "update", "error"])
    def test_a_pool_of_one_connection_is_enough(self, dsn, admin, mode):
        with Repository(dsn, min_size=1, max_size=1, timeout=5) as repo:
            site = repo.sites.create().site_uuid
            result = repo.generation.insert(iter(months_of(site, *self.STARTS[:2])), on_conflict=mode)
            assert result == InsertResult(inserted=4)
            assert len(repo.generation.read()) == 4
        assert names(admin) == ["generation_p2024_06", "generation_p2024_07"]

    def test_others_make_months_while_a_call_goes_on(self, dsn, repo, site, admin):
        others: list[InsertResult] = []

        def frames(impatient: Repository) -> Iterator[pd.DataFrame]:
            for n, frame in enumerate(months_of(site.site_uuid, *self.STARTS), start=1):
                yield frame
                others.append(impatient.generation.insert(reading_frame(site.site_uuid, start=f"2025-0{n}-01")))

        with Repository(dsn, min_size=1, kwargs=IMPATIENT) as impatient:
            assert repo.generation.insert(frames(impatient)) == InsertResult(inserted=6)
        assert others == [InsertResult(inserted=12)] * 3

    def test_a_pool_that_is_busy_for_some_months_only(self, dsn, admin):
        """The first new month is made by the writing connection, whose lock stays; the next by whichever can."""
        with Repository(dsn, min_size=2, max_size=2, timeout=SECONDS) as repo:
            site = repo.sites.create().site_uuid

            def frames() -> Iterator[pd.DataFrame]:
                first, second, third = months_of(site, *self.STARTS)
                yield first
                with repo._source._pool.connection():
                    yield second
                yield third

            assert repo.generation.insert(frames()) == InsertResult(inserted=6)
        assert len(names(admin)) == 3

    def test_a_pool_that_lets_nobody_wait(self, dsn, admin):
        with Repository(dsn, min_size=1, max_size=1, max_waiting=1, timeout=SECONDS) as repo:
            site = repo.sites.create().site_uuid
            waited = Event()

            def wait() -> None:
                with repo._source._pool.connection():
                    waited.set()

            def frames() -> Iterator[pd.DataFrame]:
                first, second = months_of(site, *self.STARTS[:2])
                yield first
                thread.start()
                while repo._source._pool.get_stats().get("requests_waiting", 0) == 0:
                    assert thread.is_alive()
                    sleep(0.005)
                yield second

            thread = Thread(target=wait)
            assert repo.generation.insert(frames()) == InsertResult(inserted=4)
            assert waited.wait(SECONDS)
            thread.join(SECONDS)

    def test_in_a_transaction_they_are_made_on_its_own_connection(self, dsn, admin):
        with Repository(dsn, min_size=1, max_size=1, timeout=5) as repo:
            site = repo.sites.create().site_uuid
            with repo.transaction() as tx:
                tx.generation.insert(reading_frame(site, start="2024-05-01"))
                tx.generation.insert(iter(months_of(site, *self.STARTS)))
                assert names(admin) == []
        assert len(names(admin)) == 4


def test_ensure_makes_many_months_in_short_transactions(dsn, admin):
    months = [date(year, month, 1) for year in range(1990, 2002) for month in range(1, 13)]
    with psycopg.connect(dsn) as connection:
        made = partitions.ensure(QueryConnection(connection), "generation", months)
        assert partitions.ensure(QueryConnection(connection), "generation", months) == []
    assert made == names(admin) == [f"generation_p{month:%Y_%m}" for month in months]


@contextmanager
def role(admin: psycopg.Connection, *grants: str) -> Iterator[str]:
    """A role of this test's own, with what is granted to it."""
    name = f"pvsite_sql_{uuid4().hex}"
    admin.execute(f"CREATE ROLE {name}")
    try:
        for grant in grants:
            admin.execute(sql.SQL(f"GRANT {grant} TO {name}"))
        yield name
    finally:
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


EXECUTE = "EXECUTE ON FUNCTION ensure_month_partitions(text, date[])"
INGEST = (EXECUTE, "SELECT, INSERT, UPDATE ON generation")


class TestRights:
    @pytest.mark.parametrize(
        ("mode", "on_generation"),
        [("error", "INSERT"), ("ignore", "INSERT, SELECT"), ("update", "INSERT, SELECT, UPDATE")],
    )
    def test_an_ingestor_needs_no_right_to_create_tables(self, dsn, repo, site, admin, mode, on_generation):
        with role(admin, EXECUTE, f"{on_generation} ON generation") as name:
            assert admin.execute(f"SELECT has_schema_privilege('{name}', 'public', 'CREATE')").fetchone() == (False,)
            with Repository(dsn, min_size=1, kwargs={"options": f"-c role={name}"}) as ingestor:
                frames = months_of(site.site_uuid, "2024-06-01", "2024-07-01")
                assert ingestor.generation.insert(iter(frames), on_conflict=mode) == InsertResult(inserted=4)
                if mode != "error":
                    result = ingestor.generation.insert(frames[0].assign(power_kw=9), on_conflict=mode)
                    assert (result.updated, result.skipped) == ((0, 2) if mode == "ignore" else (2, 0))
                with pytest.raises(MissingReference):
                    ingestor.generation.insert(reading_frame(uuid4()), on_conflict=mode)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    ingestor.sites.list()
        owners = "SELECT DISTINCT tableowner = current_user FROM pg_tables WHERE tablename LIKE 'generation_p%'"
        assert admin.execute(owners).fetchall() == [(True,)]
        assert len(repo.generation.read()) == 4

    def test_nobody_makes_partitions_who_may_not(self, dsn, site, admin):
        with (
            role(admin, "SELECT, INSERT, UPDATE ON generation") as name,
            Repository(dsn, min_size=1, kwargs={"options": f"-c role={name}"}) as outsider,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="ensure_month_partitions"),
        ):
            outsider.generation.insert(reading_frame(site.site_uuid))
        assert names(admin) == []

    @pytest.mark.parametrize("where", ["a temporary table", "a schema"])
    def test_tables_of_an_ingestor_do_not_fool_the_functions(self, dsn, site, admin, where):
        unknown = uuid4()
        with (
            role(admin, *INGEST, f'CREATE ON DATABASE "{admin.info.dbname}"') as name,
            psycopg.connect(dsn, autocommit=True, options=f"-c role={name}") as ingestor,
        ):
            ingestor.execute("CREATE SCHEMA mine")
            if where == "a schema":
                ingestor.execute("SET search_path = mine, public")
            kind = "TEMPORARY TABLE" if where == "a temporary table" else "TABLE"
            ingestor.execute(f"CREATE {kind} sites AS SELECT '{unknown}'::uuid AS site_uuid")
            ingestor.execute(f"CREATE {kind} forecasts (timestamp_utc timestamptz) PARTITION BY RANGE (timestamp_utc)")
            assert ensure(ingestor, "2024-06-01") == ["generation_p2024_06"]
            assert ensure(ingestor, "2024-06-01", parent="forecasts") == ["forecasts_p2024_06"]
            reading = "INSERT INTO generation VALUES (%s, '2024-06-01', '2024-06-02', 1)"
            with pytest.raises(psycopg.errors.ForeignKeyViolation, match=str(unknown)):
                ingestor.execute(reading, [unknown])
            ingestor.execute(reading, [site.site_uuid])
        assert names(admin) == ["generation_p2024_06"]
        whose = (
            "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = 'public.forecasts_p2024_06'::regclass"
        )
        assert admin.execute(whose).fetchall() == [("forecasts",)]


def test_a_new_month_that_the_server_does_not_find_is_tried_once_more(repo, site, monkeypatch):
    """As it was seen beside a DETACH PARTITION CONCURRENTLY."""
    made, ensure = [], partitions.ensure

    def ensure_later(*arguments, **options):
        made.append(arguments)
        return ensure(*arguments, **options) if len(made) > 1 else []

    monkeypatch.setattr(partitions, "ensure", ensure_later)
    assert repo.generation.insert(reading_frame(site.site_uuid, rows=1)).inserted == 1
    assert len(made) == 2
