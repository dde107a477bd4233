"""What a repository tells of its queries: figures, log lines of slow ones, and a few more attempts after a deadlock."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier, Event

import psycopg
import pytest
from concurrency import concurrently
from conftest import reading_frame

from pvsite_sql import Duplicate, InsertResult, InvalidInput, Repository
from pvsite_sql.engine.query_connection import QueryConnection
from pvsite_sql.engine.stats import Recorder

SECRET = "not-for-the-log"
FAILS = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('tries') <= %s THEN
            RAISE EXCEPTION 'refused' USING ERRCODE = '%s';
        END IF;
        RETURN NULL;
    END $$;
"""
ON = "CREATE TRIGGER fails AFTER INSERT OR UPDATE ON {} FOR EACH STATEMENT EXECUTE FUNCTION fail()"
AT_COMMIT = """
    CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON {} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail()
"""
TRANSIENT = {"40001": psycopg.errors.SerializationFailure, "40P01": psycopg.errors.DeadlockDetected}
of_each_failure = pytest.mark.parametrize("sqlstate", TRANSIENT)


@pytest.fixture
def failing(postgresql):
    """Lets so many writes to a table fail."""
    postgresql.autocommit = True

    def fail(table: str, times: int, sqlstate: str, trigger: str = ON) -> None:
        postgresql.execute(FAILS % (times, sqlstate))
        postgresql.execute(trigger.format(table))

    fail.tries = lambda: postgresql.execute("SELECT last_value FROM tries").fetchone()[0]
    return fail


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, "pvsite_sql")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "pvsite_sql"]


class TestStats:
    def test_counts_queries_rows_and_failures(self, repo, site):
        frame = reading_frame(site.site_uuid, rows=100)
        repo.generation.insert(frame)
        with pytest.raises(Duplicate):
            repo.generation.insert(frame, on_conflict="error")
        assert len(repo.generation.read()) == len(repo.generation.read_frame([site.site_uuid])) == 100
        list(repo.generation.read_frames(chunk_rows=30))
        stats = repo.stats()
        copied = stats.queries["generation/insert_copy"]
        assert (copied.count, copied.errors, copied.rows) == (2, 1, 100)
        read = stats.queries["generation/read_all_sites"]
        assert (read.count, read.errors, read.rows) == (2, 0, 200)
        assert stats.queries["generation/read"].rows == 100
        assert stats.queries["sites/create"].rows == 1
        assert all(0 <= found.max_ms <= found.total_ms for found in stats.queries.values())
        assert read.max_ms > 0
        assert stats.retries == 0

    def test_has_the_pools_figures(self, repo):
        repo.users.list()
        stats = repo.stats()
        assert stats.pool["pool_size"] >= 1
        assert stats.pool["requests_num"] >= 1

    def test_counts_calls_in_transactions_too(self, repo):
        with repo.transaction() as tx:
            tx.users.list()
            tx.users.list()
        assert repo.stats().queries["users/list"].count == 2

    def test_loses_nothing_among_threads(self):
        recorder, threads, times = Recorder(), 8, 2_000
        barrier = Barrier(threads)

        def record():
            barrier.wait()
            for _ in range(times):
                recorder.ran("a/b", ms=1.0, rows=2, failed=False)

        concurrently(*[record] * threads)
        found = recorder.snapshot({}).queries["a/b"]
        assert (found.count, found.rows, found.total_ms) == (threads * times, 2 * threads * times, threads * times)

    def test_a_caller_that_lingers_over_a_stream_does_not_count(self, repo, site):
        repo.generation.insert(reading_frame(site.site_uuid, rows=100))
        for _ in repo.generation.read_frames(chunk_rows=100):
            Event().wait(1.0)
        assert repo.stats().queries["generation/read_all_sites"].max_ms < 1000

    def test_a_stream_that_is_left_early_is_no_failure(self, repo, site):
        repo.generation.insert(reading_frame(site.site_uuid, rows=100))
        frames = repo.generation.read_frames(chunk_rows=10)
        next(frames)
        frames.close()
        found = repo.stats().queries["generation/read_all_sites"]
        assert (found.count, found.errors) == (1, 0)


class TestSlowQueries:
    def test_are_logged_with_name_time_and_rows_and_without_values(self, dsn, site, log):
        with Repository(dsn, slow_query_ms=0) as repo:
            repo.sites.update(site.site_uuid, client_site_name=SECRET)
            repo.generation.insert(reading_frame(site.site_uuid, rows=100))
        lines = log()
        assert any(
            line.startswith("slow query generation/insert_copy: ") and line.endswith(" ms, 100 rows") for line in lines
        )
        assert any(line.startswith("slow query sites/update: ") for line in lines)
        assert not any(SECRET in line or str(site.site_uuid) in line for line in lines)

    def test_that_failed_say_so(self, dsn, site, log):
        with Repository(dsn, slow_query_ms=0) as repo:
            frame = reading_frame(site.site_uuid)
            repo.generation.insert(frame)
            with pytest.raises(Duplicate):
                repo.generation.insert(frame, on_conflict="error")
        assert any(line.startswith("slow query generation/insert_copy") and line.endswith(", failed") for line in log())

    @pytest.mark.parametrize("threshold", [None, 1e9])
    def test_are_none_below_the_threshold(self, dsn, log, threshold):
        with Repository(dsn, slow_query_ms=threshold) as repo:
            repo.users.list()
        assert log() == []


