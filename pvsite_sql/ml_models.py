"""Forecasting models."""

from __future__ import annotations

import builtins
from datetime import datetime
from uuid import UUID

from .engine.inputs import as_filter, as_name, as_optional_text, as_text, as_uuid, page, window
from .engine.lookups import all_sites, find_site
from .engine.session import QueryConnection, Session
from .errors import NotFound
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
            description: the description of a new model. None means that of the newest version before it. An existing
                model keeps its description.

        Raises:
            InvalidInput: the name is empty, or an argument is not a string.
        """
        key = {"name": as_name(name, "name"), "version": as_optional_text(version, "version")}
        new = {**key, "description": as_optional_text(description, "description")}

        def work(conn: QueryConnection) -> MlModel:
            existing = conn.row(MlModel, "ml_models/get_or_create_existing", **key)
            return existing or conn.get_or_create(MlModel, "ml_models/get_or_create_new", **new)

        return self._session.run("write", work)

    def newest(self, name: str) -> MlModel:
        """Return the newest version of a model: the one that was created last, whatever its version is called.

        Raises:
            NotFound: no model has this name.
        """
        text = as_text(name, "name")
        model = self._session.run("read", lambda conn: conn.row(MlModel, "ml_models/newest", name=text))
        if model is None:
            raise NotFound(f"no model {name!r}")
        return model

    def list(
        self,
        *,
        name: str | None = None,
        site_uuid: UUID | str | None = None,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> builtins.list[MlModel]:
        """Return the models that match all filters, ordered by name and version. None disables a filter.

        With `site_uuid`, `start_utc` or `end_utc`, return only models that made forecasts for the site (None means any
        site) with a value that starts in the window. Without `site_uuid`, the call reads the forecasts of all sites.

        Args:
            name: return only the versions of this model.
            site_uuid: return only models with forecasts of this site.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            limit: return at most this many. None means no limit.
            offset: skip this many.

        Raises:
            NotFound: the site does not exist.
        """
        filters = {"name": as_filter(name, "name"), **page(limit, offset)}
        bounds = window(start_utc, end_utc)
        site = None if site_uuid is None else as_uuid(site_uuid, "site_uuid")

        if site is None and start_utc is None and end_utc is None:
            return self._session.run("read", lambda conn: conn.rows(MlModel, "ml_models/list", **filters))

        def work(conn: QueryConnection) -> builtins.list[MlModel]:
            sites = all_sites(conn) if site is None else [find_site(conn, site).site_uuid]
            return conn.rows(MlModel, "ml_models/list_with_forecasts", site_uuids=sites, **bounds, **filters)

        return self._session.run("bulk", work)

    def update(self, ml_model_uuid: UUID | str, *, description: str | None) -> MlModel:
        """Change the description of a model and return the model. None clears it.

        Raises:
            NotFound: the model does not exist.
        """
        uuid = as_uuid(ml_model_uuid, "ml_model_uuid")
        text = as_optional_text(description, "description")
        model = self._session.run(
            "write", lambda conn: conn.row(MlModel, "ml_models/update", ml_model_uuid=uuid, description=text)
        )
        if model is None:
            raise NotFound(f"no model {uuid}")
        return model
