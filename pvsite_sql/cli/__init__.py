"""The command line: `pvsite-sql migrate | check | load | adopt | prune | queries | demo`, one module a command."""

try:
    from .app import main
except ModuleNotFoundError as missing:
    if missing.name not in ("typer", "rich"):
        raise
    raise SystemExit('pvsite-sql needs typer, which an extra brings: pip install "pvsite_sql[cli]"') from None

__all__ = ["main"]
