"""Connection strings with server settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["with_settings"]


def with_settings(conninfo: str, settings: Mapping[str, str], **parameters: Any) -> str:
    """Return a conninfo string with server settings added to its `options`.

    Args:
        conninfo: a libpq string or URL.
        settings: server settings, such as timeouts; they override those in `options`.
        parameters: further libpq parameters.
    """
    given = str(conninfo_to_dict(conninfo).get("options") or "")
    options = " ".join([given, *(f"-c {name}={value}" for name, value in settings.items())]).strip()
    return make_conninfo(conninfo, options=options, **parameters)
