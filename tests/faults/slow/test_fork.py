"""A process that forks after it used a repository: gunicorn's preload, Celery's prefork, multiprocessing.

Every program here runs in a process of its own, which forks; what it returns is judged in the test.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any

import psycopg
import pytest
from commands import until
from conftest import reading_frame
from psycopg_pool import ConnectionPool

from pvsite_sql import Repository

from ..programs import Told, forked, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

CHILDREN = 3
NAME = "parent of forks"
SESSIONS = """
    SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()
    ORDER BY backend_start, pid  -- a later session can have a lower pid
"""


def repository(dsn: str, **options: Any) -> Repository:
    return Repository(dsn, kwargs={"application_name": NAME}, **{"min_size": 2, "max_size": 4, "timeout": 5, **options})


class Parent:
    """A parent's sessions at the server: they are the same ones, and work, when the children are gone."""

    def __init__(self, dsn: str, repo: Repository) -> None:
        self.repo = repo
        self._observer = psycopg.connect(dsn, autocommit=True)
        self.site = str(repo.sites.create().site_uuid)
        until(lambda: repo.stats().pool["pool_available"] == repo.stats().pool["pool_size"])
        self.before = self.sessions()

    def sessions(self) -> list[int]:
        return [pid for (pid,) in self._observer.execute(SESSIONS, [NAME]).fetchall()]

    def judge(self) -> None:
        """Sessions of children that ended go a moment later."""
        assert self.before
        until(lambda: len(self.sessions()) <= len(self.before))
        assert self.sessions() == self.before, "the children ended sessions of their parent"
        self.use()

    def use(self) -> None:
        """All connections of its pool at once."""
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: str(self.repo.sites.get(self.site).site_uuid), range(40)))
        assert set(found) == {self.site}
        assert self.sessions()[: len(self.before)] == self.before


def work(repo: Repository, site: str, seconds: float, hour: int) -> dict[str, Any]:
    """Questions whose answers are known, and readings that are counted."""
    deadline = time.monotonic() + seconds
    told = {"right": 0, "wrong": 0, "errors": [], "inserted": 0}
    while time.monotonic() < deadline:
        try:
            answer = str(repo.sites.get(site).site_uuid)
            told["right" if answer == site else "wrong"] += 1
            frame = reading_frame(site, start=f"2024-06-{hour + 1:02}", rows=told["inserted"] + 1)
            told["inserted"] += repo.generation.insert(frame.tail(1)).inserted
        except Exception as error:  # noqa: BLE001  whatever it is
            told["errors"].append(repr(error))
    return told


def gone(code: int) -> None:
    """Leave as programs do that do not unwind, when the collector has found what was inherited."""
    gc.collect()
    os._exit(code)


LEAVE: dict[str, Callable[[int], object]] = {"exit_at_once": os._exit, "unwind": sys.exit, "collect": gone}


def children_work(dsn: str, leave: str) -> Any:
    with repository(dsn) as repo:
        parent = Parent(dsn, repo)
        sites = [str(repo.sites.create().site_uuid) for _ in range(CHILDREN)]
        children = [forked(lambda s=site: work(repo, s, 1.0, 0), LEAVE[leave]) for site in sites]
        own = work(repo, parent.site, 1.0, 1)
        told = [child.told() for child in children]
        parent.judge()
        stored = [len(repo.generation.read([site])) for site in sites]
    return [own, *[vars(each) for each in told]], stored


@pytest.mark.parametrize("leave", LEAVE)
def test_each_child_works_on_connections_of_its_own(dsn, leave):
    (parent, *children), stored = run(children_work, dsn, leave)
    told = [Told(**child) for child in children]
    assert [child.kinds for child in told] == [[]] * CHILDREN, told
    for each in (parent, *[child.result for child in told]):
        assert (each["wrong"], each["errors"][:3]) == (0, [])
        assert each["right"] > 0
    assert stored == [child.result["inserted"] for child in told]


def never_used(dsn: str) -> Any:
    with repository(dsn, min_size=0) as repo, repository(dsn) as other:
        site = str(other.sites.create().site_uuid)
        children = [forked(lambda n=n: work(repo, site, 0.2, n)) for n in range(2)]
        return [vars(child.told()) for child in children], str(repo.sites.get(site).site_uuid) == site


