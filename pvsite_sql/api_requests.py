"""Requests that users made to an API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .engine.inputs import as_optional_text, as_text, page, window
from .engine.lookups import find_user, not_found_if_deleted
from .engine.session import QueryConnection, Session
from .models import ApiRequest

__all__ = ["ApiRequests"]


class ApiRequests:
    """`repo.api_requests`."""

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

    def last_per_user(
        self,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        include: str | None = None,
        exclude: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[ApiRequest]:
        """Return the last request of each user, ordered by email. Users without matching requests are left out.

        The filters apply first: the result is the last request of each user among those that match them.

        Args:
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            include: return only requests whose URL contains this string.
            exclude: return only requests whose URL does not contain this string.
            newest_first: order by time, newest first, instead of by email.
            limit: return at most this many. None means no limit.
            offset: skip this many.
        """
        filters = _filters(start_utc, end_utc, include, exclude) | page(limit, offset)
        newest = bool(newest_first)
        return self._session.run(
            "read", lambda conn: conn.rows(ApiRequest, "api_requests/last_per_user", newest_first=newest, **filters)
        )

    def list_for_user(
        self,
        email: str,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        include: str | None = None,
        exclude: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[ApiRequest]:
        """Return the requests of a user, oldest first. The list is empty if the user does not exist.

        Args:
            email: the email of the user.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            include: return only requests whose URL contains this string.
            exclude: return only requests whose URL does not contain this string.
            newest_first: return the newest request first.
            limit: return at most this many. None means no limit.
            offset: skip this many.
        """
        filters = _filters(start_utc, end_utc, include, exclude) | page(limit, offset)
        name = "api_requests/list_for_user_newest_first" if newest_first else "api_requests/list_for_user"
        return self._session.run(
            "read", lambda conn: conn.rows(ApiRequest, name, email=as_text(email, "email"), **filters)
        )


def _filters(
    start_utc: datetime | None, end_utc: datetime | None, include: str | None, exclude: str | None
) -> dict[str, Any]:
    texts = {"include": as_optional_text(include, "include"), "exclude": as_optional_text(exclude, "exclude")}
    return window(start_utc, end_utc) | texts
