"""pvsite-datamodel 1.0.6, in an environment and on tables of its own. Reads an order and answers in JSON."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from uuid import UUID

import numpy as np
import pandas as pd
from pvsite_datamodel.connection import DatabaseConnection
from pvsite_datamodel.read.generation import get_pv_generation_by_sites
from pvsite_datamodel.read.latest_forecast_values import get_latest_forecast_values_by_site
from pvsite_datamodel.sqlmodels import Base, ForecastSQL, ForecastValueSQL
from pvsite_datamodel.write.generation import insert_generation_values


def create(database, order):
    Base.metadata.create_all(database.engine)


def insert_generation(database, order):
    return [_insert_generation(database, file) for file in order["files"]]


def _insert_generation(database, file):
    with np.load(file) as data:
        sites = [UUID(str(site)) for site in data["sites"]]
        frame = pd.DataFrame(
            {
                "site_uuid": [sites[code] for code in data["codes"]],
                "start_utc": pd.DatetimeIndex(data["start"].view("M8[us]").astype("M8[ns]")),
                "power_kw": data["power"],
            }
        )
    error = None
    with database.get_session() as session:
        session.connection()
        begin = time.perf_counter()
        try:
            insert_generation_values(session, frame)
            session.commit()
        except Exception as raised:  # noqa: BLE001  what it says of bad rows is the answer
            error = f"{type(raised).__name__}: {raised}"
        return {"seconds": time.perf_counter() - begin, "error": error}


def insert_forecasts(database, order):
    """A forecast of each site, with its values, by the ORM: 1.0.6 has no call for it."""
    timestamp = dt.datetime.fromisoformat(order["timestamp"]).replace(tzinfo=None)
    power = np.random.default_rng(1).uniform(0, 4, (len(order["sites"]), order["slots"])).tolist()
    sites = [UUID(site) for site in order["sites"]]
    quarter = dt.timedelta(minutes=15)
    with database.get_session() as session:
        session.connection()
        begin = time.perf_counter()
        forecasts = [
            ForecastSQL(
                site_uuid=site,
                timestamp_utc=timestamp,
                forecast_version="1",
                forecast_values=[
                    ForecastValueSQL(
                        start_utc=timestamp + slot * quarter,
                        end_utc=timestamp + (slot + 1) * quarter,
                        forecast_power_kw=value,
                        horizon_minutes=15 * slot,
                    )
                    for slot, value in enumerate(values)
                ],
            )
            for site, values in zip(sites, power, strict=True)
        ]
        session.add_all(forecasts)
        session.commit()
        return {"seconds": time.perf_counter() - begin}


def read_generation(database, order):
    sites = [UUID(site) for site in order["sites"]]
    with database.get_session() as session:
        session.connection()
        begin = time.perf_counter()
        rows = get_pv_generation_by_sites(session, site_uuids=sites)
        return {"seconds": time.perf_counter() - begin, "rows": len(rows)}


def latest(database, order):
    sites = [UUID(site) for site in order["sites"]]
    start = dt.datetime.fromisoformat(order["start"]).replace(tzinfo=None)
    with database.get_session() as session:
        session.connection()
        begin = time.perf_counter()
        found = get_latest_forecast_values_by_site(session, site_uuids=sites, start_utc=start)
        took = time.perf_counter() - begin
        values = [value.forecast_power_kw for of_site in found.values() for value in of_site]
        return {"seconds": took, "rows": len(values), "sum": sum(values)}


def latest_sums(database, order):
    sites = [UUID(site) for site in order["sites"]]
    start = dt.datetime.fromisoformat(order["start"]).replace(tzinfo=None)
    with database.get_session() as session:
        session.connection()
        begin = time.perf_counter()
        found = get_latest_forecast_values_by_site(session, site_uuids=sites, start_utc=start, sum_by=order["sum_by"])
        took = time.perf_counter() - begin
        return {"seconds": took, "sums": [[f"{sum_.start_utc:%F %T}", sum_.name, sum_.power_kw] for sum_ in found]}


CALLS = (create, insert_generation, insert_forecasts, read_generation, latest, latest_sums)
METHODS = {call.__name__: call for call in CALLS}
order = json.load(sys.stdin)
answer = METHODS[order["method"]](DatabaseConnection(order["dsn"], echo=False), order)
sys.stdout.write(json.dumps(answer))