def test_a_repository_that_was_never_used_before_works_in_the_children(dsn):
    children, parent_works = run(never_used, dsn)
    assert parent_works
    for child in children:
        assert child["kinds"] == []
        assert (child["result"]["wrong"], child["result"]["errors"]) == (0, [])
        assert child["result"]["right"] > 0


def with_a_callers_pool(dsn: str) -> Any:
    with (
        ConnectionPool(dsn, kwargs={"application_name": NAME}, min_size=2, max_size=2, open=True) as pool,
        Repository(pool) as repo,
    ):
        parent = Parent(dsn, repo)
        calls: list[Callable[[], Any]] = [
            lambda: repo.sites.get(parent.site),
            lambda: repo.generation.insert(reading_frame(parent.site)),
            lambda: next(repo.generation.read_frames(), None),
            lambda: repo.generation.read_arrow().read_all(),
            lambda: repo.transaction().__enter__(),
            repo.check,
        ]
        told = [vars(forked(call, gone if n % 2 else os._exit).told()) for n, call in enumerate(calls)]
        parent.judge()
        return told, len(repo.generation.read())


def test_a_callers_pool_is_refused_in_a_child_and_the_error_says_what_to_do(dsn):
    told, stored = run(with_a_callers_pool, dsn)
    assert stored == 0
    for child in (Told(**each) for each in told):
        assert child.is_refused, child
        assert "pool" in child.text
        assert "fork" in child.text or "process" in child.text


