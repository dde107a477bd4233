"""The command line `pvsite-sql`, one module for each command. Commands import what they need when they run."""

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    try:
        from .app import run

        run()
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        raise SystemExit('pvsite-sql requires typer: pip install "pvsite_sql[cli]"') from None
