"""Celery tasks on a repository that is used when the module is imported, before the pool of processes is forked."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pandas as pd
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from pvsite_sql import Repository

NAME = "tasks"
folder = os.environ["TASKS_FOLDER"]
app = Celery(NAME, broker="filesystem://", backend=f"file://{folder}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": f"{folder}/queue",
        "data_folder_out": f"{folder}/queue",
        "control_folder": f"{folder}/control",
    },
    broker_connection_retry_on_startup=True,
    worker_max_tasks_per_child=25,
)
if dsn := os.environ.get("TASKS_DSN"):  # those who send tasks need no repository
    repo = Repository(dsn, actor=NAME, kwargs={"application_name": NAME}, min_size=2, max_size=4)
    preloaded = len(repo.sites.list())


@app.task
def get(site_uuid: str) -> list[str | int]:
    """The site's uuid, and who answers."""
    return [str(repo.sites.get(site_uuid).site_uuid), os.getpid()]


@app.task
def insert(site_uuid: str, slot: int) -> int:
    """Store a reading of the slot."""
    start = datetime(2024, 6, 1, tzinfo=UTC) + slot * timedelta(minutes=5)
    frame = pd.DataFrame({"site_uuid": [site_uuid], "start_utc": [start], "power_kw": [1.0]})
    return repo.generation.insert(frame, on_conflict="error").inserted


@app.task(soft_time_limit=1, time_limit=20)
def read_for_ever() -> str:
    """Read until the soft time limit raises, then go on with the repository."""
    try:
        while True:
            for frame in repo.generation.read_frames(chunk_rows=10):
                assert len(frame)
    except SoftTimeLimitExceeded:
        return f"stopped {len(repo.sites.list()) > 0}"
