"""Sends ticks: says "ready", waits for a line, sends them, says "done". Argument: an order in JSON.

Sends them with `generation.insert`, or, where the order says bare, encoded before and with nothing but COPY.
"""

from __future__ import annotations

import json
import sys

import psycopg
from data import binary, sites, ticks

from pvsite_sql import Repository
from pvsite_sql.engine.queries import query

order = json.loads(sys.argv[1])
of = sites(order["dsn"], order["sites"])
frames = [ticks(of, 1, order["first"] + number) for number in range(order["warm_up"] + order["sent"])]


def ready() -> None:
    print("ready", flush=True)  # noqa: T201  to the process that started this one
    sys.stdin.readline()


if order["bare"]:
    statement = query("generation/insert_copy").statement
    encoded = [binary(frame) for frame in frames]
    with psycopg.connect(order["dsn"], autocommit=True) as connection:
        for number, rows in enumerate(encoded):
            if number == order["warm_up"]:
                ready()
            with connection.cursor().copy(statement) as copy:
                copy.write(rows)
else:
    with Repository(order["dsn"], min_size=1, max_size=1) as repo:
        for number, frame in enumerate(frames):
            if number == order["warm_up"]:  # psycopg prepares a statement after five runs
                ready()
            assert repo.generation.insert(frame).inserted == len(of)
print("done", flush=True)  # noqa: T201
