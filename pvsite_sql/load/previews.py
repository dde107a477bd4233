"""Shows what a load would store of a file, and the options that say so."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

import pandas as pd

from ..errors import InvalidInput, NotFound
from ..repository import Repository
from .files import expand
from .guess.columns import find_columns
from .guess.samples import read_sample
from .layout import Layout
from .options import command_line
from .sites import check_site, site_finder
from .source import STANDARD_INPUT
from .trial import try_load

__all__ = ["UNKNOWN_SITE", "Preview", "preview"]

UNKNOWN_SITE = UUID(int=0)  # stands for one that is not known
_PLACEHOLDER = "SITE_UUID"
_ALWAYS_SHOWN = ("unit", "timezone")
_INTERVAL = timedelta(minutes=5)
_MAX_LISTED = 3


@dataclass(frozen=True)
class Preview:
    """What a load would store of the first rows of a file.

    Attributes:
        file: the file or the folder.
        layout: the layout that was found. If the site is not known, it is the site with the UUID 0.
        interval: the duration of a reading, if the file has no end column.
        readings: the readings of the first rows, as they would be stored: `site` (what the file says, or the UUID),
            `start_utc`, `end_utc` and `power_kw`.
        whole: whether the file has no other rows.
        invalid: how many of the rows cannot be stored.
        first_invalid: the first of them, with its line and the reason; None if there is none.
        doubts: what is not certain, a sentence for each.
        options: keywords of `Layout` and `load` that say so: those that differ from the defaults, and the unit and the
            time zone. `SITE_UUID` stands for a site that is not known.
    """

    file: str
    layout: Layout
    interval: timedelta | None
    readings: pd.DataFrame
    whole: bool
    invalid: int
    first_invalid: str | None
    doubts: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def command(self) -> str:
        """The command that loads the file with these options."""
        return command_line(self.file, self.options)


def preview(
    file: str | os.PathLike[str], *, repo: Repository | None = None, interval: timedelta | None = None, **given: Any
) -> Preview:
    """Find out how a file can be read, and show what a load would store. Nothing is stored.

    Args:
        file: a file that `load` can read, or a folder of them, whose first file is shown.
        repo: to look for the sites that the file names; None: they are not looked for.
        interval: the duration of a reading; None: it is found.
        given: keywords of `Layout` that are known. The others are found.

    Raises:
        InvalidInput: the file has no rows with a time and a power, or an option is invalid.
        PvsiteSqlError: the file cannot be read.
    """
    name = expand([file])[0]
    if name == STANDARD_INPUT:
        raise InvalidInput("standard input cannot be shown: save it to a file first")
    known = dict(given) if interval is None else {**given, "interval": interval}
    sample = read_sample(name, known)
    found = find_columns(sample.table, known)
    options = {name: value for name, value in {**sample.options, **found.options, **known}.items() if value is not None}
    for keyword in found.missing:
        what = "times" if keyword == "time_column" else "numbers that can be the power"
        raise InvalidInput(f"{name}: no column has {what}; say --{keyword.replace('_', '-')}")
    keywords = {field.name: options[field.name] for field in fields(Layout) if field.name in options}
    needs_site = found.needs_site or known.get("site_uuid") == UNKNOWN_SITE
    if needs_site:
        keywords["site_uuid"] = UNKNOWN_SITE
    layout = Layout(**keywords)
    trial = try_load(name, layout, options.get("interval", _INTERVAL))
    doubts = [*sample.doubts, *found.doubts]
    if repo is not None:
        doubts += _missing_sites(repo, layout, trial.keys)
    return Preview(
        file=os.fspath(file),
        layout=layout,
        interval=options.get("interval"),
        readings=trial.readings,
        whole=sample.whole,
        invalid=trial.invalid,
        first_invalid=trial.first_invalid,
        doubts=tuple(doubts),
        options=_shown(options, needs_site=needs_site),
    )


def _shown(options: Mapping[str, Any], *, needs_site: bool) -> dict[str, Any]:
    """Return the options that a command needs: those that are not the defaults, or that a reader should see."""
    defaults = {field.name: field.default for field in fields(Layout)}
    shown = {
        name: value
        for name, value in options.items()
        if name not in defaults or name in _ALWAYS_SHOWN or value != defaults[name]
    }
    return {**shown, "site_uuid": _PLACEHOLDER} if needs_site else shown


def _missing_sites(repo: Repository, layout: Layout, keys: Sequence[Any]) -> list[str]:
    """Return a sentence about the sites that the database does not have."""
    if layout.site_uuid == UNKNOWN_SITE:
        return []
    if layout.site_uuid is not None:
        try:
            check_site(repo, layout.site_uuid, layout.client_name)
        except NotFound as error:
            return [f"{error.args[0]} in this database"]
        return []
    found = site_finder(repo, layout)(keys)
    missing = [str(key) for key in keys if not found.get(key)]
    if not missing:
        return []
    more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
    listed = f"{', '.join(missing[:_MAX_LISTED])}{more}"
    return [f"{len(missing)} of {len(keys)} sites do not exist in this database by their {layout.site_key}: {listed}"]
