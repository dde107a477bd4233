"""Forecasting models."""

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
        """Return the model with this name and version. Create it if necessary. Concurrent calls return the same model.

        Args:
            name: the name of the model; must not be empty.
            version: the version of the model. None means that the model has no version.
            description: the description of a new model. An existing model keeps its description.

        Raises:
            InvalidInput: the name is empty, or an argument is not a string.
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
        """Return all models, ordered by name and version."""
        return self._session.run("read", lambda conn: conn.rows(MlModel, "ml_models/list"))
