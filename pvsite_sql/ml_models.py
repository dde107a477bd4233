"""Forecasting models."""

from __future__ import annotations

import builtins

from .engine.inputs import as_name, as_optional_text
from .engine.session import QueryConnection, Session
from .models import MlModel

__all__ = ["MlModels"]


class MlModels:
    """`repo.ml_models`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_or_create(self, name: str, *, version: str | None = None, description: str | None = None) -> MlModel:
        """Return the model with this name and version. Create it if necessary. Concurrent calls return the same model.

        An existing model is only read, so that the call also works on a hot standby.

        Args:
            name: the name of the model; must not be empty.
            version: the version of the model. None means that the model has no version.
            description: the description of a new model. An existing model keeps its description.

        Raises:
            InvalidInput: the name is empty, or an argument is not a string.
        """
        key = {"name": as_name(name, "name"), "version": as_optional_text(version, "version")}
        new = {**key, "description": as_optional_text(description, "description")}

        def work(conn: QueryConnection) -> MlModel:
            existing = conn.row(MlModel, "ml_models/get_or_create_existing", **key)
            return existing or conn.get_or_create(MlModel, "ml_models/get_or_create_new", **new)

        return self._session.run("write", work)

    def list(self) -> builtins.list[MlModel]:
        """Return all models, ordered by name and version."""
        return self._session.run("read", lambda conn: conn.rows(MlModel, "ml_models/list"))
