"""The models that make forecasts."""

from __future__ import annotations

import builtins

from .engine.inputs import as_name, as_optional_text
from .engine.session import Session
from .models import MlModel

__all__ = ["MlModels"]


class MlModels:
    """`repo.ml_models`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_or_create(self, name: str, *, version: str | None = None, description: str | None = None) -> MlModel:
        """The model of that name and version, made if there is none; safe for any number of concurrent callers.

        Args:
            name: the model's name, not empty.
            version: None: the model comes without one.
            description: kept if the model is made; one that is there keeps its own.
        """
        parameters = {
            "name": as_name(name, "name"),
            "version": as_optional_text(version, "version"),
            "description": as_optional_text(description, "description"),
        }
        return self._session.run(
            "write", lambda conn: conn.get_or_create(MlModel, "ml_models/get_or_create", **parameters)
        )

    def list(self) -> builtins.list[MlModel]:
        """All models, by name and version."""
        return self._session.run("read", lambda conn: conn.rows(MlModel, "ml_models/list"))
