"""Databases with the tables of pvsite-datamodel's versions, and rows in them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

LAYOUTS = {
    "1.0.6": ["old_1_0_6.sql"],
    "1.0.58": ["old_1_0_6.sql", "old_1_0_58.sql"],
    "1.2.15": ["old_1_2_15.sql"],
}
RENAMED = {
    "sites": "locations",
    "site_uuid": "location_uuid",
    "client_site_id": "client_location_id",
    "client_site_name": "client_location_name",
    "site_groups": "location_groups",
    "site_group_uuid": "location_group_uuid",
    "site_group_name": "location_group_name",
    "site_group_sites": "location_group_locations",
    "site_group_site_uuid": "location_group_location_uuid",
    "sites_history": "locations_history",
    "site_history_uuid": "location_history_uuid",
    "site_data": "location_data",
}
CREATED = datetime(2024, 5, 1, 12, 0, 0, 123456)  # noqa: DTZ001  as they have it: UTC without saying so
BEGIN = datetime(2024, 5, 31, 22)  # noqa: DTZ001
QUARTER = timedelta(minutes=15)

# the same ids everywhere, so that tests can name them
CLIENT, MODEL, GROUP, OTHER_GROUP = UUID(int=0xC1), UUID(int=0xD1), UUID(int=0xA1), UUID(int=0xA2)
USER, OTHER_USER = UUID(int=0xE1), UUID(int=0xE2)
SITES = [UUID(int=n) for n in (1, 2, 3)]
METADATA = {"panels": [{"make": None, "count": 12}], "none": None}


class Old:
    """A database of one of the versions. Tables and columns go by the names that 1.0.6 has for them."""

    def __init__(self, connection: psycopg.Connection, version: str) -> None:
        self.connection = connection
        self.version = version
        self.has_models = version != "1.0.6"
        connection.autocommit = True
        for file in LAYOUTS[version]:
            connection.execute((Path(__file__).parent / file).read_bytes())

    def name(self, of: str) -> str:
        return RENAMED.get(of, of) if self.version == "1.2.15" else of

    def add(self, table: str, **columns: object) -> None:
        columns = {"created_utc": CREATED, **columns}
        self.connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(self.name(table)),
                sql.SQL(", ").join(sql.Identifier(self.name(column)) for column in columns),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            ),
            [Jsonb(value) if isinstance(value, dict) else value for value in columns.values()],
        )

    def run(self, statement: str) -> list[tuple]:
        """A statement with 1.0.6's names in braces."""
        names = {name: self.name(name) for name in RENAMED}
        done = self.connection.execute(statement.format(**names).encode())
        return done.fetchall() if done.description else []

    def change(self, site: UUID, operation: str, at: datetime | None = CREATED, by: UUID | None = None) -> None:
        """What the triggers of the later versions write when a site changes: its row, which it has now."""
        statement = """
            INSERT INTO {sites_history}
                ({site_history_uuid}, {site_uuid}, {site_data}, changed_by, operation_type, created_utc)
            SELECT gen_random_uuid(), s.{site_uuid}, to_jsonb(s), %s, %s, %s FROM {sites} AS s WHERE s.{site_uuid} = %s
        """
        names = {name: self.name(name) for name in RENAMED}
        self.connection.execute(statement.format(**names).encode(), [by, operation, at, site])

    def reading(self, site: UUID, start: datetime, power: float, *, lasts=QUARTER, **columns: object) -> None:
        given = {
            "site_uuid": site,
            "start_utc": start,
            "end_utc": start + lasts,
            "generation_power_kw": power,
            **columns,
        }
        self.add("generation", **{"generation_uuid": uuid4(), **given})

    def forecast(self, forecast: UUID, site: UUID, timestamp: datetime = BEGIN, **columns: object) -> UUID:
        given = {"site_uuid": site, "timestamp_utc": timestamp, "forecast_version": "1", **columns}
        self.add("forecasts", forecast_uuid=forecast, **given)
        return forecast

    def value(self, forecast: UUID, start: datetime, power: float, *, lasts=QUARTER, **columns: object) -> None:
        given = {"start_utc": start, "end_utc": start + lasts, "forecast_power_kw": power, **columns}
        self.add("forecast_values", forecast_value_uuid=uuid4(), forecast_uuid=forecast, **given)

    def fill(self) -> None:
        """Some of everything, all of which has a place."""
        more = {"service_level": 1} if self.has_models else {}
        self.add("site_groups", site_group_uuid=GROUP, site_group_name="company", **more)
        self.add("site_groups", site_group_uuid=OTHER_GROUP, site_group_name="ocf")
        self.add("users", user_uuid=USER, email="a@example.com", site_group_uuid=GROUP)
        self.add("users", user_uuid=OTHER_USER, email="b@example.com", site_group_uuid=OTHER_GROUP)
        if self.has_models:
            self.add("clients", client_uuid=CLIENT, client_name="a client")
            self.add("ml_model", model_uuid=MODEL, name="a model", version="3")
        for number, site in enumerate(SITES):
            more = {
                "client_uuid": CLIENT,
                "asset_type": "wind",
                "active": False,
                "country": "nl",
                "ml_model_uuid": MODEL,
            }
            if self.version == "1.2.15":
                more["location_metadata"] = METADATA
            self.add(
                "sites",
                site_uuid=site,
                client_site_id=number,
                client_site_name=f"site {number}",
                ml_id=10 * number + 7,
                latitude=51.5,
                longitude=-0.1,
                capacity_kw=4 + number / 7,
                tilt=30,
                **(more if self.has_models and number == 1 else {}),
            )
            if self.has_models:
                self.change(site, "INSERT", by=USER)
            self.add("site_group_sites", site_group_site_uuid=uuid4(), site_group_uuid=OTHER_GROUP, site_uuid=site)
            self.add("inverters", inverter_uuid=uuid4(), site_uuid=site)
            for slot in range(12):  # over the end of a month
                self.reading(site, BEGIN + slot * QUARTER, number + slot / 7)
        self.add("status", status_uuid=uuid4(), status="ok", message="all is well")
        self.add("api_request", uuid=uuid4(), url="/sites", user_uuid=USER)
        self.add("api_request", uuid=uuid4(), url="/docs")
        for number, site in enumerate(SITES):
            forecast = self.forecast(UUID(int=0xF0 + number), site)
            for slot in (0, 3, 1, 4):  # one that is left out, and out of order
                more = {"ml_model_uuid": MODEL, "probabilistic_values": {"p10": slot / 3, "p90": slot}}
                self.value(forecast, BEGIN + slot * QUARTER, slot / 7, **(more if self.has_models else {}))
