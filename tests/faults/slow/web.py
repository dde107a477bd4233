"""A WSGI application that uses its repository when it is imported, which `gunicorn --preload` does before it forks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from pvsite_sql import NotFound, Repository

NAME = "web"
repo = Repository(os.environ["WEB_DSN"], actor=NAME, kwargs={"application_name": NAME}, min_size=1, max_size=4)
preloaded = len(repo.sites.list())


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """GET /<site_uuid>: the site's uuid; POST /<site_uuid>/<n>: a reading of the n-th slot; with who answers."""
    site_uuid, _, slot = environ["PATH_INFO"].strip("/").partition("/")
    status = "200 OK"
    told: dict[str, Any] = {"pid": os.getpid(), "parent": os.getppid(), "preloaded": preloaded}
    try:
        if environ["REQUEST_METHOD"] == "POST":
            start = datetime(2024, 6, 1, tzinfo=UTC) + int(slot) * timedelta(minutes=5)
            frame = pd.DataFrame({"site_uuid": [site_uuid], "start_utc": [start], "power_kw": [1.0]})
            told["inserted"] = repo.generation.insert(frame, on_conflict="error").inserted
        else:
            told["site_uuid"] = str(repo.sites.get(site_uuid).site_uuid)
    except NotFound as error:
        status, told["error"] = "404 Not Found", str(error)
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
