"""The options `--preview` and `--profile` of `pvsite-sql load`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from .common import error_message, exit_with, notes_of_ignored_files

if TYPE_CHECKING:
    import pandas as pd

    from ..load import Preview

__all__ = ["from_profile", "show_preview", "use_profile"]

_SHOWN = 3  # of the first and of the last rows
_WIDTH = 80
_MINUTE = timedelta(minutes=1)
_PARAMETERS = {"site_uuid": "site", "client_name": "client", "header": "no_header"}  # those with another name
_GIVEN = ("COMMANDLINE", "DEFAULT_MAP")
_ONLY_OF_LOAD = ("on_conflict", "same_key", "each", "rejects")  # they have no effect on a preview
_NOT_IN_PROFILES = ("files", "profile", "preview", "dsn", "help", "forecasts")


def use_profile(context: typer.Context, profile: str | None) -> str | None:
    """Make the options of a profile the defaults of the command."""
    from ..errors import PvsiteSqlError
    from ..load.profiles import read_profile_file

    if profile is None:
        return None
    parameters = {
        option.removeprefix("--"): parameter
        for parameter in context.command.params
        for option in parameter.opts
        if parameter.name not in _NOT_IN_PROFILES
    }
    try:
        values = read_profile_file(profile, parameters)
    except PvsiteSqlError as error:
        exit_with(2, f"--profile: {error}")
    context.default_map = {}
    for option, value in values.items():
        parameter = parameters[option]
        several = getattr(parameter, "multiple", False)
        context.default_map[parameter.name] = [value] if several and not isinstance(value, list) else value
    return profile


def from_profile(context: typer.Context, name: str) -> bool:
    """Return whether a profile gives a parameter."""
    return _source(context, name) == "DEFAULT_MAP"


def _source(context: typer.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return "" if source is None else source.name


def show_preview(
    context: typer.Context, files: Sequence[str], keywords: Mapping[str, Any], *, site: str | None, dsn: str | None
) -> NoReturn:
    """Print what a load would store and the command that does so, and exit.

    Args:
        context: of the command.
        files: the files; only one can be shown.
        keywords: the keywords of `Layout` and `load`. Those that the command line and a profile do not give are found.
        site: the site as the command names it.
        dsn: the database in which to look for sites; None: they are not looked for.
    """
    from ..errors import InvalidInput
    from ..load import preview
    from ..load.options import command_line
    from ..load.previews import UNKNOWN_SITE
    from ..repository import Repository

    if context.params["forecasts"]:
        exit_with(2, "--preview shows readings: it cannot be used with --forecasts.")
    if len(files) > 1:
        exit_with(2, "--preview shows one file: name one, or a folder, whose first file is shown.")
    given = {name: keywords[name] for name in keywords if _source(context, _PARAMETERS.get(name, name)) in _GIVEN}
    others = {name: given.pop(name) for name in _ONLY_OF_LOAD if name in given}
    if site is not None:
        given["site_uuid"] = given.get("site_uuid") or UNKNOWN_SITE  # a name that only a database explains
    try:
        with notes_of_ignored_files():
            if dsn is None:
                found = preview(files[0], **given)
            else:
                with Repository(dsn, min_size=1) as repo:
                    found = preview(files[0], repo=repo, **given)
    except InvalidInput as error:
        if error.column is None:
            exit_with(1, error_message(error))
        raise
    options = {**found.options, **others} | ({} if site is None else {"site_uuid": site})
    for line in lines_of(found, command_line(files[0], options)):
        typer.echo(line)
    raise typer.Exit


def lines_of(preview: Preview, command: str) -> Iterator[str]:
    """Yield the lines of a preview, and the command that loads the file."""
    count = len(preview.readings)
    rows = "the whole file" if preview.whole else "the first rows of the file"
    yield f"{preview.file}: {count:,} reading{'s' * (count != 1)} in {rows}"
    yield ""
    yield from _table(preview.readings)
    if preview.interval is not None:
        yield ""
        yield f"Each reading lasts {preview.interval / _MINUTE:g} minutes."
    if preview.invalid:
        yield ""
        yield from _wrapped(f"{preview.invalid:,} of the rows cannot be stored. The first: {preview.first_invalid}")
    if preview.doubts:
        yield ""
        yield "Not certain:"
        for doubt in preview.doubts:
            yield from _wrapped(doubt, "- ")
    yield ""
    if preview.invalid:
        yield from _wrapped(
            "Nothing was stored. This command stores all rows once the invalid ones are corrected, or all others with "
            "--rejects FILE:"
        )
    else:
        yield "Nothing was stored. This command stores all rows:"
    yield command


def _table(readings: pd.DataFrame) -> Iterator[str]:
    shown = readings
    if len(readings) > 2 * _SHOWN:
        shown = readings.iloc[[*range(_SHOWN), *range(-_SHOWN, 0)]]
    columns = {
        "start (UTC)": [f"{time:%Y-%m-%d %H:%M:%S}" for time in shown["start_utc"]],
        "end (UTC)": [f"{time:%Y-%m-%d %H:%M:%S}" for time in shown["end_utc"]],
        "kW": [f"{power:.10g}" for power in shown["power_kw"]],
    }
    if readings["site"].any():
        columns["site"] = [*shown["site"]]
    if len(readings) > 2 * _SHOWN:
        for texts in columns.values():
            texts.insert(_SHOWN, "...")
    padded = []
    for name, texts in columns.items():
        width = max(map(len, [name, *texts]))
        padded.append([text.rjust(width) if name == "kW" else text.ljust(width) for text in [name, *texts]])
    for row in zip(*padded, strict=True):
        yield "  ".join(row).rstrip()


def _wrapped(text: str, bullet: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False
    )
