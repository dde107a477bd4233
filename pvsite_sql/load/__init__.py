"""Files of readings, stored: CSV and Parquet."""

from .layout import Layout
from .readings import LoadResult, Progress, load

__all__ = ["Layout", "LoadResult", "Progress", "load"]
