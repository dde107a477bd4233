"""Loads readings and forecasts from CSV and Parquet files."""

from .files import IgnoredFiles
from .forecast_layout import ForecastLayout
from .forecasts import ForecastLoadResult, load_forecasts
from .layout import Layout
from .options import read_profile
from .previews import Preview, preview
from .progress import Progress
from .readings import LoadResult, load
from .sites import find_site

__all__ = [
    "ForecastLayout",
    "ForecastLoadResult",
    "IgnoredFiles",
    "Layout",
    "LoadResult",
    "Preview",
    "Progress",
    "find_site",
    "load",
    "load_forecasts",
    "preview",
    "read_profile",
]
