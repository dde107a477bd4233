"""Convert between numpy arrays and PostgreSQL's binary COPY format, without a loop over rows.

The PostgreSQL manual describes the format on the page of COPY, under "Binary Format": an 11-byte signature, flags and
the length of a header extension; then for each row the number of fields, and each field after its length; then -1.
If every field has a fixed width and none is NULL, each row is a record of a numpy structured array.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Type",
    "decode",
    "decode_in_blocks",
    "decode_with_tails",
    "encode",
    "encode_rows",
    "real_array",
    "text_array",
]

Type = Literal["uuid", "timestamptz", "double precision", "real", "integer", "bigint", "null"]

_WIRE: Mapping[Type, str] = {
    "uuid": "S16",
    "timestamptz": ">i8",  # microseconds since 2000-01-01 00:00 UTC
    "double precision": ">f8",
    "real": ">f4",
    "integer": ">i4",
    "bigint": ">i8",
    "null": "V0",
}
_SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
_HEADER = _SIGNATURE + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_CHUNK_ROWS = 16_384
_NULL = struct.pack("!i", -1)
_REAL_OID, _TEXT_OID = 700, 25
_REAL_ELEMENT = [("length", ">i4"), ("value", ">f4")]


def encode(types: Mapping[str, Type], columns: Mapping[str, npt.NDArray[Any]]) -> Iterator[bytes]:
    """Yield a binary COPY stream in chunks of about a megabyte.

    Args:
        types: the PostgreSQL type of each field, in the order of the fields.
        columns: an array of values for each field, all of the same length: uuid as `S16`, timestamptz as microseconds
            since 2000-01-01 UTC.
    """
    import numpy as np

    record = _record(types)
    rows = len(next(iter(columns.values())))
    yield _HEADER
    block = np.empty(min(rows, _CHUNK_ROWS), record)
    block[" fields"] = len(types)
    for name in types:
        block[f" {name}"] = record[name].itemsize
    for first in range(0, rows, _CHUNK_ROWS):
        part = block[: min(_CHUNK_ROWS, rows - first)]
        for name in types:
            part[name] = columns[name][first : first + len(part)]
        yield part.tobytes()
    yield _TRAILER


def encode_rows(rows: Iterable[Sequence[bytes | None]]) -> Iterator[bytes]:
    """Yield a binary COPY stream of rows whose fields are already encoded and can have any width. None is NULL."""
    yield _HEADER
    for row in rows:
        parts = [struct.pack("!h", len(row))]
        for field in row:
            parts += (_NULL,) if field is None else (struct.pack("!i", len(field)), field)
        yield b"".join(parts)
    yield _TRAILER


def real_array(values: npt.NDArray[np.float32]) -> bytes:
    """Encode a `real[]` with the dimensions of `values` and lower bounds of 1. NaN becomes NULL."""
    import numpy as np

    null = np.isnan(values).ravel()
    elements = np.empty(values.size, _REAL_ELEMENT)
    elements["length"] = 4
    elements["value"] = values.ravel()
    head = struct.pack("!iiI", values.ndim, int(null.any()), _REAL_OID)
    head += b"".join(struct.pack("!ii", size, 1) for size in values.shape)
    if not null.any():
        return head + elements.tobytes()
    elements["length"][null] = -1
    written = np.ones((values.size, 8), bool)
    written[null, 4:] = False  # a NULL has a length and no value
    return head + elements.view("u1").reshape(-1, 8)[written].tobytes()


def text_array(values: Sequence[str]) -> bytes:
    """Encode a one-dimensional `text[]` without NULLs."""
    texts = [value.encode() for value in values]
    elements = b"".join(struct.pack("!i", len(text)) + text for text in texts)
    return struct.pack("!iiIii", 1, 0, _TEXT_OID, len(texts), 1) + elements


def decode(types: Mapping[str, Type], chunks: Iterable[bytes | bytearray | memoryview]) -> npt.NDArray[Any]:
    """Return the rows of a binary COPY stream as a structured array with a field for each of `types`.

    Raises:
        InvalidInput: the stream is truncated, is not a binary COPY stream, or its rows do not have these types.
    """
    import numpy as np

    data = _joined(chunks)
    start = _body(data)
    record = _record(types)
    rows, rest = divmod(len(data) - start - len(_TRAILER), record.itemsize)
    if rows < 0 or rest or not data.endswith(_TRAILER):
        raise InvalidInput("the binary COPY stream is truncated, or its rows have other types")
    block = np.frombuffer(data, record, count=rows, offset=start)
    if not (block[" fields"] == len(types)).all():
        raise InvalidInput(f"the rows of the binary COPY stream do not have {len(types)} fields")
    for name in types:
        if not (block[f" {name}"] == (-1 if types[name] == "null" else record[name].itemsize)).all():
            raise InvalidInput("NULL or of another type in the binary COPY stream", column=name)
    return block


def decode_in_blocks(
    types: Mapping[str, Type], chunks: Iterable[bytes | bytearray | memoryview], rows: int
) -> Iterator[npt.NDArray[Any]]:
    """Yield the same arrays as `decode` in blocks of `rows` rows. The last block can be shorter; none is empty.

    Raises:
        InvalidInput: see `decode`; raised when the iteration reaches the error.
    """
    full = len(_HEADER) + rows * _record(types).itemsize
    pending = bytearray()  # always begins with the header
    for chunk in chunks:
        pending += chunk
        while len(pending) >= full + len(_TRAILER):
            yield decode(types, [pending[:full], _TRAILER])
            del pending[len(_HEADER) : full]
    if len(last := decode(types, [pending])):
        yield last


def decode_with_tails(
    types: Mapping[str, Type], tail: str, chunks: Iterable[bytes | bytearray | memoryview]
) -> tuple[npt.NDArray[Any], list[bytes | None]]:
    """Return the rows of a binary COPY stream whose last field, `tail`, can have any width.

    Returns:
        a structured array with a field for each of `types` and `tail` (always NULL), and the encoded values of `tail`.

    Raises:
        InvalidInput: see `decode`.
    """
    import numpy as np

    data = _joined(chunks)
    offset = _body(data)
    all_types: dict[str, Type] = {**types, tail: "null"}
    record = _record(all_types)
    width = record.itemsize
    rows, rest = divmod(len(data) - offset - len(_TRAILER), width)
    lengths = np.frombuffer(data, record, count=max(rows, 0), offset=offset)[f" {tail}"]
    if not rest and (lengths == -1).all():
        return decode(all_types, [data]), [None] * rows
    fixed, tails = bytearray(data[:offset]), []
    end = len(data) - len(_TRAILER)
    while offset + width <= end:
        (length,) = struct.unpack_from("!i", data, offset + width - len(_NULL))
        fixed += data[offset : offset + width - len(_NULL)] + _NULL
        offset += width
        tails.append(bytes(data[offset : offset + length]) if length >= 0 else None)
        offset += max(length, 0)
    if offset != end:
        raise InvalidInput("the binary COPY stream is truncated, or its rows have other types")
    fixed += data[end:]
    return decode(all_types, [fixed]), tails


def _joined(chunks: Iterable[bytes | bytearray | memoryview]) -> bytearray:
    data = bytearray()
    for chunk in chunks:  # b"".join would keep all chunks until the end
        data += chunk
    return data


def _body(data: bytearray) -> int:
    """Return the position of the first row."""
    start = len(_HEADER)
    if len(data) < start or not data.startswith(_SIGNATURE):
        raise InvalidInput("the data is not a binary COPY stream")
    flags, extension = struct.unpack_from("!ii", data, len(_SIGNATURE))
    if flags or extension < 0:
        raise InvalidInput(f"the binary COPY stream has unknown flags {flags:#x} or an extension of {extension} bytes")
    return start + int(extension)


def _record(types: Mapping[str, Type]) -> np.dtype[Any]:
    import numpy as np

    fields = [(" fields", ">i2")]
    for name, type_ in types.items():
        fields += [(f" {name}", ">i4"), (name, _WIRE[type_])]
    return np.dtype(fields)
