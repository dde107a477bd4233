"""Users, each in one site group."""

from __future__ import annotations

import builtins

from .engine.inputs import as_text
from .engine.lookups import find_site_group, find_user, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .errors import MissingReference
from .models import User

__all__ = ["Users"]


class Users:
    """`repo.users`; wherever a user or a group is named that does not exist, `NotFound` is raised."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, email: str) -> User:
        """The user of that email.

        Raises:
            NotFound: there is none.
        """
        return self._session.run("read", lambda conn: find_user(conn, email))

    def get_or_create(self, email: str) -> User:
        """The user of that email; if there is none, made with a group of its own, `site_group_for_<email>`.

        Safe for any number of concurrent callers; a group of that name that is left over is used again.
        """
        while True:
            try:
                return self._session.run(
                    "write", lambda conn: conn.get_or_create(User, "users/get_or_create", email=as_text(email, "email"))
                )
            except MissingReference:  # another deleted the group that was left over: it is made anew
                continue

    def list(self) -> builtins.list[User]:
        """All users, by email."""
        return self._session.run("read", lambda conn: conn.rows(User, "users/list"))

    def create(self, email: str, *, site_group_name: str) -> User:
        """Make a user in a group that there is.

        Raises:
            Duplicate: there is a user of that email.
        """

        def work(conn: QueryConnection) -> User:
            find_site_group(conn, site_group_name)
            return conn.one(User, "users/create", email=as_text(email, "email"), site_group_name=site_group_name)

        with not_found_if_deleted():
            return self._session.run("write", work)

    def set_site_group(self, email: str, *, site_group_name: str) -> User:
        """Move a user into another group; returns the user."""

        def work(conn: QueryConnection) -> User:
            find_user(conn, email)
            find_site_group(conn, site_group_name)
            return conn.one(User, "users/set_site_group", email=email, site_group_name=site_group_name)

        with not_found_if_deleted():
            return self._session.run("write", work)

    def delete(self, email: str) -> None:
        """Delete a user; the group stays, API requests stay without a user."""

        def work(conn: QueryConnection) -> None:
            find_user(conn, email)
            conn.run("users/delete", email=email)

        self._session.run("write", work)
