"""Deletes old readings and forecasts, and archives them first if asked."""

from .pruning import prune
from .sites import SiteFilter

__all__ = ["SiteFilter", "prune"]
