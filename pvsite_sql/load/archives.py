"""Finds and opens the files in zip archives.

A member of an archive has a name such as `data.zip/2024/roof.csv`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from ..errors import InvalidInput

__all__ = ["is_archive", "is_zip", "members", "open_archive", "split_member"]

_LOCAL_FILE, _END_OF_EMPTY_ARCHIVE = b"PK\x03\x04", b"PK\x05\x06"
_OF_WORKBOOKS = "xl/workbook.xml"
_OF_OTHER_WORKBOOKS = {
    frozenset(["mimetype", "content.xml"]): "an OpenDocument file",
    frozenset(["[Content_Types].xml", "xl/workbook.bin"]): "an Excel binary workbook (.xlsb)",
}
_OF_MACOS = "__MACOSX"
_ENCRYPTED = 1


def is_zip(head: bytes) -> bool:
    """Tell whether a file with these first bytes is a zip archive, or a format based on it, such as .xlsx."""
    return head.startswith((_LOCAL_FILE, _END_OF_EMPTY_ARCHIVE))


def is_archive(path: str) -> bool:
    """Tell whether a file is a zip archive of files, as opposed to a pipe, another format or an Excel workbook.

    Raises:
        InvalidInput: it is a workbook of another kind.
        BadZipFile: the archive is invalid.
        OSError: the file cannot be read.
    """
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as opened:
        if not is_zip(opened.read(4)):
            return False
        with ZipFile(opened) as archive:
            names = archive.namelist()
    for parts, kind in _OF_OTHER_WORKBOOKS.items():
        if parts.issubset(names):
            raise InvalidInput(f"{path} is {kind}: save it in Excel as .xlsx")
    return _OF_WORKBOOKS not in names


def split_member(name: str) -> tuple[str, str] | None:
    """Split `data.zip/2024/roof.csv` into the path of the archive and the name of the member.

    Return None if the name does not continue behind the path of a file.
    """
    for end, character in enumerate(name):
        if character in ("/", os.sep) and end and Path(name[:end]).is_file():
            return name[:end], name[end + 1 :]
    return None


@contextmanager
def open_archive(name: str, extensions: Sequence[str]) -> Iterator[tuple[ZipFile, list[ZipInfo]]]:
    """Open an archive, or that of a member.

    Yields:
        the archive, and the named member, or the archive's members that end with one of the extensions.

    Raises:
        InvalidInput: there is no such member, or one cannot be read.
        BadZipFile: the archive is invalid.
    """
    path, member = split_member(name) or (name, None)
    with ZipFile(path) as archive:
        if member is None:
            yield archive, members(archive, path, extensions)[0]
        elif member in archive.namelist():
            yield archive, [_readable(archive, archive.getinfo(member), path)]
        else:
            raise InvalidInput(f"no such file: {path} contains no {member}")


def members(archive: ZipFile, path: str, extensions: Sequence[str]) -> tuple[list[ZipInfo], list[str]]:
    """Return the members that end with one of the extensions, sorted by name, and the names of the other ones.

    Hidden files are ignored.

    Raises:
        InvalidInput: there is no such member, several have one name, or one is encrypted.
    """
    visible = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
    named = {info.filename: info for info in visible}
    if len(named) < len(visible):
        raise InvalidInput(f"{path} contains several files of one name: extract it first")
    taken = [name for name in sorted(named) if name.lower().endswith(tuple(extensions))]
    if not taken:
        raise InvalidInput(f"{path} contains no files that end with {', '.join(extensions[:-1])} or {extensions[-1]}")
    return [_readable(archive, named[name], path) for name in taken], sorted(set(named) - set(taken))


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == _OF_MACOS or any(part.startswith(".") for part in parts)


def _readable(archive: ZipFile, info: ZipInfo, path: str) -> ZipInfo:
    if info.flag_bits & _ENCRYPTED:
        raise InvalidInput(f"{path}/{info.filename} is encrypted: extract it first")
    try:
        archive.open(info).close()
    except NotImplementedError:  # such as Deflate64, of large files on Windows
        raise InvalidInput(
            f"{path}/{info.filename} has a compression that is not supported: extract it first"
        ) from None
    return info
