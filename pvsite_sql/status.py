"""Messages about the state of the service."""

from __future__ import annotations

from .engine.inputs import as_text
from .engine.session import Session
from .models import Status

__all__ = ["Statuses"]


class Statuses:
    """`repo.status`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, status: str, *, message: str) -> Status:
        """Store a message.

        Args:
            status: the state of the service, such as "ok", "warning" or "error".
            message: the message for users.
        """
        parameters = {"status": as_text(status, "status"), "message": as_text(message, "message")}
        return self._session.run("write", lambda conn: conn.one(Status, "status/create", **parameters))

    def latest(self) -> Status | None:
        """Return the newest message, or None if there is none."""
        return self._session.run("read", lambda conn: conn.row(Status, "status/latest"))
