"""Keeps finished months compact and quick to read: rebuilds indexes, vacuums, and puts rows in order if asked."""

from .tidying import tidy

__all__ = ["tidy"]
