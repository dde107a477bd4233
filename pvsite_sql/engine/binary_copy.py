"""Convert between numpy arrays and PostgreSQL's binary COPY format, without a loop over rows.

The PostgreSQL manual describes the format on the page of COPY, under "Binary Format": an 11-byte signature, flags and
the length of a header extension; then for each row the number of fields, and each field after its length; then -1.
If every field has a fixed width and none is NULL, each row is a record of a numpy structured array.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Type",
    "decode",
    "decode_in_blocks",
    "decode_ragged",
    "encode",
    "encode_rows",
    "read_real_array",
    "read_real_arrays",
    "read_text_array",
    "real_array",
    "text_array",
]

Type = Literal["uuid", "timestamptz", "double precision", "real", "integer", "bigint", "null"]

_Fields = tuple[bytes | None, ...]

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
_LENGTH = struct.Struct("!i")
_NULL = struct.pack("!i", -1)
_REAL_OID, _TEXT_OID = 700, 25
_REAL_ELEMENT = [("length", ">i4"), ("value", ">f4")]
_REAL_WIDTH = 4
_SHAPE_AT = struct.calcsize("!iiI")
_ARRAY_HEAD = [("dimensions", ">i4"), ("has_null", ">i4"), ("oid", ">u4"), ("size", ">i4"), ("first", ">i4")]
_HEAD_WIDTH = struct.calcsize("!iiIii")
_NULL_WORD = 0xFFFFFFFF  # as a real it would be NaN, which is no value of a forecast


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
    return _checked(np.frombuffer(data, record, count=rows, offset=start), types, len(types))


def _checked(block: npt.NDArray[Any], types: Mapping[str, Type], fields: int) -> npt.NDArray[Any]:
    """Return the block.

    Raises:
        InvalidInput: its rows do not have so many fields, or a field is NULL or of another width.
    """
    if not (block[" fields"] == fields).all():
        raise InvalidInput(f"the rows of the binary COPY stream do not have {fields} fields")
    for name in types:
        if not (block[f" {name}"] == (-1 if types[name] == "null" else block.dtype[name].itemsize)).all():
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


def decode_ragged(
    types: Mapping[str, Type], before: int, after: int, chunks: Iterable[bytes | bytearray | memoryview]
) -> tuple[npt.NDArray[Any], list[_Fields], list[bytes | None], list[_Fields]]:
    """Return the rows of a binary COPY stream with a field of any width, between fields that are mostly repeated.

    Args:
        types: the fields of fixed width, which come first.
        before: the number of fields after them, which are mostly the same from row to row.
        after: the number of such fields after the next one, which can have any width.
        chunks: the stream.

    Returns:
        a structured array with a field for each of `types`, and for each row: the encoded fields before, the field of
        any width, and the fields after it. Rows with the same fields as the row before share one tuple.

    Raises:
        InvalidInput: see `decode`.
    """
    import numpy as np

    record = _record(types)
    width, length_width = record.itemsize, _LENGTH.size
    fixed: list[bytes] = []
    left: list[_Fields] = []
    middle: list[bytes | None] = []
    right: list[_Fields] = []
    head = tail = b"no fields yet"
    of_head: _Fields = ()
    of_tail: _Fields = ()
    data = b""
    for chunk in _after_header(chunks):  # rows are decoded while the server works on the next ones
        data += chunk
        starts_with, unpack, end = data.startswith, _LENGTH.unpack_from, len(data)  # looked up once for many rows
        row = 0
        with suppress(struct.error):  # raised where the last row is not complete
            while True:
                at = row + width
                if not starts_with(head, at):
                    fields, past = _fields(data, at, before)
                    if past > end:
                        break
                    head, of_head = data[at:past], fields
                at += len(head)
                (length,) = unpack(data, at)
                at += length_width
                past = at + length if length >= 0 else at
                if not starts_with(tail, past):
                    fields, end_of_row = _fields(data, past, after)
                    if end_of_row > end:
                        break
                    tail, of_tail = data[past:end_of_row], fields
                fixed.append(data[row : row + width])
                left.append(of_head)
                middle.append(data[at:past] if length >= 0 else None)
                right.append(of_tail)
                row = past + len(tail)
        data = data[row:]
    if data != _TRAILER:
        raise InvalidInput("the binary COPY stream is truncated, or its rows have other types")
    block = np.frombuffer(b"".join(fixed), record)
    return _checked(block, types, len(types) + before + 1 + after), left, middle, right


def _fields(data: bytes, at: int, number: int) -> tuple[_Fields, int]:
    """Return so many encoded fields, and where the next one begins."""
    fields: list[bytes | None] = []
    for _ in range(number):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        fields.append(data[at : at + length] if length >= 0 else None)
        at += max(length, 0)
    return tuple(fields), at


def read_text_array(encoded: bytes) -> list[str]:
    """Decode a one-dimensional `text[]` without NULLs.

    Raises:
        InvalidInput: it is something else.
    """
    texts, at = [], _HEAD_WIDTH
    try:
        dimensions, has_null, oid, size, _ = struct.unpack_from("!iiIii", encoded)
        for _ in range(size):
            (length,) = _LENGTH.unpack_from(encoded, at)
            at += _LENGTH.size + length
            texts.append(encoded[at - length : at].decode())
    except (struct.error, UnicodeDecodeError):
        at = -1
    if at != len(encoded) or (dimensions, has_null, oid) != (1, 0, _TEXT_OID):
        raise InvalidInput("not a text[] in the binary COPY stream")
    return texts


def read_real_array(encoded: bytes) -> npt.NDArray[np.float32]:
    """Decode a `real[]` of any dimensions. NULL becomes NaN.

    Raises:
        InvalidInput: it is something else.
    """
    import numpy as np

    try:
        dimensions, _, oid = struct.unpack_from("!iiI", encoded)
        shape = struct.unpack_from("!" + "i4x" * dimensions, encoded, _SHAPE_AT)
        words = np.frombuffer(encoded, ">u4", offset=_SHAPE_AT + dimensions * 2 * _REAL_WIDTH)
        # an element that is NULL is one word, any other two: its length and its value
        is_null = words == _NULL_WORD
        others = words[~is_null].reshape(-1, 2)
        before = np.flatnonzero(is_null)
        nulls = np.arange(len(before))
        filled = np.ones(len(others) + len(before), bool)
        filled[nulls + (before - nulls) // 2] = False
        values = np.full(len(filled), np.nan, np.float32)
        values[filled] = np.ascontiguousarray(others[:, 1]).view(">f4")
        if oid == _REAL_OID and (others[:, 0] == _REAL_WIDTH).all():
            return values.reshape(shape)
    except (struct.error, ValueError, IndexError):
        pass
    raise InvalidInput("not a real[] in the binary COPY stream")


def read_real_arrays(encoded: Sequence[bytes]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Decode one-dimensional `real[]` together: their lengths, and their elements one after the other, NaN for NULL.

    Raises:
        InvalidInput: they are something else.
    """
    import numpy as np

    try:
        heads = np.frombuffer(b"".join([array[:_HEAD_WIDTH].ljust(_HEAD_WIDTH) for array in encoded]), _ARRAY_HEAD)
        lengths = heads["size"].astype(np.intp)
        if ((heads["dimensions"] == 1) & (heads["oid"] == _REAL_OID)).all():
            if heads["has_null"].any():
                return lengths, np.concatenate([read_real_array(array) for array in encoded])
            elements = np.frombuffer(b"".join([array[_HEAD_WIDTH:] for array in encoded]), _REAL_ELEMENT)
            if len(elements) == lengths.sum() and (elements["length"] == _REAL_WIDTH).all():
                return lengths, elements["value"].astype("=f4")
    except ValueError:
        pass
    raise InvalidInput("not a one-dimensional real[] in the binary COPY stream")


def _joined(chunks: Iterable[bytes | bytearray | memoryview]) -> bytearray:
    data = bytearray()
    for chunk in chunks:  # b"".join would keep all chunks until the end
        data += chunk
    return data


def _after_header(chunks: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes | bytearray | memoryview]:
    """Yield the stream from the first row on, as it arrives."""
    stream, begin = iter(chunks), bytearray()
    for chunk in stream:
        begin += chunk
        if len(begin) >= len(_HEADER) and len(begin) >= _body(begin):
            break
    yield begin[_body(begin) :]
    yield from stream


def _body(data: bytes | bytearray) -> int:
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
