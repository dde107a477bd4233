"""README.md and sql/README.md: what they say can be run, and names what there is."""

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
from typing import NamedTuple
from urllib.parse import quote, urlencode
from uuid import UUID

import psycopg
import pytest
from adopt.olds import Old
from commands import COMMAND, surroundings
from conftest import conninfo, reading_frame
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from test_queries import _psql

import pvsite_sql
from pvsite_sql import InsertResult, Repository, migrate
from pvsite_sql.engine.queries import folder, load, query

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
GUIDE = (folder("sql") / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    'python3 -m venv .venv && .venv/bin/pip install ".[demo]" && .venv/bin/pvsite-sql demo',
    "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox",
)
OLD_FUNCTIONS = """
    get_user_by_email get_all_users get_site_group_by_name get_all_site_groups get_site_by_uuid
    get_site_by_client_site_id get_site_by_client_site_name get_all_sites get_sites_from_user
    get_pv_generation_by_sites get_pv_generation_by_user_uuids get_latest_forecast_values_by_site get_latest_status
    insert_generation_values make_site make_site_group make_user create_user add_site_to_site_group
    update_user_site_group change_user_site_group delete_site delete_user delete_site_group
"""
ROLE = "pvsite_sql_readme_ingestor"


class Block(NamedTuple):
    """A block of code: what stands between two fences, or lines set in by four blanks, which name no language."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def _blocks_of(file: str, text: str) -> Iterator[Block]:
    fence, before = "", ""
    block: Block | None = None
    for number, line in enumerate([*text.splitlines(keepends=True), "\n"], start=1):
        start = line.lstrip()[:3]
        if fence:
            if start == fence:
                fence = ""
            else:
                block = block._replace(text=block.text + line)
                continue
        elif start in ("```", "~~~"):
            if block is not None:
                yield block
            fence, block = start, Block(file, number, line.strip("`~ \n"), "")
            continue
        elif line.startswith(("    ", "\t")) and (block is not None or not before.strip()):  # else a paragraph goes on
            block = (block or Block(file, number, "", ""))._replace(text=(block.text if block else "") + line[4:])
            continue
        if block is not None:
            yield block
        block, before = None, line
    assert not fence, f"{file}: a fence is not closed"


BLOCKS = [*_blocks_of("README.md", README), *_blocks_of("sql/README.md", GUIDE)]
# blocks without a language that no test can run, by how they begin, and why
NOT_RUN = {
    COMMANDS[
        0
    ]: "they install from the package index; CI runs the second one, and test_demo.py what the first one ends in",
    "python3 -m venv .venv && .venv/bin/pip install -U pip": "they install from the package index, and run these tests",
    "pvsite_sql/ ": "a list of files, see test_the_files_that_are_named_are_there",
}


def _blocks(language: str, file: str | None = None) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and file in (None, block.file)]


def _aggregates() -> dict[str, set[str]]:
    """The aggregates of a repository with their public methods."""
    with Repository("", open=False) as repo:
        found = {name: vars(type(value)) for name, value in vars(repo).items() if not name.startswith("_")}
    return {name: {method for method in methods if not method.startswith("_")} for name, methods in found.items()}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_of_a_kind_that_is_run(block):
    known = {"python", "bash", "sql", "mermaid"}  # each has a test below that takes all of them
    assert block.language in known or any(block.text.startswith(begin) for begin in NOT_RUN), block.text
    assert not (block.language and any(block.text.startswith(begin) for begin in NOT_RUN)), block.text


def test_what_is_not_run_is_there():
    bare = [block.text for block in BLOCKS if not block.language]
    assert all(any(text.startswith(begin) for text in bare) for begin in NOT_RUN)
    assert "<pre" not in README + GUIDE


@pytest.mark.parametrize("file", ["README.md", "sql/README.md"])
def test_the_python_blocks_run_and_print_what_stands_beside_them(dsn, file, tmp_path, monkeypatch):
    """In their order, as one program, in a folder with `readings.csv`."""
    namespace = {"dsn": dsn}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readings.csv").write_text(READINGS.format(site=SITE))
    try:
        for block in _blocks("python", file):
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(block.text, str(block), "exec"), namespace)
            beside = re.findall(r"^ *print\(.*\)  # (.+)$", block.text, re.MULTILINE)
            assert printed.getvalue().splitlines() == beside, block
    finally:
        if "repo" in namespace:
            namespace["repo"].close()


SITE = "7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11"  # stands for a site in both files, and so does $SITE
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


def _run(text: str, dsn: str, folder_: Path, site_uuid: UUID | str = SITE, old_dsn: str = "") -> str:
    """What a block prints in a shell, in a folder with `sql`, `migrations` and `readings.csv`, with psql and Python.

    The database is libpq's default, `$DSN`, `$YOYO_DSN` and `$PVSITE_SQL_DSN`; the placeholders are replaced.
    """
    for name in ("sql", "migrations"):
        shutil.copytree(folder(name), folder_ / name, dirs_exist_ok=True)
    (folder_ / "readings.csv").write_text(READINGS.format(site=site_uuid))
    for placeholder, value in PLACEHOLDERS.items():
        quotes = "'" if f"'{{{placeholder}}}'" in text else ""  # the shell has to look into these quotes
        text = text.replace(f"{quotes}{{{placeholder}}}{quotes}", f'"{{{value}}}"').replace(placeholder, value)
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


@pytest.mark.parametrize("block", _blocks("bash"), ids=str)
@pytest.mark.usefixtures("roles")
def test_the_bash_blocks_run_as_they_stand(block, postgresql, empty_database, repo, site, tmp_path):
    """Each by itself, on a migrated database with a site that has readings of June 2024, beside one that is adopted."""
    repo.generation.insert(reading_frame(site.site_uuid))
    Old(empty_database, "1.0.6").fill()
    printed = _run(block.text, conninfo(postgresql), tmp_path, site.site_uuid, conninfo(empty_database))
    if beside := re.findall(r"^ *(?:cat|--rejects) .*  # (.+)$", block.text, re.MULTILINE):
        assert [line for line in printed.splitlines() if line in beside] == beside
    elif "adopt" in block.text:
        assert "Counts and sums agree" in printed
    elif "generation_staging" in block.text:
        assert repo.generation.latest()[site.site_uuid].generation_power_kw == 7.25
    elif "$SITE" in block.text or SITE in block.text:
        assert str(site.site_uuid) in printed


def test_each_line_of_deploying_migrates(empty_dsn, empty_database, tmp_path):
    lines = [line for block in _blocks("bash", "README.md") for line in block.text.splitlines() if " migrat" in line]
    lines += [line for block in _blocks("bash", "README.md") for line in block.text.splitlines() if ":migrat" in line]
    assert len(lines) == 3
    installed = (Path(pvsite_sql.__file__).parent / "migrations").is_dir()
    for line in lines:
        _run(line, empty_dsn, tmp_path)
        with Repository(empty_dsn, min_size=1) as repo:
            if installed or "package:" not in line:
                repo.check()
            else:
                with pytest.raises(pvsite_sql.SchemaOutOfDate):  # it finds no migrations there, and says nothing
                    repo.check()
        empty_database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        empty_database.commit()


def test_the_folder_of_the_sql_is_where_the_guide_says(dsn, tmp_path):
    (command,) = re.findall(r"`(python -c [^`]+)`", GUIDE)
    assert Path(_run(command, dsn, tmp_path).strip()) == folder("sql")


@pytest.mark.parametrize("block", _blocks("sql"), ids=str)
def test_the_sql_blocks_run_or_show_how_a_query_file_begins(block, postgresql):
    if any(each.path.read_text(encoding="utf-8").startswith(block.text) for each in load().values()):
        return
    with _role(postgresql):
        postgresql.execute(re.sub(r"\bingestor\b", ROLE, block.text))


@pytest.mark.parametrize("block", _blocks("mermaid"), ids=str)
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
    (grants,) = [block.text for block in _blocks("sql", "README.md") if "TO ingestor" in block.text]
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


def test_the_two_commands_stand_there_and_ci_runs_the_second():
    lines = [line.strip() for line in README.splitlines()]
    assert [line for line in lines if line in COMMANDS] == list(COMMANDS)
    assert COMMANDS[1] in (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_call_that_is_named_exists_and_every_one_that_exists_is_named():
    coming = set(re.findall(r"^\| (\w+) \| coming;", README, re.MULTILINE))
    aggregates = _aggregates()
    exists = {f"{name}.{method}" for name in aggregates.keys() - coming for method in aggregates[name]}
    assert set(re.findall(r"\b(?:repo|tx)\.(\w+\.\w+)", README)) == exists
    alone = set(re.findall(r"\b(?:repo|tx)\.(\w+)\(", README))
    assert alone <= set(dir(Repository))


def test_every_function_of_the_old_package_stands_in_the_table():
    table = README.partition("\n## Coming from pvsite-datamodel\n")[2].partition("\n## ")[0]
    first_cells = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    assert set(OLD_FUNCTIONS.split()) <= set(re.findall(r"`(\w+)`", first_cells))


def test_every_error_stands_in_the_table():
    errors = {
        name
        for name, value in vars(pvsite_sql).items()
        if isinstance(value, type) and issubclass(value, pvsite_sql.PvsiteSqlError)
    }
    assert errors == {name for name in errors if f"`{name}`" in README}


def test_it_reads_on_the_package_index_too():
    plot = "](tests/benchmarks/results.png)"  # without a checkout beside it its description stands there
    assert (CHECKOUT / "tests" / "benchmarks" / "results.png").is_file()
    assert README.count(plot) == 1
    targets = re.findall(r"\]\(([^)]+)\)", README.replace(plot, ""))
    anchors = {"#" + title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    assert all(target.startswith("https://") or target in anchors for target in targets)


def test_each_promise_names_a_test_that_there_is():
    table = README.partition("\n## What is promised\n")[2].partition("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(rows) >= 16
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", row.split("|")[3])
        assert named, row
        for file, name in named:
            text = (CHECKOUT / "tests" / file).read_text(encoding="utf-8")
            assert not name or re.search(rf"^(?:def|class) {name}\b", text, re.MULTILINE), row


def test_the_files_that_are_named_are_there():
    for name in re.findall(r"\bsql/([\w/]+\.(?:sql|md))", README + GUIDE):
        assert (folder("sql") / name).is_file(), name
    for name in re.findall(r"`((?:generation|engine)/\w+)`", GUIDE):
        assert query(name).statement
    layout = README.partition("\n## Development\n")[2].partition("`tox`")[0]
    for name in re.findall(r"\b(\w+\.py)\b", layout):
        assert (CHECKOUT / "pvsite_sql" / name).is_file(), name
