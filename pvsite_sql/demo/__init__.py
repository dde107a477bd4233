"""The demonstration: what the package does, with measured readings, in a database of its own."""

from .program import run, sample

__all__ = ["run", "sample"]
