"""Finds the files to load, and tells CSV, gzipped CSV and Parquet apart."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, PvsiteSqlError
from .batch import Batch
from .csv_files import csv_batches
from .layout import Layout
from .parquet_files import parquet_batches
from .wide import unpivot

__all__ = ["batches", "display_name", "expand", "file_size"]

STANDARD_INPUT = "-"
_EXTENSIONS = (".csv", ".csv.gz", ".parquet")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


def expand(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the file names, with each folder replaced by its files, sorted by name, except hidden ones.

    Raises:
        InvalidInput: a file does not exist, or a folder contains no files.
    """
    names: list[str] = []
    for name in (os.fspath(file) for file in files):
        if name != STANDARD_INPUT and Path(name).is_dir():
            visible = (path for path in Path(name).iterdir() if not path.name.startswith("."))
            inside = sorted(str(path) for path in visible if path.name.lower().endswith(_EXTENSIONS))
            if not inside:
                extensions = f"{', '.join(_EXTENSIONS[:-1])} or {_EXTENSIONS[-1]}"
                raise InvalidInput(f"{name} contains no files that end with {extensions}")
            names += inside
        elif name == STANDARD_INPUT or Path(name).exists():
            names.append(name)
        else:
            raise InvalidInput(f"no such file: {name}")
    return names


def file_size(file: str) -> int | None:
    """Return the size of a file in bytes; None if it has none, such as a pipe."""
    status = os.fstat(0) if file == STANDARD_INPUT else Path(file).stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def batches(file: str, layout: Layout) -> Iterator[Batch]:
    """Yield the readings of a CSV, gzipped CSV or Parquet file. Its first bytes determine the format.

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
    with ExitStack() as stack:
        try:
            opened = open(0, "rb", closefd=False) if file == STANDARD_INPUT else open(file, "rb")  # noqa: PTH123, SIM115
            stream = stack.enter_context(opened)
            magic = stream.peek(4)[:4]
            if magic == _PARQUET:
                if file == STANDARD_INPUT:
                    raise InvalidInput("standard input must be CSV: a Parquet file cannot be read sequentially")
                yield from parquet_batches(file, layout)
            elif magic.startswith(_GZIP):
                unzipped: Any = stack.enter_context(gzip.open(stream))
                yield from csv_batches(unzipped, stream, name, layout)
            else:
                yield from csv_batches(stream, stream, name, layout)
        except (OSError, EOFError, zlib.error) as error:
            raise PvsiteSqlError(f"{name} cannot be read: {error}") from error
        except UnicodeError as error:
            raise InvalidInput(f"{name} is not encoded in {layout.encoding}: {error}") from None


def display_name(file: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if file == STANDARD_INPUT else file
