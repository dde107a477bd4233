"""Users. Each belongs to one site group."""

from __future__ import annotations

import builtins
from uuid import UUID

from .engine.inputs import as_name, as_text, as_uuid, page
from .engine.lookups import find_site_group, find_user, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .errors import MissingReference, NotFound
from .models import User

__all__ = ["Users"]


class Users:
    """`repo.users`. Methods raise `NotFound` if a user or site group does not exist. Emails are case-sensitive."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, email: str) -> User:
        """Return the user with this email.

        Raises:
            NotFound: the user does not exist.
        """
        return self._session.run("read", lambda conn: find_user(conn, email))

    def get_by_uuid(self, user_uuid: UUID | str) -> User:
        """Return the user with this UUID.

        Raises:
            NotFound: the user does not exist.
        """
        uuid = as_uuid(user_uuid, "user_uuid")
        user = self._session.run("read", lambda conn: conn.row(User, "users/get_by_uuid", user_uuid=uuid))
        if user is None:
            raise NotFound(f"no user {uuid}")
        return user

    def get_or_create(self, email: str) -> User:
        """Return the user with this email. Create the user, in the site group `site_group_for_<email>`, if necessary.

        The site group is created too, unless it exists. Concurrent calls return the same user. An existing user is only
        read, so that the call also works on a hot standby.
        """
        text = as_text(email, "email")

        def work(conn: QueryConnection) -> User:
            existing = conn.row(User, "users/get", email=text)
            return existing or conn.get_or_create(User, "users/get_or_create", email=text)

        while True:
            try:
                return self._session.run("write", work)
            except MissingReference:  # a concurrent transaction deleted the existing group
                continue

    def list(self, *, limit: int | None = None, offset: int = 0) -> builtins.list[User]:
        """Return all users, ordered by email.

        Args:
            limit: return at most this many. None means no limit.
            offset: skip this many.
        """
        part = page(limit, offset)
        return self._session.run("read", lambda conn: conn.rows(User, "users/list", **part))

    def create(self, email: str, *, site_group_name: str) -> User:
        """Create a user in an existing site group.

        Raises:
            NotFound: the site group does not exist.
            Duplicate: a user with this email already exists.
        """

        def work(conn: QueryConnection) -> User:
            find_site_group(conn, site_group_name)
            return conn.one(User, "users/create", email=as_text(email, "email"), site_group_name=site_group_name)

        with not_found_if_deleted():
            return self._session.run("write", work)

    def set_site_group(self, email: str, *, site_group_name: str) -> User:
        """Move a user to another site group and return the user.

        Raises:
            NotFound: the user or the site group does not exist.
        """

        def work(conn: QueryConnection) -> User:
            find_user(conn, email)
            find_site_group(conn, site_group_name)
            return conn.one(User, "users/set_site_group", email=email, site_group_name=site_group_name)

        with not_found_if_deleted():
            return self._session.run("write", work)

    def update(self, email: str, *, new_email: str) -> User:
        """Change the email of a user and return the user.

        The site group `site_group_for_<email>` that `get_or_create` makes is renamed to match the new email, if it
        exists. Otherwise the next user with the old email would get this group and see its sites.

        Args:
            email: the email of the user.
            new_email: the new email; must not be empty.

        Raises:
            NotFound: the user does not exist.
            Duplicate: a user with the new email, or a site group of its name, already exists.
        """
        new = as_name(new_email, "new_email")

        def work(conn: QueryConnection) -> User:
            find_user(conn, email)
            return conn.one(User, "users/update", email=email, new_email=new)

        return self._session.run("write", work)

    def delete(self, email: str) -> None:
        """Delete a user. The site group is kept. The API requests are kept, without a user.

        Raises:
            NotFound: the user does not exist.
        """

        def work(conn: QueryConnection) -> None:
            find_user(conn, email)
            conn.run("users/delete", email=email)

        self._session.run("write", work)
