"""A pgbouncer in transaction mode between the tests and their server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from pvsite_sql import embedded

PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
PORT = 6432  # of a Unix socket in a folder of its own
SECONDS = 20.0
CONFIGURATION = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr =
listen_port = {own_port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
max_client_conn = 500
default_pool_size = 40
server_idle_timeout = 5
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(host: str, port: int, user: str) -> Iterator[Callable[[str], str]]:
    """A running one before that server; what it gives turns a conninfo into one that goes through it."""
    assert PROGRAM is not None, "the program pgbouncer is not installed"
    account = embedded._account()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/tmp") as name:
        folder = Path(name)
        configuration = CONFIGURATION.format(host=host, port=port, own_port=PORT, folder=folder)
        (folder / "configuration").write_text(configuration)
        (folder / "users").write_text(f'"{user}" ""\n')
        if account:  # it does not run as root
            os.chown(folder, account["user"], account["group"])
        process = subprocess.Popen(
            [PROGRAM, folder / "configuration"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **embedded._surroundings(account),
        )
        place = {"host": name, "port": PORT}
        try:
            _wait(process, make_conninfo(user=user, dbname="postgres", **place), folder / "log")
            yield lambda conninfo: make_conninfo(conninfo, **place)
        finally:
            process.terminate()
            process.wait(SECONDS)


def _wait(process: subprocess.Popen[bytes], conninfo: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(psycopg.OperationalError):
            psycopg.connect(conninfo).close()
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
