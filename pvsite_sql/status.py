"""Messages on the state of the service."""

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
        """Say how the service is, in a word (ok, warning, error) and in a sentence."""
        word, sentence = as_text(status, "status"), as_text(message, "message")
        return self._session.run("write", lambda conn: conn.one(Status, "status/create", status=word, message=sentence))

    def latest(self) -> Status | None:
        """What was said last, None where nothing was said yet."""
        return self._session.run("read", lambda conn: conn.row(Status, "status/latest"))
