"""Writes or reads so many rows and tells the peak of its resident memory. Arguments: DSN, mode, rows, rows a frame."""

from __future__ import annotations

import json
import resource
import sys
import time
from itertools import chain
from pathlib import Path

from data import sites, ticks, with_strings

from pvsite_sql import Repository


def peak() -> int:
    """Bytes; getrusage tells that of the parent where this process was begun by vfork."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


dsn, mode = sys.argv[1:3]
rows, chunk = int(sys.argv[3]), int(sys.argv[4])
of = sites(dsn, 1000)
slots = chunk // len(of)
with Repository(dsn) as repo:
    begin = time.perf_counter()
    if mode == "insert":
        frames = (ticks(of, slots, first) for first in range(0, rows // len(of), slots))
        assert repo.generation.insert(frames).inserted == rows
    elif mode == "read_frames":
        left = rows
        for frame in repo.generation.read_frames(chunk_rows=chunk):
            left -= len(frame)
            if left <= 0:
                break
    elif mode == "read_arrow":
        with repo.generation.read_arrow(chunk_rows=chunk) as reader:
            assert sum(batch.num_rows for batch in reader) >= rows
    elif mode == "insert of an Arrow stream":
        import pyarrow as pa

        batches = (
            pa.RecordBatch.from_pandas(with_strings(ticks(of, slots, first)), preserve_index=False)
            for first in range(0, rows // len(of), slots)
        )
        head = next(batches)
        reader = pa.RecordBatchReader.from_batches(head.schema, chain([head], batches))
        del head
        assert repo.generation.insert(reader).inserted == rows
    took = time.perf_counter() - begin
sys.stdout.write(json.dumps({"peak": peak(), "seconds": took}))
