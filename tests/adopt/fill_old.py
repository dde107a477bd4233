"""Makes and fills a database with the pvsite-datamodel that is installed beside it, by its own models and calls.

python fill_old.py DSN SITES READINGS_A_SITE FORECASTS_A_SITE VALUES_A_FORECAST
"""

from __future__ import annotations

import datetime as dt
import random
import sys
import uuid

import pandas as pd
import sqlalchemy
from pvsite_datamodel import sqlmodels as old
from pvsite_datamodel.connection import DatabaseConnection
from pvsite_datamodel.write.generation import insert_generation_values

BEGIN = dt.datetime(2024, 5, 30)  # noqa: DTZ001  as they have it: UTC without saying so
QUARTER = dt.timedelta(minutes=15)
HAS_LOCATIONS = hasattr(old, "LocationSQL")
HAS_MODELS = hasattr(old, "MLModelSQL")


def fill_names(session, sites):
    """Everything but readings and forecasts; the sites."""
    if HAS_LOCATIONS:
        make_group, make_site = old.LocationGroupSQL, old.LocationSQL
        groups = [make_group(location_group_name=f"group {n}", service_level=n) for n in range(3)]
        model = old.MLModelSQL(name="a model", version="2")
        session.add(model)
        session.flush()
        every = [
            make_site(
                client_location_id=n,
                client_location_name=f"site {n}",
                latitude=50 + n / 1000,
                longitude=-n / 1000,
                capacity_kw=4 + n / 7,
                ml_id=n,
                asset_type="wind" if n % 5 == 0 else "pv",
                active=n % 7 != 0,
                country="nl",
                tilt=30,
                ml_model_uuid=model.model_uuid if n % 3 == 0 else None,
                location_metadata={"panels": [n, None]} if n % 2 == 0 else None,
            )
            for n in range(sites)
        ]
    else:
        make_group, make_site = old.SiteGroupSQL, old.SiteSQL
        groups = [make_group(site_group_name=f"group {n}") for n in range(3)]
        every = [
            make_site(
                client_site_id=n,
                client_site_name=f"site {n}",
                latitude=50 + n / 1000,
                longitude=-n / 1000,
                capacity_kw=4 + n / 7,
                ml_id=n,
                dno="dno",
                orientation=180,
            )
            for n in range(sites)
        ]
    if HAS_LOCATIONS:
        client = old.ClientSQL(client_name="a client")
        for site in every[::2]:
            site.client = client
    for number, site in enumerate(every):
        (groups[number % 3].locations if HAS_LOCATIONS else groups[number % 3].sites).append(site)
    session.add_all([*groups, *every])
    for number in range(5):
        link = {"location_group" if HAS_LOCATIONS else "site_group": groups[number % 3]}
        user = old.UserSQL(email=f"user{number}@example.com", **link)
        session.add(user)
        session.flush()
        user_uuid = user.user_uuid if sqlalchemy.__version__ >= "2" else str(user.user_uuid)
        session.add_all([old.APIRequestSQL(url="/sites", user_uuid=user_uuid), old.APIRequestSQL(url="/docs")])
    session.add(old.StatusSQL(status="ok", message="all is well"))
    session.flush()
    key = "location_uuid" if HAS_LOCATIONS else "site_uuid"
    session.add_all([old.InverterSQL(**{key: getattr(site, key)}) for site in every[:10]])
    if HAS_LOCATIONS:
        fill_history(session, user)
    session.commit()
    return [getattr(site, key) for site in every]


def fill_history(session, user):
    """What the triggers write, which come with the migrations alone: a change of each site."""
    rows = session.execute(sqlalchemy.text("SELECT l.location_uuid, to_jsonb(l) FROM locations AS l")).all()
    made = [
        old.LocationHistorySQL(
            location_uuid=site, location_data=data, changed_by=user.user_uuid, operation_type="INSERT"
        )
        for site, data in rows
    ]
    session.add_all(made)


def fill_generation(session, sites, readings):
    for site in sites:
        times = pd.date_range(BEGIN, periods=readings, freq="5min")
        power = [random.uniform(-0.01, 4) for _ in times]
        insert_generation_values(session, pd.DataFrame({"site_uuid": site, "start_utc": times, "power_kw": power}))
        session.commit()


def fill_forecasts(session, sites, forecasts, values):
    for number in range(forecasts):
        timestamp = BEGIN + number * dt.timedelta(hours=6)
        if HAS_MODELS:
            for site in sites:
                later(session, site, timestamp, values)
        else:
            made = [
                old.ForecastSQL(
                    forecast_uuid=uuid.uuid4(), site_uuid=site, timestamp_utc=timestamp, forecast_version="1.0"
                )
                for site in sites
            ]
            session.add_all(made)
            session.flush()
            rows = [
                {"forecast_uuid": each.forecast_uuid, **row} for each in made for row in value_rows(timestamp, values)
            ]
            session.bulk_insert_mappings(old.ForecastValueSQL, rows)
        session.commit()


def later(session, site, timestamp, values):
    """As the later versions write a forecast, with a model and probabilistic values."""
    from pvsite_datamodel.write.forecast import insert_forecast_values  # noqa: PLC0415  1.0.6 has none

    rows = pd.DataFrame(value_rows(timestamp, values))
    if hasattr(old.ForecastValueSQL, "probabilistic_values"):
        rows["probabilistic_values"] = [{"p10": power / 2, "p90": power * 1.5} for power in rows["forecast_power_kw"]]
    meta = {
        "location_uuid" if HAS_LOCATIONS else "site_uuid": site,
        "timestamp_utc": timestamp,
        "forecast_version": "2.0",
    }
    insert_forecast_values(session, meta, rows, ml_model_name="a model", ml_model_version="3")


def value_rows(timestamp, values):
    return [
        {
            "start_utc": timestamp + n * QUARTER,
            "end_utc": timestamp + (n + 1) * QUARTER,
            "forecast_power_kw": random.uniform(0, 4),
            "horizon_minutes": 15 * n,
        }
        for n in range(values)
    ]


def main():
    dsn, *sizes = sys.argv[1:]
    sites, readings, forecasts, values = map(int, sizes)
    database = DatabaseConnection(dsn, echo=False)
    old.Base.metadata.create_all(database.engine)
    with database.get_session() as session:
        every = fill_names(session, sites)
        fill_generation(session, every, readings)
        fill_forecasts(session, every, forecasts, values)


main()
