"""Celery's prefork pool, run for real: the repository is used before the processes are forked, and forked anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from commands import until
from conftest import reading_frame

from pvsite_sql import Repository

from ..programs import PATHS, run

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="Celery's prefork pool does not run on Windows"),
    pytest.mark.skipif(not find_spec("celery"), reason="Celery is not installed (dependency group servers)"),
]

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tasks' AND datname = current_database()"
PROCESSES = 3
TASKS = 200


@contextmanager
def worker(dsn: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / "log"
    command = ["-m", "celery", "--app=faults.slow.tasks", "worker", "--pool=prefork", f"--concurrency={PROCESSES}"]
    options = ["--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(PATHS), "TASKS_DSN": dsn, "TASKS_FOLDER": str(folder)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command, *options],
            env=environment,
            cwd=folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        until(lambda: " ready." in log.read_text() or process.poll() is not None, seconds=60)
        assert process.poll() is None, log.read_text()
        yield process, log
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def send(folder: str, sites: list[str]) -> Any:
    """What the tasks return, in a program without a repository."""
    os.environ["TASKS_FOLDER"] = folder
    from . import tasks  # noqa: PLC0415  its folder comes from the environment

    stopped = [tasks.read_for_ever.delay() for _ in range(PROCESSES)]
    asked = [tasks.get.delay(sites[number % len(sites)]) for number in range(TASKS)]
    stored = [tasks.insert.delay(sites[number % len(sites)], number) for number in range(TASKS)]
    return [[each.get(timeout=90) for each in several] for several in (stopped, asked, stored)]


def test_every_answer_is_right_after_forks_and_time_limits_and_no_session_is_left(dsn, observer, tmp_path):
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    with Repository(dsn, min_size=1) as repo:
        sites = [str(repo.sites.create().site_uuid) for _ in range(20)]
        repo.generation.insert(reading_frame(sites[0], start="2023-01-01", rows=5_000))
        with worker(dsn, tmp_path) as (process, log):
            stopped, asked, stored = run(send, str(tmp_path), sites, seconds=150)
            assert stopped == ["stopped True"] * PROCESSES
            assert [site for site, _ in asked] == [sites[number % len(sites)] for number in range(TASKS)]
            assert len({pid for _, pid in asked}) > PROCESSES  # a process ends after some tasks
            assert stored == [1] * TASKS
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
        assert len(repo.generation.read(start_utc=reading_frame(sites[0])["start_utc"][0])) == TASKS
    until(lambda: observer.execute(SESSIONS).fetchone() == (0,))
