"""Reads records from NDJSON files (a JSON object a line), and from JSON files with an array of records."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Literal

import numpy as np

from ..engine.rows import collector_paused
from ..errors import InvalidInput
from .batch import Batch, Cells
from .layout import Layout
from .reasons import reason_of
from .sniff import encoding_by_mark
from .source import Source
from .values import as_cells

__all__ = ["is_json", "json_batches"]

_EXTENSIONS = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_START = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{\]])")
_BATCH_RECORDS = 100_000
_MAX_CHARACTERS = 25_000_000  # of a JSON document, which is in memory as a whole

_INVALID = object()

_Numbered = tuple[int, Any]  # the line or record number, and the record


def is_json(source: Source) -> bool:
    """Return whether a file is JSON, by its name or its first bytes."""
    head = source.stream.peek(1024)[:1024]
    return source.name.lower().endswith(_EXTENSIONS) or bool(_START.match(head.removeprefix(b"\xef\xbb\xbf")))


def json_batches(source: Source, layout: Layout) -> Iterator[Batch]:
    """Yield the records of a file. Nested keys are columns too, such as `data.power`.

    Raises:
        InvalidInput: the file is not JSON, has no array of records, or is a document that is too large.
    """
    encoding = encoding_by_mark(source.stream.peek(4)[:4]) or "utf-8"
    try:
        with io.TextIOWrapper(source.stream, encoding) as text:
            yield from _batches(text, source, layout)
    except UnicodeError as error:
        raise InvalidInput(f"{source.name} is not encoded in {encoding}: {error}") from None


def _batches(text: io.TextIOWrapper, source: Source, layout: Layout) -> Iterator[Batch]:
    kind: Literal["line", "record"]
    ahead, is_lines = _look_ahead(text, source.name)
    if is_lines and layout.records is None:
        kind, parts = "line", _lines(enumerate(chain(ahead, text), 1))
    else:
        document = "".join(ahead)
        document += text.read(max(0, _MAX_CHARACTERS + 1 - len(document)))
        if len(document) > _MAX_CHARACTERS:
            raise InvalidInput(
                f"{source.name} is longer than {_MAX_CHARACTERS:,} characters, which is the limit of a JSON document: "
                "convert it to NDJSON, a record a line (with jq: jq -c '.[]')"
            )
        kind, parts = "record", _records(_parsed_document(document, source.name), source.name, layout)
        del document, ahead
    positions: dict[str, int] = {}
    for part in parts:
        records = [(number, _flat(record)) for number, record in part if isinstance(record, dict)]
        unreadable = [(number, _reason(record)) for number, record in part if not isinstance(record, dict)]
        if not positions:
            if not records:
                number, reason = unreadable[0]
                raise InvalidInput(f"{source.name}, {kind} {number}: {reason}")
            names = list(dict.fromkeys(chain.from_iterable(record for _, record in records)))
            positions = layout.select_columns(names, source.name)
            columns = {key: names[position] for key, position in positions.items()}
        yield Batch(
            columns,
            {key: _cells([record.get(name) for _, record in records], layout) for key, name in columns.items()},
            np.array([number for number, _ in records], int),
            kind,
            source.position(),
            unreadable,
            positions=positions,
        )


def _look_ahead(text: io.TextIOWrapper, file: str) -> tuple[list[str], bool]:
    """Return the first lines, and whether each line of the file is a record."""
    if file.lower().endswith(_LINES):
        return [], True
    ahead: list[str] = []
    while sum(bool(line.strip()) for line in ahead) < 2 and (line := text.readline(_MAX_CHARACTERS + 1)):  # noqa: PLR2004
        ahead.append(line)
    full = [line for line in ahead if line.strip()]
    return ahead, len(full) > 1 and isinstance(_parsed(full[0]), dict)


def _not_blank(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    return (line for line in lines if line[1].strip())


def _lines(numbered: Iterable[tuple[int, str]]) -> Iterator[list[_Numbered]]:
    """Yield the records of lines; a line that is not JSON stays a text."""
    lines = _not_blank(numbered)
    while part := list(islice(lines, _BATCH_RECORDS)):
        texts = [text for _, text in part]
        records = _parsed(f"[{','.join(texts)}]")  # many times faster than line by line
        if not isinstance(records, list) or len(records) != len(texts):
            records = [text.strip() if (record := _parsed(text)) is _INVALID else record for text in texts]
        yield [(number, record) for (number, _), record in zip(part, records, strict=True)]


def _parsed_document(text: str, file: str) -> Any:
    try:
        with collector_paused():
            return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} is not JSON: {error}") from None


def _records(document: Any, file: str, layout: Layout) -> Iterator[list[_Numbered]]:
    """Yield the records of a document."""
    records = enumerate(_array(document, layout.records, file), 1)
    while part := list(islice(records, _BATCH_RECORDS)):
        yield part


def _array(document: Any, path: str | None, file: str) -> list[Any]:
    """Return the array of records in a document: the document itself, or the value of a key."""
    if path is not None:
        for key in path.split("."):
            document = document.get(key) if isinstance(document, dict) else None
        if not isinstance(document, list):
            raise InvalidInput(f"{file} has no array {path!r}, which --records names")
    if isinstance(document, list):
        return document
    arrays = dict(_arrays(document))
    if len(arrays) > 1:
        raise InvalidInput(f"{file} has several arrays of records; choose one with --records: {', '.join(arrays)}")
    return next(iter(arrays.values()), [document])


def _arrays(document: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the arrays of objects in an object, each with its keys."""
    for key, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{path}{key}", value
        elif isinstance(value, dict):
            yield from _arrays(value, f"{path}{key}.")


def _parsed(text: str) -> Any:
    try:
        with collector_paused():
            return json.loads(text)
    except (ValueError, RecursionError):
        return _INVALID


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the keys of objects inside it, such as `data.power`."""
    if dict not in map(type, record.values()):
        return record
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in _flat(value).items()}
        else:
            flat[key] = value
    return flat


def _cells(values: Sequence[Any], layout: Layout) -> Cells:
    # JSON can have halves of characters, which cannot be written
    valid = [
        value if type(value) is not str or value.isascii() else value.encode("utf-8", "backslashreplace").decode()
        for value in values
    ]
    return as_cells(valid, layout.decimal)


def _reason(record: Any) -> str:
    return reason_of("not a JSON object", record if isinstance(record, str) else json.dumps(record))
