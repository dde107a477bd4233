"""Profiles: the options that the files of a portal need, in TOML files. Those in this folder come with the package."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...errors import InvalidInput, PvsiteSqlError

__all__ = ["profile_names", "read_profile_file"]

_EXTENSION = ".toml"


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the package."""
    names = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(_EXTENSION) for name in names if name.endswith(_EXTENSION))


def read_profile_file(profile: str | os.PathLike[str], options: Iterable[str]) -> dict[str, Any]:
    """Return the options of a profile.

    Args:
        profile: the name of a profile that comes with the package, or the path of a TOML file.
        options: the names of all options.

    Returns:
        the values by the names of the options.

    Raises:
        InvalidInput: there is no such profile, the file is not TOML, or it has a key that is not an option.
        PvsiteSqlError: the file cannot be read.
    """
    text = _text(os.fspath(profile))
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{profile} is not a TOML file: {error}") from None
    for name in values:
        if name not in set(options):
            raise InvalidInput(f"{profile} has the key {name!r}, which is not an option of a profile")
    return values


def _text(profile: str) -> str:
    if profile in profile_names():
        return (files(__name__) / f"{profile}{_EXTENSION}").read_text("utf-8")
    if not profile.endswith(_EXTENSION):
        raise InvalidInput(
            f"there is no profile {profile!r}; use one of {', '.join(profile_names())}, or a file that ends with .toml"
        )
    try:
        return Path(profile).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise PvsiteSqlError(f"{profile} cannot be read: {error}") from error
