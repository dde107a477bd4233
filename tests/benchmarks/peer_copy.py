"""Peers that write readings into the same table: from a pandas frame, as one would with them.

Runs in an environment of its own. Reads an order (JSON: method, dsn, files) and answers with seconds and error a file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from uuid import UUID

import adbc_driver_postgresql.dbapi
import asyncpg
import numpy as np
import pandas as pd
import pgcopy
import psycopg
import psycopg2
import pyarrow as pa

COLUMNS = ["site_uuid", "start_utc", "end_utc", "generation_power_kw"]


def load(file):
    with np.load(file) as data:
        start = pd.DatetimeIndex(data["start"].view("M8[us]")).tz_localize("UTC")
        sites = [str(site) for site in data["sites"]]
        return pd.DataFrame(
            {
                "site_uuid": [UUID(sites[code]) for code in data["codes"]],
                "start_utc": start,
                "end_utc": start + pd.Timedelta(minutes=5),
                "generation_power_kw": data["power"],
            }
        )


def with_pgcopy(dsn, frame):
    connection = psycopg2.connect(dsn)

    def work():
        pgcopy.CopyManager(connection, "generation", COLUMNS).copy(frame.itertuples(index=False, name=None))
        connection.commit()

    return work, connection.close


def with_adbc(dsn, frame):
    connection = adbc_driver_postgresql.dbapi.connect(dsn)

    def work():
        # its COPY is binary, so the uuid has to come as the server's own sixteen bytes
        site = pa.array([site.bytes for site in frame["site_uuid"]], pa.binary(16))
        rest = pa.Table.from_pandas(frame[COLUMNS[1:]], preserve_index=False)
        with connection.cursor() as cursor:
            cursor.adbc_ingest("generation", rest.add_column(0, "site_uuid", site), mode="append")
        connection.commit()

    return work, connection.close


def with_asyncpg(dsn, frame):
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(dsn))

    def work():
        records = frame.itertuples(index=False, name=None)
        loop.run_until_complete(connection.copy_records_to_table("generation", records=records, columns=COLUMNS))

    def close():
        loop.run_until_complete(connection.close())
        loop.close()

    return work, close


def with_executemany(dsn, frame):
    connection = psycopg.connect(dsn)

    def work():
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO generation ({', '.join(COLUMNS)}) VALUES (%s, %s, %s, %s)",
                frame.itertuples(index=False, name=None),
            )
        connection.commit()

    return work, connection.close


METHODS = {"pgcopy": with_pgcopy, "adbc": with_adbc, "asyncpg": with_asyncpg, "executemany": with_executemany}


def timed(method, dsn, file):
    work, close = METHODS[method](dsn, load(file))
    error = None
    begin = time.perf_counter()
    try:
        work()
    except Exception as raised:  # noqa: BLE001  what a peer says of bad rows is the answer
        error = f"{type(raised).__name__}: {raised}"
    took = time.perf_counter() - begin
    close()
    return {"seconds": took, "error": error}


order = json.load(sys.stdin)
sys.stdout.write(json.dumps([timed(order["method"], order["dsn"], file) for file in order["files"]]))
