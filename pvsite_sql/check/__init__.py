"""A database, compared with the schema that this version expects."""

from .checks import ORPHANS_TIMEOUT_S, findings
from .drift import Finding

__all__ = ["ORPHANS_TIMEOUT_S", "Finding", "findings"]
