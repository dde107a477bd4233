"""Opens files and the members of zip archives as streams of bytes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidInput
from .archives import is_archive, is_zip, open_archive, split_member

__all__ = ["STANDARD_INPUT", "TEXT_EXTENSIONS", "Source", "display_name", "sources"]

STANDARD_INPUT = "-"
_TEXT_EXTENSIONS = (".csv", ".txt", ".tsv", ".json", ".jsonl", ".ndjson")
TEXT_EXTENSIONS = (*_TEXT_EXTENSIONS, *(f"{extension}.gz" for extension in _TEXT_EXTENSIONS))
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """An open file, or an open member of a zip archive.

    Attributes:
        name: the name for messages.
        stream: its bytes without gzip compression; a buffered binary stream with `peek`.
        position: returns how many bytes of the file were read; of a compressed file, compressed bytes.
        path: the path, if a library can open the file by it and read it in any order; otherwise None.
    """

    name: str
    stream: Any
    position: Callable[[], int]
    path: str | None = None

    def require_path(self, kind: str) -> str:
        """Return the path, for formats that cannot be read sequentially.

        Args:
            kind: the format, such as "a Parquet file".

        Raises:
            InvalidInput: the source has no path.
        """
        if self.path is None:
            raise InvalidInput(f"{self.name} must be CSV or JSON: {kind} cannot be read sequentially")
        return self.path


def display_name(file: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if file == STANDARD_INPUT else file


def sources(file: str) -> Generator[Source, None, None]:
    """Yield a file, or one after the other the CSV files in a zip archive. Each is closed when the next is requested.

    Args:
        file: a path; `-` is standard input, `data.zip/roof.csv` a member of an archive.

    Raises:
        InvalidInput: an archive contains no CSV files, or encrypted ones.
        OSError, EOFError, zlib.error, BadZipFile: the file cannot be read.
    """
    if file != STANDARD_INPUT and (split_member(file) or is_archive(file)):
        yield from _members(file)
        return
    opened = open(0, "rb", closefd=False) if file == STANDARD_INPUT else open(file, "rb")  # noqa: PTH123, SIM115
    with opened as stream:
        path = None if file == STANDARD_INPUT or not stream.seekable() else file
        source = Source(display_name(file), stream, lambda: _position(stream), path)
        with closing(_unzipped(source)) as unzipped:
            yield from unzipped


def _members(file: str) -> Generator[Source, None, None]:
    path = (split_member(file) or (file,))[0]
    bytes_before = 0
    with open_archive(file, TEXT_EXTENSIONS) as (archive, infos):
        for info in infos:
            with archive.open(info) as opened:
                stream: Any = opened

                def position(stream: Any = stream, before: int = bytes_before, info: Any = info) -> int:
                    return before + int(info.compress_size * stream.tell() / max(1, info.file_size))

                source = Source(f"{path}/{info.filename}", stream, position)
                if is_zip(stream.peek(4)[:4]):
                    raise InvalidInput(f"{source.name} is an archive in an archive, or an Excel file: extract it first")
                with closing(_unzipped(source)) as unzipped:
                    yield from unzipped
            bytes_before += info.compress_size


def _unzipped(source: Source) -> Generator[Source, None, None]:
    if not source.stream.peek(len(_GZIP)).startswith(_GZIP):
        yield source
        return
    with gzip.open(source.stream) as stream:
        yield replace(source, stream=stream, path=None)


def _position(stream: Any) -> int:
    try:
        return int(stream.raw.tell())
    except OSError:  # a pipe
        return 0
