"""Loads readings from CSV and Parquet files."""

from .layout import Layout
from .readings import LoadResult, Progress, load
from .sites import find_site

__all__ = ["Layout", "LoadResult", "Progress", "find_site", "load"]
