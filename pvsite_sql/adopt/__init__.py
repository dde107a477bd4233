"""Copies a pvsite-datamodel database into this one."""

from .adoption import Progress, adopt

__all__ = ["Progress", "adopt"]
