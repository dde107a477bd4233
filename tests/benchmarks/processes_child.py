"""Sends ticks: says "ready", waits for a line, sends them, says "done". Argument: an order in JSON."""

from __future__ import annotations

import json
import sys

from data import sites, ticks

from pvsite_sql import Repository

order = json.loads(sys.argv[1])
of = sites(order["dsn"], order["sites"])
frames = [ticks(of, 1, order["first"] + number) for number in range(order["warm_up"] + order["sent"])]
with Repository(order["dsn"], min_size=1, max_size=1) as repo:
    for frame in frames[: order["warm_up"]]:  # psycopg prepares a statement after five runs
        repo.generation.insert(frame)
    print("ready", flush=True)  # noqa: T201  to the process that started this one
    sys.stdin.readline()
    for frame in frames[order["warm_up"] :]:
        assert repo.generation.insert(frame).inserted == len(of)
    print("done", flush=True)  # noqa: T201
