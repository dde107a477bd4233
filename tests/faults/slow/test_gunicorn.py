"""gunicorn, run for real: the application is loaded, and its repository used, before the workers are forked."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from commands import until

from pvsite_sql import Repository

from ..programs import PATHS

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="gunicorn does not run on Windows"),
    pytest.mark.skipif(not find_spec("gunicorn"), reason="gunicorn is not installed (dependency group servers)"),
]

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web' AND datname = current_database()"
KINDS = {"sync": ["--workers=3"], "gthread": ["--workers=3", "--threads=4"]}
CLIENTS = 12
REQUESTS = 300


class Server:
    """A running gunicorn."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        until(lambda: re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.said()) or process.poll() is not None)
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.said())
        assert found, self.said()
        self._port = int(found[1])

    def said(self) -> str:
        return self._log.read_text()

    def ask(self, method: str, path: str) -> Any:
        """What it answers; a worker that was killed takes its connections along, so it is asked once more."""
        for last in (False, True):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request(method, path)
                response = connection.getresponse()
                body = response.read()
            except OSError:
                if last or method != "GET":
                    raise
                continue
            finally:
                connection.close()
            assert response.status == 200, (path, body, self.said()[-3000:])
            return json.loads(body)
        raise AssertionError


@contextmanager
def gunicorn(dsn: str, kind: str, folder: Path) -> Iterator[Server]:
    log = folder / "log"
    command = ["-m", "gunicorn", "--preload", "--bind=127.0.0.1:0", f"--worker-class={kind}", *KINDS[kind]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(PATHS), "WEB_DSN": dsn}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command, "faults.slow.web:app"],
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield Server(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(server: Server, sites: list[str], count: int) -> set[int]:
    """The workers that answered so many questions, each of them right."""

    def ask(number: int) -> int:
        site = sites[number % len(sites)]
        told = server.ask("GET", f"/{site}")
        assert told["site_uuid"] == site
        assert told["parent"] == server.process.pid
        assert told["preloaded"] == len(sites)
        return int(told["pid"])

    with ThreadPoolExecutor(CLIENTS) as threads:
        return set(threads.map(ask, range(count)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_right_and_no_session_is_left(dsn, observer, tmp_path, kind):
    with Repository(dsn, min_size=1) as repo:
        sites = [str(repo.sites.create().site_uuid) for _ in range(20)]
        with gunicorn(dsn, kind, tmp_path) as server:
            workers = asked(server, sites, REQUESTS)
            assert len(workers) > 1
            with ThreadPoolExecutor(CLIENTS) as threads:
                told = list(threads.map(lambda n: server.ask("POST", f"/{sites[n % 20]}/{n}"), range(REQUESTS)))
            assert [each["inserted"] for each in told] == [1] * REQUESTS
            os.kill(min(workers), signal.SIGKILL)  # the parent forks another one
            until(lambda: asked(server, sites, CLIENTS) - workers)
            server.process.send_signal(signal.SIGHUP)  # and all of them anew
            until(lambda: not asked(server, sites, CLIENTS) & workers)
            asked(server, sites, REQUESTS)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
            assert "Traceback" not in server.said(), server.said()
        assert len(repo.generation.read()) == REQUESTS
    until(lambda: observer.execute(SESSIONS).fetchone() == (0,))


def test_a_worker_that_is_reloaded_leaves_the_sessions_of_its_parent(dsn, observer, tmp_path):
    with Repository(dsn, min_size=1) as repo:
        sites = [str(repo.sites.create().site_uuid)]
    with gunicorn(dsn, "sync", tmp_path) as server:
        before = asked(server, sites, CLIENTS)
        parents = own_sessions(observer)
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
            until(lambda old=before: not asked(server, sites, CLIENTS) & old)
            before = asked(server, sites, CLIENTS)
        assert parents
        assert parents <= all_sessions(observer)


def own_sessions(observer: psycopg.Connection) -> set[int]:
    """The one that was there before any worker's, which the parent has used."""
    pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'web' ORDER BY backend_start LIMIT 1"
    return {pid for (pid,) in observer.execute(pids).fetchall()}


def all_sessions(observer: psycopg.Connection) -> set[int]:
    return {
        pid for (pid,) in observer.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'web'").fetchall()
    }
