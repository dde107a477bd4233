"""Old readings and forecasts, removed, and archived before if asked."""

from .pruning import prune

__all__ = ["prune"]
