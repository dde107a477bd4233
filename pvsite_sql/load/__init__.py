"""Loads readings from CSV and Parquet files."""

from .layout import Layout
from .readings import LoadResult, Progress, load

__all__ = ["Layout", "LoadResult", "Progress", "load"]