def while_others_call(dsn: str) -> Any:
    stop = Event()
    with repository(dsn) as repo:
        parent = Parent(dsn, repo)

        def go_on(number: int) -> dict[str, Any]:
            total = {"right": 0, "wrong": 0, "errors": [], "inserted": 0}
            while not stop.is_set():
                for name, value in work(repo, sites[number], 0.1, number).items():
                    total[name] += value
            return total

        def child() -> Any:
            told = work(repo, parent.site, 0.0, 0)
            return str(repo.sites.get(parent.site).site_uuid) == parent.site and repo.stats() is not None and told

        sites = [str(repo.sites.create().site_uuid) for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            ends = [threads.submit(go_on, number) for number in range(4)]
            try:
                told = [vars(forked(child).told()) for _ in range(15)]
            finally:
                stop.set()
            own = [end.result() for end in ends]
        parent.use()
    return told, own


def test_forks_while_other_threads_are_in_the_middle_of_calls(dsn):
    children, own = run(while_others_call, dsn)
    assert [child["kinds"] for child in children] == [[]] * len(children), children
    assert all(child["result"] for child in children)
    for each in own:
        assert (each["wrong"], each["errors"][:3]) == (0, [])
        assert each["right"] > 0


def in_a_transaction(dsn: str) -> Any:
    """Children use it, leave its block, raise out of it, or unwind the program inside of it."""
    with repository(dsn) as repo:
        parent = Parent(dsn, repo)
        told = {}
        with repo.transaction() as tx:
            tx.sites.create(client_site_name="before")
            told["use"] = forked(lambda: tx.sites.create(client_site_name="child")).told()
            told["use_and_unwind"] = forked(tx.sites.list, sys.exit).told()
            told["unwind"] = forked(lambda: None, sys.exit).told()
            told["another_call"] = forked(lambda: repo.sites.create(client_site_name="other") and None).told()
            tx.sites.create(client_site_name="after")
        block = repo.transaction()
        tx = block.__enter__()
        tx.sites.create(client_site_name="block")
        told["leave"] = forked(lambda: block.__exit__(None, None, None)).told()
        raised = ValueError("the caller's own")
        told["raise"] = forked(lambda: block.__exit__(ValueError, raised, None)).told()
        block.__exit__(None, None, None)
        parent.judge()
        names = sorted(site.client_site_name or "" for site in repo.sites.list())
    return {name: vars(each) for name, each in told.items()}, names


def test_a_transaction_that_is_open_at_the_fork_is_the_parents_alone(dsn):
    told, names = run(in_a_transaction, dsn)
    told = {name: Told(**each) for name, each in told.items()}
    assert names == ["", "after", "before", "block", "other"]
    for name in ("use", "use_and_unwind", "leave"):
        assert told[name].is_refused, (name, told[name])
    assert (told["unwind"], told["another_call"]) == (Told(kinds=[]), Told(kinds=[]))
    assert told["raise"].result is False or told["raise"].text == "ValueError: the caller's own", told["raise"]


def in_a_stream(dsn: str, kind: str) -> Any:
    """Children go on with an iterator of frames, close it, or leave with it."""
    with repository(dsn) as repo:
        parent = Parent(dsn, repo)
        repo.generation.insert(reading_frame(parent.site, rows=40_000))
        with repo.transaction() as tx:
            generation = (tx if kind == "transaction" else repo).generation
            frames = (generation.read_arrow if kind == "reader" else generation.read_frames)(chunk_rows=4_000)
            count = len(next(frames))
            children = [
                forked(lambda: len(next(frames))),
                forked(frames.close),
                forked(lambda: [len(frame) for frame in frames], sys.exit),
                forked(lambda: None, gone),
            ]
            told = [child.told() for child in children]
            count += sum(len(frame) for frame in frames)
        parent.judge()
    return count, [vars(each) for each in told]


@pytest.mark.parametrize("kind", ["repository", "transaction", "reader"])
def test_a_stream_that_is_open_at_the_fork_is_the_parents_alone(dsn, kind):
    count, told = run(in_a_stream, dsn, kind)
    assert count == 40_000
    used, closed, looped, left = (Told(**each) for each in told)
    assert used.is_refused
    assert looped.is_refused
    assert (closed, left) == (Told(kinds=[]), Told(kinds=[]))


def closed_in_a_child(dsn: str) -> Any:
    with repository(dsn) as repo:
        parent = Parent(dsn, repo)

        def used_and_closed() -> bool:
            with repo:
                return str(repo.sites.get(parent.site).site_uuid) == parent.site

        def deleted() -> None:
            nonlocal repo
            del repo
            gc.collect()

        told = [forked(call).told() for call in (repo.close, used_and_closed, deleted)]
        parent.judge()
    told.append(forked(repo.sites.list).told())  # it is closed in its parent too
    return [vars(each) for each in told]


def test_close_in_a_child_leaves_the_parents_sessions(dsn):
    told = [Told(**each) for each in run(closed_in_a_child, dsn)]
    assert [each.result for each in told] == [None, True, None, None]
    assert [each.kinds for each in told[:3]] == [[]] * 3
    assert told[3].kinds


def grandchildren(dsn: str) -> Any:
    with repository(dsn) as repo:
        parent = Parent(dsn, repo)

        def child(depth: int) -> list[Any]:
            own = [work(repo, parent.site, 0.1, depth)]
            grandchild = forked(lambda: child(depth - 1), sys.exit).told() if depth else Told([])
            assert not grandchild.kinds, grandchild
            return [*own, work(repo, parent.site, 0.1, depth), *grandchild.result]

        told = forked(lambda: child(2), sys.exit).told(30)
        parent.judge()
    return vars(told)


def test_children_fork_too(dsn):
    told = Told(**run(grandchildren, dsn))
    assert not told.kinds, told
    assert len(told.result) == 6
    assert [each["errors"] for each in told.result] == [[]] * 6
    assert [each["wrong"] for each in told.result] == [0] * 6


_shared: Repository | None = None


def get(site: str) -> str:
    assert _shared is not None
    return str(_shared.sites.get(site).site_uuid)


def get_from(dsn: str, site: str) -> str:
    with repository(dsn) as repo:
        return str(repo.sites.get(site).site_uuid)


def in_a_pool_of_processes(dsn: str, method: str) -> Any:
    global _shared
    context = multiprocessing.get_context(method)
    with repository(dsn) as _shared:
        parent = Parent(dsn, _shared)
        sites = [str(_shared.sites.create().site_uuid) for _ in range(50 if method == "fork" else 4)]
        with context.Pool(CHILDREN) as pool:
            if method == "fork":
                found = pool.map_async(get, sites * 4, chunksize=1)
            else:
                found = pool.starmap_async(get_from, [(dsn, site) for site in sites])
            right = found.get(40) == sites * (4 if method == "fork" else 1)
            with suppress(Exception):
                pool.close()
                pool.join()
        parent.judge()
    return right


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(dsn, method):
    assert run(in_a_pool_of_processes, dsn, method) is True
