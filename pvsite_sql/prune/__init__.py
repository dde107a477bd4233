"""Deletes old readings and forecasts, and archives them first if asked."""

from .pruning import prune

__all__ = ["prune"]
