"""Requests that users made to an API."""

from __future__ import annotations

from datetime import datetime

from .engine.inputs import as_optional_text, as_text, window
from .engine.lookups import find_user, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .models import ApiRequest

__all__ = ["ApiRequests"]


class ApiRequests:
    """`repo.api_requests`. Methods raise `NotFound` if a user does not exist."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, url: str, *, email: str | None = None) -> ApiRequest:
        """Store a request.

        Args:
            url: the URL of the request.
            email: the email of the user. None stores a request without a user.

        Raises:
            NotFound: the user does not exist.
        """
        address = as_text(url, "url")

        def work(conn: QueryConnection) -> ApiRequest:
            if email is not None:
                find_user(conn, email)
            return conn.one(ApiRequest, "api_requests/create", url=address, email=email or "")

        with not_found_if_deleted():
            return self._session.run("write", work)

    def last_per_user(self) -> list[ApiRequest]:
        """Return the last request of each user, ordered by email. Users without requests are left out."""
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
        """Return the requests of a user, oldest first.

        Args:
            email: the email of the user.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            include: return only requests whose URL contains this string.
            exclude: return only requests whose URL does not contain this string.

        Raises:
            NotFound: the user does not exist.
        """
        filters = {"include": as_optional_text(include, "include"), "exclude": as_optional_text(exclude, "exclude")}
        bounds = window(start_utc, end_utc)

        def work(conn: QueryConnection) -> list[ApiRequest]:
            find_user(conn, email)
            return conn.rows(ApiRequest, "api_requests/list_for_user", email=email, **bounds, **filters)

        return self._session.run("read", work)
