"""Finds the files to load, and tells their formats apart."""

from __future__ import annotations

import os
import stat
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from ..errors import InvalidInput, PvsiteSqlError
from .archives import is_archive, is_zip, members, open_archive, split_member
from .batch import Batch, without_footer
from .csv_files import csv_batches
from .excel_files import excel_batches, refuse_old_excel
from .json_files import is_json, json_batches
from .layout import Layout
from .parquet_files import parquet_batches
from .source import STANDARD_INPUT, TEXT_EXTENSIONS, Source, display_name, sources
from .wide import unpivot

__all__ = ["IgnoredFiles", "batches", "display_name", "expand", "file_size"]

_EXTENSIONS = (*TEXT_EXTENSIONS, ".parquet", ".xlsx", ".zip")
_PARQUET = b"PAR1"
_MAX_LISTED = 5


class IgnoredFiles(UserWarning):
    """A folder or an archive contains files that `load` does not read."""


def batches(file: str, layout: Layout) -> Iterator[Batch]:
    """Yield the readings of a file, or of the files in a zip archive. The first bytes determine the format.

    Args:
        file: the path; `-` is standard input.
        layout: the columns and formats of the file.

    Raises:
        InvalidInput: the format is invalid, or a column is missing.
        PvsiteSqlError: the file cannot be read.
    """
    lines = _lines(file, layout)
    return unpivot(lines) if layout.wide else lines


def _lines(file: str, layout: Layout) -> Iterator[Batch]:
    name = display_name(file)
    try:
        with closing(sources(file)) as opened:
            for source in opened:
                name = source.name
                yield from map(partial(replace, file=name), _batches(source, layout))  # keeps no batch
    except (OSError, EOFError, zlib.error, BadZipFile) as error:
        raise PvsiteSqlError(f"{name} cannot be read: {error}") from error


def _batches(source: Source, layout: Layout) -> Iterator[Batch]:
    head = source.stream.peek(4)[:4]
    refuse_old_excel(head, source.name)
    if head == _PARQUET:
        rows = parquet_batches(source.require_path("a Parquet file"), layout)
    elif is_zip(head):
        rows = excel_batches(source.require_path("a zip archive or Excel file"), layout)
    elif is_json(source):
        rows = json_batches(source, layout)
    else:
        return csv_batches(source, layout)  # of which a file of rejected rows has no footer
    return without_footer(rows, layout.skip_footer)


def expand(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the file names, with each folder replaced by its files, sorted by name, except hidden ones.

    Warns:
        IgnoredFiles: a folder or a zip archive contains other files, which the message names.

    Raises:
        InvalidInput: a file does not exist, or a folder or an archive contains no files to load.
        PvsiteSqlError: an archive cannot be read.
    """
    names: list[str] = []
    for name in (os.fspath(file) for file in files):
        if name == STANDARD_INPUT:
            names.append(name)
        elif Path(name).is_dir():
            names += _files_in(name)
        elif Path(name).exists() or split_member(name):
            names.append(name)
        else:
            raise InvalidInput(f"no such file: {name}")
    for name in names:
        _check_archive(name)
    return names


def _files_in(folder: str) -> list[str]:
    visible = sorted(path for path in Path(folder).iterdir() if not path.name.startswith("."))
    inside = [str(path) for path in visible if path.name.lower().endswith(_EXTENSIONS) and not path.is_dir()]
    if not inside:
        extensions = f"{', '.join(_EXTENSIONS[:-1])} or {_EXTENSIONS[-1]}"
        raise InvalidInput(f"{folder} contains no files that end with {extensions}")
    _warn_of_ignored(
        folder, [f"{path.name}/" if path.is_dir() else path.name for path in visible if str(path) not in inside]
    )
    return inside


def _check_archive(name: str) -> None:
    """Check that the files in an archive can be read, before anything is loaded."""
    if name == STANDARD_INPUT:
        return
    try:
        if split_member(name):
            with open_archive(name, TEXT_EXTENSIONS):
                pass
        elif is_archive(name):
            with ZipFile(name) as archive:
                _warn_of_ignored(name, members(archive, name, TEXT_EXTENSIONS)[1])
    except (OSError, BadZipFile) as error:
        raise PvsiteSqlError(f"{name} cannot be read: {error}") from error


def _warn_of_ignored(place: str, ignored: Sequence[str]) -> None:
    if ignored:
        more = f" and {len(ignored) - _MAX_LISTED} more" if len(ignored) > _MAX_LISTED else ""
        message = f"{place}: ignored {', '.join(ignored[:_MAX_LISTED])}{more}, which load does not read"
        warnings.warn(message, IgnoredFiles, stacklevel=2)


def file_size(file: str) -> int | None:
    """Return the size of a file in bytes; None if it has none, such as a pipe."""
    if file == STANDARD_INPUT:
        status = os.fstat(0)
    elif split_member(file):
        with open_archive(file, TEXT_EXTENSIONS) as (_, infos):
            return sum(info.compress_size for info in infos)
    else:
        status = Path(file).stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None
