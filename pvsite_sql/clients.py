"""Clients: who hands in sites."""

from __future__ import annotations

from .engine.inputs import as_text
from .engine.session import Session
from .errors import NotFound
from .models import Client

__all__ = ["Clients"]


class Clients:
    """`repo.clients`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> Client:
        """The client of that name.

        Raises:
            NotFound: there is none.
        """
        found = self._session.run(
            "read", lambda conn: conn.row(Client, "clients/get", client_name=as_text(name, "name"))
        )
        if found is None:
            raise NotFound(f"no client {name!r}")
        return found

    def get_or_create(self, name: str) -> Client:
        """The client of that name, made if there is none; safe for any number of concurrent callers."""
        return self._session.run(
            "write", lambda conn: conn.get_or_create(Client, "clients/get_or_create", client_name=as_text(name, "name"))
        )

    def list(self) -> list[Client]:
        """All clients, by name."""
        return self._session.run("read", lambda conn: conn.rows(Client, "clients/list"))
