"""The blocks of code in the guides run, and print what stands beside them."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import UUID

import psycopg
import pytest
from adopt.olds import Old
from commands import COMMAND, surroundings
from conftest import conninfo, reading_frame
from guides import BLOCKS, CHECKOUT, FOLDERS, GUIDES, README, blocks
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from test_queries import _psql

import pvsite_sql
from pvsite_sql import InsertResult, Repository, migrate
from pvsite_sql.engine.queries import folder, load

COMMANDS = (
    'python3 -m venv .venv && .venv/bin/pip install ".[demo]" && .venv/bin/pvsite-sql demo',
    "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox",
)
ROLE = "pvsite_sql_readme_ingestor"
# blocks that no test runs, by their beginning, with the reason
NOT_RUN = {
    COMMANDS[0]: "installs from the package index; CI runs the second command, test_demo.py the end of the first",
    ".venv/bin/tox -e py -- ": "runs these tests; test_readme.py looks for the files and tests that it names",
    "pg_dump -Fc ": "needs two databases and the server's own programs; faults/slow/test_restore.py runs it",
    "python3 -m venv .venv && .venv/bin/pip install -U pip": "installs from the package index and runs these tests",
}
SITE = "7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11"  # stands for a site in all guides, and so does $SITE
PLACEHOLDERS = {
    "postgresql+psycopg://user@host/solar": '"$YOYO_DSN"',
    "postgresql://user@host/solar": '"$DSN"',
    "postgresql://user@host/old": '"$OLD_DSN"',
    SITE: "$SITE",
    "meter_feed": ROLE,  # roles are the whole server's
}
READINGS = "{site},2024-06-02T00:00Z,2024-06-02T00:05Z,7.25,0\n"
PROGRAMS = f"""
set -euo pipefail
psql() {{ command psql -X -v ON_ERROR_STOP=1 "$@"; }}
yoyo() {{ {shlex.quote(sys.executable)} -m yoyo "$@"; }}
pvsite-sql() {{ {shlex.join(COMMAND)} "$@"; }}
"""


def _is_run(block) -> bool:
    return not any(block.text.startswith(begin) for begin in NOT_RUN)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_of_a_kind_that_is_run(block):
    known = {"python", "bash", "sql", "mermaid", "text"}  # each has a test that takes all of them
    assert (block.language in known) == _is_run(block), block.text


def test_every_guide_is_looked_through():
    assert set(GUIDES) >= {"README.md", *(f"{folder}/README.md" for folder in FOLDERS)}
    for begin in NOT_RUN:
        assert any(block.text.startswith(begin) for block in BLOCKS), begin
    assert "<pre" not in "".join(GUIDES.values())


def test_the_two_commands_are_named_and_ci_runs_the_second():
    lines = [line.strip() for line in README.splitlines()]
    assert [line for line in lines if line in COMMANDS] == list(COMMANDS)
    assert COMMANDS[1] in (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("file", [file for file in GUIDES if blocks("python", file)])
def test_the_python_blocks_run_and_print_what_stands_beside_them(dsn, file, tmp_path, monkeypatch):
    """The blocks of a guide, in order, as one program in an empty folder."""
    namespace = {"dsn": dsn}
    monkeypatch.chdir(tmp_path)
    try:
        for block in blocks("python", file):
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(block.text, str(block), "exec"), namespace)
            beside = re.findall(r"^ *print\(.*\)  # (.+)$", block.text, re.MULTILINE)
            assert printed.getvalue().splitlines() == beside, block
    finally:
        if "repo" in namespace:
            namespace["repo"].close()


def _run(text: str, dsn: str, folder_: Path, site_uuid: UUID | str = SITE, old_dsn: str = "") -> str:
    """What a block prints in a shell, in a folder with `sql`, `migrations` and `readings.csv`, with psql and Python.

    The database is libpq's default, `$DSN`, `$YOYO_DSN` and `$PVSITE_SQL_DSN`; the placeholders are replaced.
    """
    for name in ("sql", "migrations"):
        shutil.copytree(folder(name), folder_ / name, dirs_exist_ok=True)
    (folder_ / "readings.csv").write_text(READINGS.format(site=site_uuid))
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    parameters = conninfo_to_dict(dsn)
    programs = [Path(_psql()).parent, Path(sys.executable).parent, os.environ["PATH"]]
    given = {
        "SITE": str(site_uuid),
        "DSN": f"postgresql://?{urlencode(parameters, quote_via=quote)}",
        "OLD_DSN": old_dsn,
        "YOYO_DSN": migrate.yoyo_uri(dsn),
        "PVSITE_SQL_DSN": dsn,
        "PATH": os.pathsep.join(map(str, programs)),
        "PAGER": "cat",
        "USER": "somebody",
    }
    given |= {{"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"): str(each) for name, each in parameters.items()}
    command = ["bash", "-c", PROGRAMS + text]
    options = {"cwd": folder_, "env": surroundings(given), "capture_output": True, "text": True}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def roles(postgresql: psycopg.Connection, groups: None) -> Iterator[None]:
    """Takes away the role that a block makes."""
    yield
    postgresql.rollback()
    postgresql.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(ROLE)))
    postgresql.commit()


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
@pytest.mark.usefixtures("roles")
def test_the_bash_blocks_run_as_they_stand(block, postgresql, empty_database, repo, site, tmp_path):
    """Each by itself, on a migrated database with a site that has readings of June 2024, beside one to be adopted."""
    repo.generation.insert(reading_frame(site.site_uuid))
    if "adopt" in block.text:
        Old(empty_database, "1.0.6").fill()
    printed = _run(block.text, conninfo(postgresql), tmp_path, site.site_uuid, conninfo(empty_database))
    if beside := re.findall(r"^ *--rejects .*  # (.+)$", block.text, re.MULTILINE):
        assert [line for line in printed.splitlines() if line in beside] == beside
        assert len((tmp_path / "rejected.csv").read_text().splitlines()) == 2
    elif counts := re.findall(r"^# (\d+ (?:forecasts? )?inserted, .*)$", block.text, re.MULTILINE):
        assert [line for line in printed.splitlines() if " inserted, " in line] == counts
    elif "adopt" in block.text:
        assert "Counts and sums agree" in printed
    elif "generation_staging" in block.text:
        assert repo.generation.latest()[site.site_uuid].generation_power_kw == 7.25
    elif "$SITE" in block.text:
        assert str(site.site_uuid) in printed


def test_each_line_of_deploying_migrates(empty_dsn, empty_database, tmp_path):
    lines = blocks("bash", "migrations/README.md")[0].text.splitlines()
    assert len(lines) == 3
    installed = (Path(pvsite_sql.__file__).parent / "migrations").is_dir()
    for line in lines:
        _run(line, empty_dsn, tmp_path)
        with Repository(empty_dsn, min_size=1) as repo:
            if installed or "package:" not in line:
                repo.check()
            else:
                with pytest.raises(pvsite_sql.SchemaOutOfDate):  # it finds no migrations there and reports no error
                    repo.check()
        empty_database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        empty_database.commit()


def test_the_folder_of_the_sql_is_where_the_guide_says(dsn, tmp_path):
    (command,) = re.findall(r"`(python -c [^`]+)`", GUIDES["sql/README.md"])
    assert Path(_run(command, dsn, tmp_path).strip()) == folder("sql")


@pytest.mark.parametrize("block", blocks("sql"), ids=str)
def test_the_sql_blocks_run_or_show_how_a_query_file_begins(block, postgresql):
    if any(each.path.read_text(encoding="utf-8").startswith(block.text) for each in load().values()):
        return
    with _role(postgresql):
        postgresql.execute(re.sub(r"\bingestor\b", ROLE, block.text))


@pytest.mark.parametrize("block", blocks("mermaid"), ids=str)
def test_the_diagrams_show_tables_and_columns_that_there_are(block, postgresql):
    columns = {
        f"{table} {column}": type_
        for table, column, type_ in postgresql.execute(
            "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod) FROM pg_attribute AS a "
            "JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0"
        )
    }
    tables = {name.split()[0] for name in columns}
    assert block.text.startswith("erDiagram\n")
    for left, right in re.findall(r"^ +(\w+) \S+\{ (\w+) :", block.text, re.MULTILINE):
        assert {left, right} <= tables
    shown = re.findall(r"^ +(\w+) \{\n(.*?)^ +\}", block.text, re.MULTILINE | re.DOTALL)
    assert shown
    for table, body in shown:
        for type_, column in re.findall(r"^ +(\S+) (\w+)", body, re.MULTILINE):
            assert columns[f"{table} {column}"].replace("timestamp with time zone", "timestamptz").startswith(type_)


@pytest.mark.parametrize("block", blocks("text"), ids=str)
def test_the_drawing_of_the_package_has_every_folder_and_only_files_that_exist(block):
    package = CHECKOUT / "pvsite_sql"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert set(re.findall(r"\b(\w+)/", block.text)) == rooms
    for name in re.findall(r"\b\w+\.py\b", block.text):
        assert (package / name).is_file() or (package / "engine" / name).is_file(), name


@contextmanager
def _role(server: psycopg.Connection) -> Iterator[None]:
    role = sql.Identifier(ROLE)
    server.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        yield
    finally:
        server.execute(sql.SQL("DROP OWNED BY {}").format(role))
        server.execute(sql.SQL("DROP ROLE {}").format(role))


def test_the_grants_are_what_an_ingestor_needs(dsn):
    (grants,) = [block.text for block in blocks("sql") if "TO ingestor" in block.text]
    with psycopg.connect(dsn, autocommit=True) as owner, Repository(dsn) as repo, _role(owner):
        owner.execute(grants.replace("ingestor", ROLE))
        site = repo.sites.create(capacity_kw=4.0)
        frame = reading_frame(site.site_uuid, rows=12)
        with Repository(make_conninfo(dsn, options=f"-c role={ROLE}")) as ingestor:
            ingestor.check()
            assert ingestor.sites.list() == [ingestor.sites.get(site.site_uuid)]
            assert ingestor.generation.insert(frame) == InsertResult(inserted=12)
            assert ingestor.generation.insert([frame]) == InsertResult(skipped=12)
            again = frame.assign(power_kw=2.5)
            assert ingestor.generation.insert(again, on_conflict="update") == InsertResult(updated=12)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ingestor.sites.create(capacity_kw=1.0)
