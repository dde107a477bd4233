"""Two servers of a test's own that replicate, of each kind that the machine has."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import psycopg
import pytest
from psycopg import sql

from pvsite_sql import embedded

from .proxy import SECONDS

KINDS = ("wheel", "local")
Kind = Literal["wheel", "local"]
TABLES = """
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition AND c.relname !~ 'yoyo'
    ORDER BY 1
"""
SETTINGS = {"fsync": "off", "wal_level": "logical", "max_wal_senders": "20", "max_replication_slots": "20"}


@contextmanager
def server(kind: Kind, **settings: str) -> Iterator[embedded.Server]:
    """A server that can be replicated from and to; without one of this kind the test is skipped."""
    try:
        with embedded.server(kind=kind, settings={**SETTINGS, **settings}) as running:
            yield running
    except embedded.EmbeddedUnavailable as error:
        pytest.skip(f"no {kind} server can be started here: {error}")


def run_program(server: embedded.Server, name: str, *arguments: object) -> str:
    """Run a program of the server's version, as the server's account."""
    done = embedded._run([server.bin_dir / name, *map(str, arguments)], embedded._account())
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def standby_of(primary: embedded.Server) -> Iterator[embedded.Server]:
    """A hot standby, made by pg_basebackup and fed by streaming."""
    folder = primary.data_dir.parent / "standby"
    run_program(primary, "pg_basebackup", "-d", primary.dsn(), "-D", folder, "-R", "-X", "stream", "-c", "fast")
    standby = embedded.Server(
        host=primary.host,
        port=primary.port + 1,  # a part of the socket's name
        user=primary.user,
        password=primary.password,
        version=primary.version,
        bin_dir=primary.bin_dir,
        data_dir=folder,
        log_file=folder / "log",
    )
    surroundings = embedded._surroundings(embedded._account())
    with (primary.log_file.parent / "standby.log").open("ab") as log:
        command = [primary.bin_dir / "postgres", "-D", folder, "-c", f"port={standby.port}"]
        child = subprocess.Popen(command, stdout=log, stderr=log, **surroundings)
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(psycopg.OperationalError):
                psycopg.connect(standby.dsn()).close()
                break
            assert time.monotonic() < deadline, (primary.log_file.parent / "standby.log").read_text()
            time.sleep(0.02)
        yield standby
    finally:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS)
        child.kill()
        child.wait()


def caught_up(primary: embedded.Server, standby: embedded.Server) -> None:
    """Wait until the standby has replayed what the primary has written so far."""
    with psycopg.connect(primary.dsn()) as writer, psycopg.connect(standby.dsn(), autocommit=True) as reader:
        (written,) = writer.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or ("",)
        deadline = time.monotonic() + SECONDS
        while reader.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [written]).fetchone() != (True,):
            assert time.monotonic() < deadline, "the standby does not catch up"
            time.sleep(0.02)


def rows(dsn: str) -> dict[str, tuple[int, str]]:
    """The number of rows in each table of the package, and a hash of them."""
    found = {}
    with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
        for (name,) in connection.execute(TABLES).fetchall():
            asked = sql.SQL("SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} AS t")
            found[name] = connection.execute(asked.format(sql.Identifier(name))).fetchone() or (0, "")
    return found
