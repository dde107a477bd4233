"""A server of a test's own, with fsync on, that can be stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from pvsite_sql import embedded, migrate

from .proxy import SECONDS

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor this way to run a server")


class OwnServer:
    """The data folder of a throw-away server, run by the test itself."""

    def __init__(self, kept: embedded.Server) -> None:
        self._kept = kept
        self._surroundings = embedded._surroundings(embedded._account())
        self._command = [kept.bin_dir / "postgres", "-D", kept.data_dir]
        self._process: subprocess.Popen[bytes]
        subprocess.run(
            [kept.bin_dir / "pg_ctl", "stop", "-D", kept.data_dir, "-m", "fast"],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._surroundings,
        )

    def database(self, name: str) -> str:
        """The conninfo of a new database with all migrations."""
        dsn = self._kept.create_database(name)
        migrate.apply(dsn)
        return dsn

    def start(self) -> None:
        """Start it, and wait until it lets people in."""
        deadline = time.monotonic() + SECONDS
        while True:  # as long as a process of a killed server lives, the next one refuses to start
            assert time.monotonic() < deadline, self._kept.log_file.read_text()
            with self._kept.log_file.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._surroundings)
            while self._process.poll() is None:
                with suppress(psycopg.OperationalError):
                    psycopg.connect(self._kept.dsn()).close()
                    return
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT (fast), SIGQUIT (immediate), or SIGKILL to all of its processes."""
        pids = []
        if how == signal.SIGKILL:
            with psycopg.connect(self._kept.dsn()) as connection:
                pids = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity").fetchall()]
                self._process.send_signal(signal.SIGSTOP)  # it would end them in its own way
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, how)
                connection.close()
        self._process.send_signal(how)
        self._process.wait(SECONDS)

    def restart(self, how: signal.Signals) -> None:
        """End it and start it again."""
        self.stop(how)
        self.start()

    def end(self) -> None:
        """End it for good."""
        if self._process.poll() is None:
            self.stop()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A running one; without a PostgreSQL to start the test is skipped."""
    try:
        with embedded.server(settings={"max_connections": "60"}) as kept:
            own = OwnServer(kept)
            own.start()
            try:
                yield own
            finally:
                own.end()
    except embedded.EmbeddedUnavailable as error:
        pytest.skip(f"no server of its own can be started here: {error}")
