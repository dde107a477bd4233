"""numpy, pandas and pyarrow, which are imported when a call first needs them: they are slow to import.

Signal handlers run after the import: where an exception ends the import of numpy, it cannot be imported again.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from ..errors import PvsiteSqlError
from .signals import DeferredSignals

__all__ = ["load_pandas", "pyarrow"]


@cache
def load_pandas() -> None:
    """Import numpy, pandas and the modules of this package that need them."""
    with DeferredSignals():
        from . import columns, forecast_frames, forecast_pieces, frames, generation_frames, pandas_frames  # noqa: F401


def pyarrow() -> Any:
    """Return pyarrow, which is an extra.

    Raises:
        PvsiteSqlError: it is not installed.
    """
    try:
        if "pyarrow" not in sys.modules:
            with DeferredSignals():
                import pyarrow as pa

                from . import arrow_frames, arrow_results  # noqa: F401
        import pyarrow as pa
    except ModuleNotFoundError:
        raise PvsiteSqlError('Arrow data requires pyarrow: pip install "pvsite_sql[arrow]"') from None
    return pa
