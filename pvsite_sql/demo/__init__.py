"""Demonstrates the package with measured readings in a temporary database."""

from .program import run, sample

__all__ = ["run", "sample"]
