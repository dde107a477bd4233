"""Finds out how the text of a file is encoded."""

from __future__ import annotations

import codecs

__all__ = ["SEPARATORS", "encoding_by_mark", "find_encoding", "option_value"]

SEPARATORS = (",", ";", "\t", "|")
_MARKS = (  # the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ONLY_IN_CP1252 = frozenset(range(0x80, 0xA0))  # control characters in Latin-1


def encoding_by_mark(head: bytes) -> str | None:
    """Return the encoding that a byte order mark tells; None without one.

    Args:
        head: the first bytes of a file, at least four if it has them.
    """
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def find_encoding(head: bytes) -> str:
    """Return the encoding that fits the first bytes of a file best.

    It is certain with a byte order mark, and almost certain for UTF-8. An encoding with one byte a character is a
    guess: `latin-1`, `cp1252` (Windows) or `cp850` (DOS).

    Args:
        head: the first bytes. They may end within a character.

    Returns:
        the name of a Python codec, such as `utf-8-sig`, `utf-16`, `utf-16-le`, `utf-8` or `cp1252`.
    """
    if (marked := encoding_by_mark(head)) is not None:
        return marked
    # in UTF-16, every second byte of English text, digits and separators is zero
    zeros = [head[start::2].count(0) for start in (0, 1)]
    if max(zeros) > len(head) // 4 and min(zeros) < max(zeros) // 4:
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    for encoding in ("utf-8", "latin-1", "cp1252"):
        if encoding == "latin-1" and not _ONLY_IN_CP1252.isdisjoint(head):
            continue
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        return encoding
    return "cp850"


def option_value(separator: str) -> str:
    """Return a separator as it is written behind `--separator`."""
    return "tab" if separator == "\t" else repr(separator)
