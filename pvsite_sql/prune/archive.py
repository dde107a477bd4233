"""Parquet files of pruned rows: a row a reading, or a row a forecast's value, as `insert` takes them.

A file gets its name when it was written, synced, read back and compared, row by row.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.util import hash_pandas_object

from ..engine.arrays import Array, uuid_of
from ..engine.timestamps import datetime64_of, microseconds_of
from ..errors import PvsiteSqlError

__all__ = ["READINGS", "check", "forecast_values", "readings", "readings_of", "schema_of", "written"]

_MINUTE_US = 60_000_000
_TIME = pa.timestamp("us", tz="UTC")
READINGS = pa.schema(
    {
        "site_uuid": pa.string(),
        "start_utc": _TIME,
        "end_utc": _TIME,
        "generation_power_kw": pa.float64(),
        "created_utc": _TIME,
    }
)
_FORECASTS = {
    "forecast_uuid": pa.string(),
    "site_uuid": pa.string(),
    "timestamp_utc": _TIME,
    "created_utc": _TIME,
    "start_utc": _TIME,
    "end_utc": _TIME,
    "forecast_power_kw": pa.float32(),
    "horizon_minutes": pa.int32(),
    "forecast_version": pa.string(),
    "model_name": pa.string(),
    "model_version": pa.string(),
    "ml_model_uuid": pa.string(),
}


def check(folder: Path) -> None:
    """See that files can be made in the folder.

    Raises:
        PvsiteSqlError: they cannot.
    """
    part = folder / f".pvsite-sql-{os.getpid()}.part"
    try:
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise PvsiteSqlError(f"{folder}: no archive can be written there: {error.strerror}") from error


def schema_of(levels: Sequence[str]) -> pa.Schema:
    """The columns of an archive of forecasts with probabilistic values of these names."""
    if not levels:  # a file cannot hold a struct without fields
        return pa.schema(_FORECASTS)
    struct = pa.struct([(level, pa.float32()) for level in levels])
    return pa.schema({**_FORECASTS, "probabilistic_values": struct})


def readings(block: Array) -> pa.Table:
    """The rows of a decoded COPY of `generation`."""
    sites, of = np.unique(block["site_uuid"], return_inverse=True)
    names = pa.array([str(uuid_of(site)) for site in sites.tolist()], pa.string())
    columns = {"site_uuid": names.take(pa.array(of))}
    for name in ("start_utc", "end_utc", "created_utc"):
        columns[name] = pa.array(datetime64_of(block[name])).cast(_TIME)
    columns["generation_power_kw"] = pa.array(block["generation_power_kw"].astype("f8"))
    return pa.table(columns, READINGS)


def forecast_values(rows: Sequence[Mapping[str, Any]], levels: Sequence[str]) -> pa.Table:
    """A row a value of the forecasts, in their order. A slot without any value is left out."""
    slots = [len(row["power_kw"]) for row in rows]
    first = np.cumsum([0, *slots])
    power = np.concatenate([np.array(row["power_kw"], "f4") for row in rows])
    level_kw = {level: np.full(len(power), np.nan, "f4") for level in levels}
    for row, begin, past in zip(rows, first, first[1:], strict=False):
        for level, line in zip(row["probabilistic_levels"] or (), row["probabilistic_kw"] or (), strict=True):
            level_kw[level][begin:past] = np.array(line, "f4")
    there = ~np.isnan([power, *level_kw.values()]).all(axis=0)
    of = np.repeat(np.arange(len(rows)), slots)[there]
    slot = (np.arange(len(power)) - np.repeat(first[:-1], slots))[there]
    each = {name: _repeated(rows, name, of) for name in _FORECASTS if name in rows[0] and name != "start_utc"}
    lasts = np.array([row["resolution_minutes"] * _MINUTE_US for row in rows])[of]
    start = np.array([microseconds_of(row["start_utc"]) for row in rows])[of] + slot * lasts
    timestamp = np.array([microseconds_of(row["timestamp_utc"]) for row in rows])[of]
    values = {
        "start_utc": pa.array(datetime64_of(start)).cast(_TIME),
        "end_utc": pa.array(datetime64_of(start + lasts)).cast(_TIME),
        "forecast_power_kw": pa.array(power[there], from_pandas=True),
        "horizon_minutes": pa.array((start - timestamp) // _MINUTE_US, pa.int32()),
    }
    if levels:
        lines = [pa.array(level_kw[level][there], from_pandas=True) for level in levels]
        values["probabilistic_values"] = pa.StructArray.from_arrays(lines, names=list(levels))
    return pa.table({**each, **values}, schema_of(levels))


def _repeated(rows: Sequence[Mapping[str, Any]], name: str, of: Array) -> pa.Array:
    type_ = _FORECASTS[name]
    cells = [row[name] for row in rows]
    if type_ == pa.string():
        cells = [None if cell is None else str(cell) for cell in cells]
    return pa.array(cells, type_).take(pa.array(of))


def written(folder: Path, name: str, schema: pa.Schema, tables: Iterable[pa.Table], *, source: str) -> Path:
    """Write a file, a row group a table, and compare what can be read back of it.

    Args:
        folder: where.
        name: of the file, without its ending. Where there is one of that name, `name_2`, and so on.
        schema: of each of the tables.
        tables: not empty ones; memory holds one at a time.
        source: whose rows these are: what an interrupted call has left of the same file and source is written over.

    Returns:
        the file.

    Raises:
        PvsiteSqlError: it cannot be written, or holds other rows than it should. Nothing of it is left.
    """
    part = folder / f".{name}.{crc32(source.encode()):08x}.part"
    try:
        digests = []
        with part.open("wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table, row_group_size=len(table))
                    digests.append(_digest(table))
            file.flush()
            os.fsync(file.fileno())
        if [_digest(table) for table in _row_groups(part)] != digests:
            raise PvsiteSqlError(f"{folder / name}.parquet: what was read back is not what was written")
        return _named(part, folder, name)
    except (OSError, pa.ArrowException) as error:
        raise PvsiteSqlError(f"{folder / name}.parquet could not be written: {error}") from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def readings_of(path: Path, rows: int) -> Iterator[dict[str, list[Any]]]:
    """The columns of an archive of readings, so many rows at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield batch.to_pydict()


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for n in range(file.num_row_groups):
            yield file.read_row_group(n)


def _digest(table: pa.Table) -> bytes:
    hashes = hash_pandas_object(table.flatten().to_pandas(), index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).digest()


def _named(part: Path, folder: Path, name: str) -> Path:
    """Give the file its name, or the next one that is free; an archive that is there is never replaced."""
    for n in count(1):
        path = folder / f"{name}{f'_{n}' if n > 1 else ''}.parquet"
        try:
            try:
                os.link(part, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: the name is taken first
                path.touch(exist_ok=False)
                part.replace(path)
        except FileExistsError:
            continue
        _sync_folder(folder)
        return path
    raise AssertionError


def _sync_folder(folder: Path) -> None:
    with suppress(PermissionError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
