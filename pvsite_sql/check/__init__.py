"""Compares a database with the schema that this version of the package expects."""

from .checks import ORPHANS_TIMEOUT_S, findings
from .drift import Finding

__all__ = ["ORPHANS_TIMEOUT_S", "Finding", "findings"]
