"""A slow link to the server, as between two data centres, which counts the trips that a client waits for."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

_PART = 1 << 16


class SlowLink:
    """Clients reach the server of a connection at `dsn(...)`; what either side sends arrives `delay_s` later.

    A trip is what a client sends until it hears of the server, and the answer. What it sends on without waiting, as
    in a pipeline, is the same trip. A client that a busy machine stops for longer than two delays in the middle of its
    sending is counted once too often, never once too little.
    """

    def __init__(self, connection: psycopg.Connection, delay_s: float) -> None:
        self._place = connection.info.host, connection.info.port
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = Lock()
        self._trips = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def dsn(self, dsn: str) -> str:
        """The same database over the link."""
        port = self._listener.getsockname()[1]
        return make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

    def trips(self) -> int:
        """How many there were since it was asked the last time."""
        with self._lock:
            trips, self._trips = self._trips, 0
        return trips

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:  # the end
                return
            host, port = self._place
            if host.startswith("/"):
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{host}/.s.PGSQL.{port}")
            else:
                server = socket.create_connection((host, port))
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            _Line(self, client, server).open()

    def _count(self) -> None:
        with self._lock:
            self._trips += 1


class _Line:
    """A client's connection over the link."""

    def __init__(self, link: SlowLink, client: socket.socket, server: socket.socket) -> None:
        self._link = link
        self._client = client
        self._server = server
        self._heard = True  # whether the client has heard of the server since it sent

    def open(self) -> None:
        for source, target in ((self._client, self._server), (self._server, self._client)):
            parts: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            Thread(target=self._receive, args=(source, parts), daemon=True).start()
            Thread(target=self._deliver, args=(target, parts), daemon=True).start()

    def _receive(self, source: socket.socket, parts: SimpleQueue[tuple[float, bytes]]) -> None:
        part = b"."
        while part:
            try:
                part = source.recv(_PART)
            except OSError:
                part = b""
            if part and source is self._client and self._heard:
                self._heard = False
                self._link._count()
            parts.put((time.monotonic() + self._link._delay_s, part))

    def _deliver(self, target: socket.socket, parts: SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            due, part = parts.get()
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            with suppress(OSError):
                if not part:
                    target.shutdown(socket.SHUT_WR)
                    return
                if target is self._client:
                    self._heard = True
                target.sendall(part)
