"""A call whose connection dies: in its rows, before COMMIT, after COMMIT."""

from __future__ import annotations

from threading import Event

import psycopg
import pytest
from commands import until

from pvsite_sql import OutcomeUnknown

from .loads import LOADS, of_each_load, stored
from .proxy import SECONDS

COPIED = "SELECT coalesce(max(bytes_processed), 0) > 1000 FROM pg_stat_progress_copy WHERE pid = %s"
TERMINATE = "SELECT pg_terminate_backend(%s, 10000)"
of_each_cut = pytest.mark.parametrize("when", ["before", "after"])


@pytest.mark.parametrize("percent", [0, 50, 99])
@of_each_load
def test_backend_terminated_in_the_rows(through, dsn, proxy, observer, load, percent):
    rehearsal = load.begin(through)
    proxy.count()
    load.run(through, rehearsal)
    whole = proxy.copied
    site = load.begin(through)
    before, terminated = stored(dsn, site), Event()

    def terminate(backend: int) -> None:
        until(lambda: percent == 0 or observer.execute(COPIED, [backend]).fetchone()[0])
        assert observer.execute(TERMINATE, [backend]).fetchone() == (True,)
        terminated.set()

    proxy.strike(whole * percent // 100, terminate)
    with pytest.raises(psycopg.OperationalError):
        load.run(through, site)
    assert terminated.wait(SECONDS)
    assert stored(dsn, site) == before
    assert load.run(through, site) == load.first_time
    assert load.is_whole(stored(dsn, site))


@of_each_cut
@of_each_load
def test_connection_cut_at_commit(through, dsn, proxy, load, when):
    site = load.begin(through)
    before = stored(dsn, site)
    proxy.cut(when)
    with pytest.raises(OutcomeUnknown):  # on this side the two look alike
        load.run(through, site)
    after = stored(dsn, site)
    if when == "before":
        assert after == before
        assert load.run(through, site) == load.first_time
    else:
        load.run_again(through, site)
        assert stored(dsn, site) == after
    assert load.is_whole(stored(dsn, site))


@of_each_cut
def test_connection_cut_at_the_commit_of_a_transaction_of_several_calls(through, dsn, proxy, when):
    sites = [load.begin(through) for load in LOADS]
    before = [stored(dsn, site) for site in sites]
    proxy.cut(when)
    with pytest.raises(OutcomeUnknown), through.transaction() as tx:  # noqa: PT012  raised at its end
        for load, site in zip(LOADS, sites, strict=True):
            assert load.run(tx, site) == load.first_time
    after = [stored(dsn, site) for site in sites]
    if when == "before":
        assert after == before
    assert all(load.is_whole(rows) for load, rows in zip(LOADS, after, strict=True)) == (when == "after")


def test_backend_terminated_in_a_transaction_of_several_calls(through, dsn, proxy, observer):
    sites = [load.begin(through) for load in LOADS]
    before = [stored(dsn, site) for site in sites]

    def all_of_them() -> None:
        with through.transaction() as tx:
            for load, site in zip(LOADS, sites, strict=True):
                assert load.run(tx, site) == load.first_time

    proxy.strike(700_000, lambda backend: observer.execute(TERMINATE, [backend]))
    with pytest.raises(psycopg.OperationalError):
        all_of_them()
    assert [stored(dsn, site) for site in sites] == before
    all_of_them()
    assert all(load.is_whole(stored(dsn, site)) for load, site in zip(LOADS, sites, strict=True))


def test_a_transaction_whose_connection_was_lost_is_no_success(repo, observer):
    backend = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    with pytest.raises(psycopg.OperationalError, match="lost before COMMIT"), repo.transaction() as tx:  # noqa: PT012
        tx.sites.create()
        assert observer.execute(f"{backend} AND datname = current_database()").fetchall() == [(True,)]
        with pytest.raises(psycopg.OperationalError):  # a caller may go on after a failed call
            tx.sites.create()
    assert repo.sites.list() == []
