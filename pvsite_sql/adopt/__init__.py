"""A pvsite-datamodel database, taken over."""

from .adoption import Progress, adopt

__all__ = ["Progress", "adopt"]
