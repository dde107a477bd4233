"""A transaction used from several threads: one call at a time works, two at once are refused by name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event

import psycopg
import pytest
from commands import until
from concurrency import BLOCKED, concurrently
from conftest import reading_frame

from pvsite_sql import CallLimits, Limits, PvsiteSqlError, Repository, Transaction

from .programs import SECONDS, apart, ends, thread

THREADS, CALLS = 6, 30
HINT = "call the methods of the transaction, not of the repository"


def names(repo: Repository | Transaction) -> set[str | None]:
    return {site.client_site_name for site in repo.sites.list()}


@ends
def test_what_returned_is_committed_and_what_raised_is_not(repo):
    returned: set[str] = set()
    refused: set[str] = set()

    def work(tx: Transaction, number: int) -> None:
        for call in range(CALLS):
            name = f"{number}.{call}"
            try:
                tx.sites.create(client_site_name=name)
            except PvsiteSqlError:
                refused.add(name)
            else:
                returned.add(name)

    with repo.transaction() as tx:
        concurrently(*[lambda n=number: work(tx, n) for number in range(THREADS)])
    assert len(returned) + len(refused) == THREADS * CALLS
    assert names(repo) == returned


@pytest.mark.parametrize("call", ["create", "insert", "frames", "read_frames", "get"])
@ends
def test_while_a_call_waits_for_a_lock_another_is_refused_at_once(repo, dsn, observer, site, call):
    uuid = site.site_uuid
    calls = {
        "create": lambda tx: tx.sites.create(client_site_name="second"),
        "insert": lambda tx: tx.generation.insert(reading_frame(uuid)),
        "frames": lambda tx: tx.generation.insert(iter([reading_frame(uuid)])),
        "read_frames": lambda tx: next(tx.generation.read_frames(), None),
        "get": lambda tx: tx.sites.get(uuid),
    }
    with repo.transaction() as tx:
        tx.sites.create(client_site_name="before")
        with observer.transaction():
            observer.execute("SELECT FROM sites WHERE site_uuid = %s FOR UPDATE", [uuid])
            first = thread(lambda: tx.sites.update(uuid, client_site_name="first"))
            until(lambda: blocked(dsn))
            with pytest.raises(PvsiteSqlError):
                apart(lambda: calls[call](tx))
            assert not first.done()
        assert first.result(SECONDS).client_site_name == "first"
        tx.sites.create(client_site_name="after")
    assert names(repo) == {"before", "first", "after"}
    assert repo.generation.read() == []


def blocked(dsn: str) -> bool:
    """Whether a session waits for another's lock."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(BLOCKED).fetchone() != (0,)


@ends
def test_while_an_insert_asks_for_its_next_frame_another_thread_is_refused(repo, site):
    asked, go_on = Event(), Event()

    def frames():
        yield reading_frame(site.site_uuid)
        asked.set()
        assert go_on.wait(SECONDS)
        yield reading_frame(site.site_uuid, start="2024-06-02")

    with repo.transaction() as tx:
        first = thread(lambda: tx.generation.insert(frames()))
        assert asked.wait(SECONDS)
        with pytest.raises(PvsiteSqlError):
            apart(lambda: tx.sites.create(client_site_name="second"))
        go_on.set()
        assert first.result(SECONDS).inserted == 24
    assert names(repo) == {None}
    assert len(repo.generation.read()) == 24


@ends
def test_the_end_of_the_block_while_another_thread_calls_is_no_silent_commit(repo, dsn, observer, site):
    block = repo.transaction()
    tx = block.__enter__()
    tx.sites.create(client_site_name="before")
    with observer.transaction():
        observer.execute("SELECT FROM sites WHERE site_uuid = %s FOR UPDATE", [site.site_uuid])
        call = thread(lambda: tx.sites.update(site.site_uuid, client_site_name="first"))
        until(lambda: blocked(dsn))
        end = thread(lambda: block.__exit__(None, None, None))
        with suppress(TimeoutError):  # it may refuse at once, or wait for the call
            end.exception(1)
    outcomes = [call.exception(SECONDS), end.exception(SECONDS)]
    expected = {None}
    if outcomes[1] is None:
        expected = {None, "before"} if outcomes[0] else {"first", "before"}
    else:
        assert isinstance(outcomes[1], PvsiteSqlError)
        assert outcomes[0] is not None, "the call returned, and is not committed"
    assert names(repo) == expected
    until(lambda: repo.stats().pool["pool_available"] == repo.stats().pool["pool_size"])


