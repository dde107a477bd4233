"""Writes pruned rows to Parquet files: one row for each reading or forecast value, as `insert` takes them.

A file gets its final name only after it was written, synced, read back and compared row by row.
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

__all__ = [
    "READINGS",
    "check_writable",
    "forecast_values_table",
    "forecasts_schema",
    "read_readings",
    "readings_table",
    "write",
]

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


def check_writable(folder: Path) -> None:
    """Check that files can be created in the folder.

    Raises:
        PvsiteSqlError: they cannot.
    """
    part = folder / f".pvsite-sql-{os.getpid()}.part"
    try:
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise PvsiteSqlError(f"cannot write an archive to {folder}: {error.strerror}") from error


def forecasts_schema(levels: Sequence[str]) -> pa.Schema:
    """Return the schema of an archive of forecasts with these probabilistic levels."""
    if not levels:  # Parquet does not support a struct without fields
        return pa.schema(_FORECASTS)
    struct = pa.struct([(level, pa.float32()) for level in levels])
    return pa.schema({**_FORECASTS, "probabilistic_values": struct})


def readings_table(block: Array) -> pa.Table:
    """Return the rows of a decoded COPY of `generation`."""
    sites, codes = np.unique(block["site_uuid"], return_inverse=True)
    names = pa.array([str(uuid_of(site)) for site in sites.tolist()], pa.string())
    columns = {"site_uuid": names.take(pa.array(codes))}
    for name in ("start_utc", "end_utc", "created_utc"):
        columns[name] = pa.array(datetime64_of(block[name])).cast(_TIME)
    columns["generation_power_kw"] = pa.array(block["generation_power_kw"].astype("f8"))
    return pa.table(columns, READINGS)


def forecast_values_table(forecasts: Sequence[Mapping[str, Any]], levels: Sequence[str]) -> pa.Table:
    """Return one row for each value of the forecasts, in order. Slots without any value are left out."""
    slots = [len(forecast["power_kw"]) for forecast in forecasts]
    offsets = np.cumsum([0, *slots])
    power = np.concatenate([np.array(forecast["power_kw"], "f4") for forecast in forecasts])
    level_kw = {level: np.full(len(power), np.nan, "f4") for level in levels}
    for forecast, first, end in zip(forecasts, offsets, offsets[1:], strict=False):
        level_values = zip(forecast["probabilistic_levels"] or (), forecast["probabilistic_kw"] or (), strict=True)
        for level, values_kw in level_values:
            level_kw[level][first:end] = np.array(values_kw, "f4")
    has_value = ~np.isnan([power, *level_kw.values()]).all(axis=0)
    index = np.repeat(np.arange(len(forecasts)), slots)[has_value]
    slot = (np.arange(len(power)) - np.repeat(offsets[:-1], slots))[has_value]
    names = [name for name in _FORECASTS if name in forecasts[0] and name != "start_utc"]
    columns = {name: _repeat(forecasts, name, index) for name in names}
    resolution = np.array([forecast["resolution_minutes"] * _MINUTE_US for forecast in forecasts])[index]
    start = np.array([microseconds_of(forecast["start_utc"]) for forecast in forecasts])[index] + slot * resolution
    timestamp = np.array([microseconds_of(forecast["timestamp_utc"]) for forecast in forecasts])[index]
    columns |= {
        "start_utc": pa.array(datetime64_of(start)).cast(_TIME),
        "end_utc": pa.array(datetime64_of(start + resolution)).cast(_TIME),
        "forecast_power_kw": pa.array(power[has_value], from_pandas=True),
        "horizon_minutes": pa.array((start - timestamp) // _MINUTE_US, pa.int32()),
    }
    if levels:
        arrays = [pa.array(level_kw[level][has_value], from_pandas=True) for level in levels]
        columns["probabilistic_values"] = pa.StructArray.from_arrays(arrays, names=list(levels))
    return pa.table(columns, forecasts_schema(levels))


def _repeat(forecasts: Sequence[Mapping[str, Any]], name: str, index: Array) -> pa.Array:
    type_ = _FORECASTS[name]
    cells = [forecast[name] for forecast in forecasts]
    if type_ == pa.string():
        cells = [None if cell is None else str(cell) for cell in cells]
    return pa.array(cells, type_).take(pa.array(index))


def write(folder: Path, name: str, schema: pa.Schema, tables: Iterable[pa.Table], *, source: str) -> Path:
    """Write a file with one row group for each table, read it back and compare.

    Args:
        folder: where to write it.
        name: the file name without extension. If such a file exists, `name_2` is used, and so on.
        schema: the schema of each table.
        tables: not empty; one at a time is in memory.
        source: the database of the rows. A partial file that an interrupted call left for the same name and source is
            overwritten.

    Returns:
        the path of the file.

    Raises:
        PvsiteSqlError: the file could not be written, or differs from the tables. No file remains.
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
            raise PvsiteSqlError(
                f"{folder / name}.parquet: the file that was read back differs from the rows that were written"
            )
        return _rename(part, folder, name)
    except (OSError, pa.ArrowException) as error:
        raise PvsiteSqlError(f"{folder / name}.parquet: cannot be written: {error}") from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def read_readings(path: Path, batch_rows: int) -> Iterator[dict[str, list[Any]]]:
    """Yield the columns of an archive of readings in batches."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=batch_rows):
            yield batch.to_pydict()


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for n in range(file.num_row_groups):
            yield file.read_row_group(n)


def _digest(table: pa.Table) -> bytes:
    hashes = hash_pandas_object(table.flatten().to_pandas(), index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).digest()


def _rename(part: Path, folder: Path, name: str) -> Path:
    """Rename the file to its name, or to the next free one. An existing archive is never overwritten."""
    for n in count(1):
        path = folder / f"{name}{f'_{n}' if n > 1 else ''}.parquet"
        try:
            try:
                os.link(part, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: reserve the name first
                path.touch(exist_ok=False)
                part.replace(path)
        except FileExistsError:
            continue
        _sync_folder(folder)
        return path
    raise AssertionError


def _sync_folder(folder: Path) -> None:
    with suppress(PermissionError):  # Windows cannot open folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
