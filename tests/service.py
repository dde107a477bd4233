"""A service as users write it: sites, readings and own SQL over HTTP. `test_fastapi.py` runs it with uvicorn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from threading import Event
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
import pandas as pd
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from pydantic import BaseModel

from pvsite_sql import InsertResult, LatitudeLongitudeLimits, Repository, Site, SiteFields, SiteGroup, Transaction
from pvsite_sql.fastapi import install_error_handlers, latitude_longitude_limits, transaction

WORKERS = 4  # threads for the functions of the requests


async def get_repository(request: Request) -> Repository:
    """The repository of the app."""
    repo: Repository = request.app.state.repo
    return repo


async def get_user(x_user: Annotated[str | None, Header()] = None) -> str | None:
    """Who asks."""
    return x_user


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Few threads, so that the requests want more."""
    app.state.threads = anyio.to_thread.current_default_thread_limiter()
    app.state.threads.total_tokens = WORKERS
    yield


Repo = Annotated[Repository, Depends(get_repository)]
Tx = Annotated[Transaction, transaction(get_repository, actor=get_user)]
Within = Annotated[LatitudeLongitudeLimits, Depends(latitude_longitude_limits)]

app = FastAPI(lifespan=lifespan)
install_error_handlers(app, retry_after_s=3)
waiting, go_on = Event(), Event()


class Reading(BaseModel):
    """A reading of a site."""

    start_utc: datetime
    power_kw: float


@app.post("/sites", status_code=201)
def create_site(fields: SiteFields, tx: Tx) -> Site:
    return tx.sites.create(**fields)


@app.get("/sites/{site_uuid}")
def get_site(site_uuid: UUID, tx: Tx) -> Site:
    return tx.sites.get(site_uuid)


@app.patch("/sites/{site_uuid}")
def update_site(site_uuid: UUID, fields: SiteFields, tx: Tx) -> Site:
    return tx.sites.update(site_uuid, **fields)


@app.get("/users/{email}/sites")
def list_sites(email: str, within: Within, repo: Repo) -> list[Site]:
    return repo.sites.list_for_user(email, within=within)


@app.get("/rectangle")
def rectangle(within: Annotated[LatitudeLongitudeLimits, Query()]) -> LatitudeLongitudeLimits:
    """The model itself as a group of query parameters."""
    return within


@app.post("/sites/{site_uuid}/generation")
def insert_generation(site_uuid: str, readings: list[Reading], tx: Tx) -> InsertResult:
    frame = pd.DataFrame([reading.model_dump() for reading in readings]).assign(site_uuid=site_uuid)
    return tx.generation.insert(frame)


@app.get("/sites/{site_uuid}/changes")
def count_changes(site_uuid: UUID, tx: Tx) -> dict[str, int]:
    """Own SQL, for which the package has no method."""
    asked = "SELECT coalesce(actor, ''), count(*) FROM site_history WHERE site_uuid = %s GROUP BY actor"
    return dict(tx.connection.execute(asked, [site_uuid]).fetchall())


@app.post("/site_groups/{name}", status_code=201)
def create_group(name: str, repo: Repo, service_level: int = 0) -> SiteGroup:
    return repo.site_groups.create(name, service_level=service_level)


@app.post("/refused")
def create_and_refuse(tx: Tx) -> None:
    tx.sites.create()
    raise HTTPException(418, "after a site was created")


@app.post("/sites/{site_uuid}/inverters")
def create_two_inverters(site_uuid: UUID, tx: Tx) -> dict[str, str]:
    for _ in range(2):
        tx.inverters.create(site_uuid=site_uuid)
    return {"told": "all is well"}


@app.post("/lost")
def lose_the_connection(tx: Tx, repo: Repo) -> dict[str, str]:
    """The server ends the session when the function has done its work."""
    tx.sites.create()
    pid = tx.connection.info.backend_pid
    with repo.connection() as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    return {"told": "all is well"}


@app.get("/wait")
def wait(tx: Tx) -> int:
    waiting.set()
    go_on.wait(30)
    return len(tx.sites.list())


@app.get("/busy")
def busy() -> None:
    """Take a thread, and no connection."""
    go_on.wait(30)


@app.get("/same")
def ask_twice(tx: Tx, again: Annotated[Any, Depends(lambda: None)], other: Tx) -> bool:
    return tx is other and again is None
