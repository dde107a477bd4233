"""`slow` is collected only where a command names it, as tox's `adopt` does."""

collect_ignore = ["slow"]