class TestRetries:
    @of_each_failure
    def test_a_call_is_begun_anew(self, repo, site, failing, log, sqlstate):
        failing("generation", 2, sqlstate)
        frame = reading_frame(site.site_uuid, rows=100)
        given = []
        assert repo.generation.insert(frame, progress=given.append) == InsertResult(inserted=100)
        assert given == [100]
        assert len(repo.generation.read()) == 100
        assert repo.stats().retries == 2
        name = TRANSIENT[sqlstate].__name__
        lines = log()
        assert [line.partition(" after ")[0] for line in lines] == [f"{name} in generation/insert_copy"] * 2
        assert [line.rpartition(": ")[2] for line in lines] == [f"retrying, attempt {n} of 5" for n in (2, 3)]
        assert not any("refused" in line for line in lines)

    @pytest.mark.parametrize("table", ["sites", "status", "users", "forecasts"])
    def test_whatever_it_writes(self, repo, site, failing, table):
        failing(table, 1, "40P01")
        calls = {
            "sites": repo.sites.create,
            "status": lambda: repo.status.create("ok", message=""),
            "users": lambda: repo.users.get_or_create("alice"),
            "forecasts": lambda: repo.forecasts.insert(forecast(site.site_uuid)),
        }
        calls[table]()
        assert repo.stats().retries == 1

    @of_each_failure
    def test_a_few_times_only(self, repo, site, failing, sqlstate):
        failing("generation", 100, sqlstate)
        with pytest.raises(TRANSIENT[sqlstate]):
            repo.generation.insert(reading_frame(site.site_uuid))
        assert failing.tries() == 5
        assert repo.stats().retries == 4
        assert repo.generation.read() == []

    @pytest.mark.parametrize("kind", [list, iter])
    def test_an_iterable_of_frames_never_is(self, repo, site, failing, kind):
        failing("generation", 1, "40P01")
        frames = [reading_frame(site.site_uuid), reading_frame(site.site_uuid, start="2024-06-02")]
        with pytest.raises(psycopg.errors.DeadlockDetected):
            repo.generation.insert(kind(frames))
        assert failing.tries() == 1
        assert repo.generation.read() == []

    def test_a_transaction_is_the_callers_to_begin_anew(self, repo, site, failing):
        failing("generation", 1, "40P01")
        with pytest.raises(psycopg.errors.DeadlockDetected), repo.transaction() as tx:
            tx.generation.insert(reading_frame(site.site_uuid))
        assert failing.tries() == 1
        assert repo.stats().retries == 0

    @of_each_failure
    @pytest.mark.parametrize("table", ["generation", "status"])
    def test_never_after_commit_was_sent(self, repo, site, failing, table, sqlstate):
        failing(table, 1, sqlstate, AT_COMMIT)
        calls = {
            "generation": lambda: repo.generation.insert(reading_frame(site.site_uuid, rows=1)),
            "status": lambda: repo.status.create("ok", message=""),
        }
        with pytest.raises(TRANSIENT[sqlstate]):
            calls[table]()
        assert failing.tries() == 1
        assert repo.stats().retries == 0

    def test_other_failures_are_not_worth_it(self, repo, site, failing):
        failing("generation", 1, "53100")
        with pytest.raises(psycopg.errors.DiskFull):
            repo.generation.insert(reading_frame(site.site_uuid))
        assert failing.tries() == 1

    @pytest.mark.parametrize("call", ["latest_values", "latest_frame", "latest_sums", "latest_per_site"])
    def test_what_a_generator_gives_is_not_used_up(self, repo, site, monkeypatch, call):
        repo.forecasts.insert(forecast(site.site_uuid))
        begin, attempts = QueryConnection.transaction, []

        @contextmanager
        def fails_once(self):
            with begin(self):
                yield
                attempts.append(self)
                if len(attempts) == 1:
                    raise psycopg.errors.SerializationFailure

        monkeypatch.setattr(QueryConnection, "transaction", fails_once)
        assert len(getattr(repo.forecasts, call)(uuid for uuid in [site.site_uuid])) > 0
        assert len(attempts) == 2

    def test_two_real_deadlocks_are_over_before_anybody_notices(self, dsn, repo, log):
        sites = [repo.sites.create().site_uuid for _ in range(2)]
        both = Barrier(2, timeout=20)
        met = []

        def update(repo, first, second):
            def work(call):
                call.run("sites/update", site_uuid=first, fields='{"tilt": 1}')
                if len(met) < 2:
                    met.append(first)
                    both.wait()
                return call.run("sites/update", site_uuid=second, fields='{"tilt": 2}')

            return lambda: repo._session.run("write", work)

        assert concurrently(update(repo, *sites), update(repo, *reversed(sites))) == [1, 1]
        assert repo.stats().retries == 1
        retries = [line for line in log() if not line.startswith("slow query")]
        assert [line.partition(" after ")[0] for line in retries] == ["DeadlockDetected in sites/update"]


def forecast(site_uuid):
    frame = reading_frame(site_uuid, rows=3).rename(columns={"power_kw": "forecast_power_kw"})
    return frame.assign(timestamp_utc=frame["start_utc"].iloc[0], end_utc=frame["start_utc"] + timedelta(minutes=5))


@pytest.mark.parametrize("bad", [-1, float("nan"), "200", True])
def test_a_threshold_is_a_number_of_milliseconds(dsn, bad):
    with pytest.raises(InvalidInput, match=r"^slow_query_ms: must be a number of milliseconds"):
        Repository(dsn, slow_query_ms=bad)