class TestHandedOn:
    """FastAPI's synchronous dependencies: entered, used and left in threads of a pool, one call at a time."""

    @ends
    def test_from_thread_to_thread(self, repo, site):
        uuid = site.site_uuid
        block = repo.transaction(actor="alice")
        tx = apart(block.__enter__)
        for number in range(4):
            apart(lambda n=number: tx.sites.create(client_site_name=str(n)))
        assert apart(lambda: tx.generation.insert(iter([reading_frame(uuid)]))).inserted == 12
        with pytest.raises(PvsiteSqlError):
            apart(lambda: tx.sites.get("00000000-0000-0000-0000-000000000001"))
        assert len(apart(tx.generation.read_frame)) == 12
        apart(lambda: block.__exit__(None, None, None))
        assert names(repo) == {None, "0", "1", "2", "3"}

    @ends
    def test_many_at_once_each_with_a_transaction_of_its_own(self, repo):
        def request(number: int) -> None:
            block = repo.transaction()
            tx = threads.submit(block.__enter__).result(SECONDS)
            for call in range(5):
                threads.submit(tx.sites.create, client_site_name=f"{number}.{call}").result(SECONDS)
            threads.submit(block.__exit__, None, None, None).result(SECONDS)

        with ThreadPoolExecutor(8) as threads:
            concurrently(*[lambda n=number: request(n) for number in range(8)])
        assert names(repo) == {f"{number}.{call}" for number in range(8) for call in range(5)}

    @pytest.mark.parametrize("in_transaction", [False, True], ids=["repository", "transaction"])
    @ends
    def test_a_stream(self, repo, site, in_transaction):
        repo.generation.insert(reading_frame(site.site_uuid, rows=100))
        with repo.transaction() as tx:
            of = tx if in_transaction else repo
            frames = apart(partial(of.generation.read_frames, chunk_rows=10))
            count = sum(len(apart(partial(next, frames))) for _ in range(5))
            apart(frames.close)
            assert count == 50
            frames = of.generation.read_frames(chunk_rows=10)
            assert sum(len(apart(partial(next, frames))) for _ in range(10)) == 100
            with pytest.raises(StopIteration):
                next(frames)
            tx.sites.create()
        assert len(repo.sites.list()) == 2

    @ends
    def test_a_transaction_that_was_left_is_refused_in_every_thread(self, repo):
        with repo.transaction() as tx:
            pass
        for _ in range(2):
            with pytest.raises(PvsiteSqlError):
                apart(tx.sites.list)

    @ends
    def test_the_thread_that_used_it_last_is_told_that_it_may_wait_for_itself(self, dsn, site):
        def update(repo: Repository) -> str:
            with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
                repo.sites.update(site.site_uuid, tilt=2)
            return str(refused.value)

        limits = Limits(write=CallLimits(lock_s=0.1))
        with (
            Repository(dsn, limits=limits, min_size=2) as repo,
            ThreadPoolExecutor(1) as first,
            ThreadPoolExecutor(1) as other,
        ):
            block = repo.transaction()
            tx = first.submit(block.__enter__).result(SECONDS)
            other.submit(tx.sites.update, site.site_uuid, tilt=1).result(SECONDS)
            assert HINT not in first.submit(update, repo).result(SECONDS)
            assert HINT in other.submit(update, repo).result(SECONDS)
            first.submit(block.__exit__, None, None, None).result(SECONDS)
            assert repo.sites.get(site.site_uuid).tilt == 1
