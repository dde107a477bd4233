"""The options of `pvsite-sql load`, as arguments of the command and as keywords of `Layout` and `load`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from .layout import Layout
from .profiles import read_profile_file

__all__ = ["command_line", "read_profile"]

_NAMES = {"site_uuid": "site", "client_name": "client"}  # of options that differ from the keyword
_OF_LOAD = ("interval", "on_conflict", "same_key")  # keywords of `load`
_FIRST = ("site_uuid", "site_column", "site_key", "client_name", "time_column", "period_column", "end_column")
_MINUTE = timedelta(minutes=1)


def read_profile(profile: str | os.PathLike[str], **changes: Any) -> tuple[Layout, dict[str, Any]]:
    """Return the options of a profile: the layout, and keyword arguments of `load`.

    Args:
        profile: the name of a profile that comes with the package, or the path of a TOML file. Its keys are the long
            names of the options of `pvsite-sql load`.
        changes: keywords of `Layout` that the profile does not have, or has with another value.

    Raises:
        InvalidInput: there is no such profile, or a key or a value is invalid.
        PvsiteSqlError: the file cannot be read.
    """
    keywords = profile_keywords(profile)
    if changes.get("site_uuid") is not None:
        keywords.pop("site_column", None)
    layout = Layout(**{name: value for name, value in keywords.items() if name not in _OF_LOAD} | changes)
    return layout, {name: keywords[name] for name in _OF_LOAD if name in keywords}


def profile_keywords(profile: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the options of a profile, as keywords of `Layout` and `load`."""
    keywords = {field.name: field.name for field in fields(Layout)} | {name: name for name in _OF_LOAD}
    options = {_option(keyword): keyword for keyword in keywords} | {"no-header": "header"}
    del options["header"]
    values = read_profile_file(profile, options)
    return {options[name]: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Any) -> Any:
    if name == "site":
        return UUID(value)
    if name == "interval":
        return timedelta(minutes=value)
    if name == "no-header":
        return not value
    if isinstance(value, list):
        return tuple(value) if len(value) > 1 else value[0]
    return "\t" if (name, value) == ("separator", "tab") else value


def command_line(file: str, keywords: Mapping[str, Any]) -> str:
    """Return the command that loads a file with these keywords of `Layout` and `load`, for a shell."""
    order = [name for name in _FIRST if name in keywords] + [name for name in keywords if name not in _FIRST]
    arguments = ["pvsite-sql", "load", file]
    for name in order:
        arguments += _arguments(name, keywords[name])
    return shlex.join(arguments)


def _arguments(name: str, value: Any) -> list[str]:
    option = f"--{_option(name)}"
    if name == "header":
        return [] if value else ["--no-header"]
    if isinstance(value, bool):
        return [option] if value else []
    if value is None:
        return []
    if isinstance(value, (tuple, list)):
        return [argument for each in value for argument in (option, str(each))]
    if isinstance(value, timedelta):
        return [option, f"{value / _MINUTE:g}"]
    return [option, "tab" if value == "\t" else str(value)]


def _option(keyword: str) -> str:
    return _NAMES.get(keyword, keyword).replace("_", "-")
