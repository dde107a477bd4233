"""Clients: the owners of sites."""

from __future__ import annotations

from .engine.inputs import as_text
from .engine.session import QueryConnection, Session
from .errors import NotFound
from .models import Client

__all__ = ["Clients"]


class Clients:
    """`repo.clients`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> Client:
        """Return the client with this name.

        Raises:
            NotFound: the client does not exist.
        """
        client = self._session.run(
            "read", lambda conn: conn.row(Client, "clients/get", client_name=as_text(name, "name"))
        )
        if client is None:
            raise NotFound(f"no client {name!r}")
        return client

    def get_or_create(self, name: str) -> Client:
        """Return the client with this name. Create it if necessary. Concurrent calls return the same client.

        An existing client is only read, so that the call also works on a hot standby.
        """
        client_name = as_text(name, "name")

        def work(conn: QueryConnection) -> Client:
            existing = conn.row(Client, "clients/get", client_name=client_name)
            return existing or conn.get_or_create(Client, "clients/get_or_create", client_name=client_name)

        return self._session.run("write", work)

    def list(self) -> list[Client]:
        """Return all clients, ordered by name."""
        return self._session.run("read", lambda conn: conn.rows(Client, "clients/list"))
