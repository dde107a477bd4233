"""Clients: the owners of sites."""

from __future__ import annotations

import builtins

from .engine.inputs import as_name, as_text, page
from .engine.lookups import find_client
from .engine.session import QueryConnection, Session
from .errors import ConstraintError, MissingReference
from .models import Client

__all__ = ["Clients"]


class Clients:
    """`repo.clients`. Methods raise `NotFound` if a client does not exist. Names are case-sensitive."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> Client:
        """Return the client with this name.

        Raises:
            NotFound: the client does not exist.
        """
        return self._session.run("read", lambda conn: find_client(conn, as_text(name, "name")))

    def get_or_create(self, name: str) -> Client:
        """Return the client with this name. Create it if necessary. Concurrent calls return the same client.

        An existing client is only read, so that the call also works on a hot standby.
        """
        client_name = as_text(name, "name")

        def work(conn: QueryConnection) -> Client:
            existing = conn.row(Client, "clients/get", client_name=client_name)
            return existing or conn.get_or_create(Client, "clients/get_or_create", client_name=client_name)

        return self._session.run("write", work)

    def list(self, *, limit: int | None = None, offset: int = 0) -> builtins.list[Client]:
        """Return all clients, ordered by name.

        Args:
            limit: return at most this many. None means no limit.
            offset: skip this many.
        """
        part = page(limit, offset)
        return self._session.run("read", lambda conn: conn.rows(Client, "clients/list", **part))

    def rename(self, name: str, new_name: str) -> Client:
        """Give a client another name and return the client. It keeps its sites.

        Args:
            name: the name of the client.
            new_name: the new name; must not be empty.

        Raises:
            NotFound: the client does not exist.
            Duplicate: a client with the new name already exists.
        """
        new = as_name(new_name, "new_name")

        def work(conn: QueryConnection) -> Client:
            find_client(conn, as_text(name, "name"))
            return conn.one(Client, "clients/rename", client_name=name, new_name=new)

        return self._session.run("write", work)

    def delete(self, name: str) -> None:
        """Delete a client that has no sites.

        Raises:
            NotFound: the client does not exist.
            ConstraintError: the client still has sites. Nothing is deleted.
        """

        def work(conn: QueryConnection) -> None:
            find_client(conn, as_text(name, "name"))
            conn.run("clients/delete", client_name=name)

        try:
            self._session.run("write", work)
        except MissingReference as error:
            raise ConstraintError(
                f"client {name!r} still has sites: give them to another client or delete them first",
                constraint_name=error.constraint_name,
            ) from error
