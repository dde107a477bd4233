"""Applies migrations and creates month partitions without blocking readers or writers."""

from .runner import RetryPolicy, apply, ensure_months_ahead, yoyo_uri

__all__ = ["RetryPolicy", "apply", "ensure_months_ahead", "yoyo_uri"]
