"""A relay between client and server that sees the rows and the COMMIT of a call pass, and lets a fault happen there."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Literal, Self

import psycopg
from psycopg.conninfo import make_conninfo

SECONDS = 20.0


@dataclass
class _Link:
    """A client, the server's socket for it, and what the two have come to."""

    client: socket.socket
    server: socket.socket
    backend: int = 0
    has_rows: bool = False
    ends_at_commit: bool = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Clients reach the server of a connection at `dsn(...)`.

    `copied` counts the bytes of rows (CopyData) that clients have sent since `count`, `strike` or `cut`.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._place = connection.info.host, connection.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[_Link] = []
        self._threads: list[Thread] = []
        self._stopped = False
        self.count()

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        socket.create_connection(self._listener.getsockname()).close()  # wakes it up
        for link in self._links:
            link.cut()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        self._listener.close()

    def dsn(self, dsn: str) -> str:
        """The same database through the proxy."""
        port = self._listener.getsockname()[1]
        return make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

    def count(self) -> None:
        """Count the bytes of rows from here on; no fault happens."""
        self.copied = 0
        self._byte, self._strike = -1, lambda backend: None
        self._cut = ""

    def strike(self, byte: int, fault: Callable[[int], object]) -> None:
        """Call `fault` with the backend's pid before the byte of the rows passes that has so many before it."""
        self.count()
        self._byte, self._strike = byte, fault

    def cut(self, when: Literal["before", "after"]) -> None:
        """Cut it at the next COMMIT of rows: before it reaches the server, or when the server has done it."""
        self.count()
        self._cut = when

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            client = self._listener.accept()[0]
            if self._stopped:
                client.close()
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                server = self._connect()
            except OSError:  # it is down
                client.close()
                continue
            self._links.append(link := _Link(client, server))
            self._begin(self._relay, link, client, self._from_client)
            self._begin(self._relay, link, server, self._from_server)

    def _connect(self) -> socket.socket:
        host, port = self._place
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _relay(self, link: _Link, source: socket.socket, pass_on: Callable[[_Link, bytes, bytes], None]) -> None:
        with suppress(OSError, struct.error, ValueError), source.makefile("rb") as stream:
            if source is link.client:  # its first message has no type
                link.server.sendall(size := stream.read(4))
                link.server.sendall(stream.read(struct.unpack("!I", size)[0] - 4))
            while header := stream.read(5):
                pass_on(link, header, stream.read(struct.unpack("!I", header[1:])[0] - 4))
        link.cut()
        source.close()

    def _from_client(self, link: _Link, header: bytes, body: bytes) -> None:
        if header[:1] == b"d":
            link.has_rows = True
            before, self.copied = self.copied, self.copied + len(body)
            if before <= self._byte < self.copied:
                first, body = body[: self._byte - before], body[self._byte - before :]
                link.server.sendall(struct.pack("!cI", b"d", 4 + len(first)) + first)
                header = struct.pack("!cI", b"d", 4 + len(body))
                self._strike(link.backend)
        elif header[:1] in b"QP" and b"COMMIT" in body.split(b"\0") and link.has_rows:
            link.has_rows = False
            if self._cut == "before":
                self._cut = ""
                link.cut()
            link.ends_at_commit, self._cut = self._cut == "after", ""
        link.server.sendall(header + body)

    def _from_server(self, link: _Link, header: bytes, body: bytes) -> None:
        if header[:1] == b"K":
            (link.backend,) = struct.unpack_from("!I", body)
        if link.ends_at_commit and header[:1] == b"C" and body == b"COMMIT\0":
            link.cut()
        link.client.sendall(header + body)
