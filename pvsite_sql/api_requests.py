"""Requests that users made to an API."""

from __future__ import annotations

from datetime import datetime

from .engine.inputs import as_optional_text, as_text, window
from .engine.lookups import find_user, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .models import ApiRequest

__all__ = ["ApiRequests"]


class ApiRequests:
    """`repo.api_requests`; an unknown user raises `NotFound`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, url: str, *, email: str | None = None) -> ApiRequest:
        """Note a request; without an email it is nobody's."""
        address = as_text(url, "url")

        def work(conn: QueryConnection) -> ApiRequest:
            if email is not None:
                find_user(conn, email)
            return conn.one(ApiRequest, "api_requests/create", url=address, email=email or "")

        with not_found_if_deleted():
            return self._session.run("write", work)

    def last_per_user(self) -> list[ApiRequest]:
        """The last request of each user that has made one, by the user's email."""
        return self._session.run("read", lambda conn: conn.rows(ApiRequest, "api_requests/last_per_user"))

    def list_for_user(
        self,
        email: str,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        include: str | None = None,
        exclude: str | None = None,
    ) -> list[ApiRequest]:
        """A user's requests, oldest first.

        Args:
            email: the user's.
            start_utc: requests from here on; None: from the first.
            end_utc: requests before this; None: up to the last.
            include: only those with this in their url.
            exclude: only those without this in their url.
        """
        parts = {"include": as_optional_text(include, "include"), "exclude": as_optional_text(exclude, "exclude")}
        bounds = window(start_utc, end_utc)

        def work(conn: QueryConnection) -> list[ApiRequest]:
            find_user(conn, email)
            return conn.rows(ApiRequest, "api_requests/list_for_user", email=email, **bounds, **parts)

        return self._session.run("read", work)
