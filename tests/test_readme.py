"""README.md and sql/README.md: what they say can be run, and names what there is."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import psycopg
import pytest
from conftest import reading_frame
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from test_queries import _psql

import pvsite_sql
from pvsite_sql import InsertResult, Repository
from pvsite_sql.queries import folder, query

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


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _aggregates() -> dict[str, set[str]]:
    """The aggregates of a repository with their public methods."""
    with Repository("", open=False) as repo:
        found = {name: vars(type(value)) for name, value in vars(repo).items() if not name.startswith("_")}
    return {name: {method for method in methods if not method.startswith("_")} for name, methods in found.items()}


def test_the_python_blocks_run_and_print_what_stands_beside_them(dsn):
    namespace = {"dsn": dsn}
    try:
        for block in _blocks("python"):
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(block, namespace)
            assert printed.getvalue().splitlines() == re.findall(r"^ *print\(.*\)  # (.+)$", block, re.MULTILINE)
    finally:
        namespace["repo"].close()


PSQL = """
set -euo pipefail
psql() { command psql -X -v ON_ERROR_STOP=1 "$@"; }
"""


@pytest.mark.parametrize("block", _blocks("bash", GUIDE))
def test_the_lines_for_psql_run_as_they_stand(block, dsn, repo, site, tmp_path):
    repo.generation.insert(reading_frame(site.site_uuid))
    shutil.copytree(folder("sql"), tmp_path / "sql")
    (tmp_path / "readings.csv").write_text(f"{site.site_uuid},2024-06-02T00:00Z,2024-06-02T00:05Z,7.25,0\n")
    environment = os.environ | {"SITE": str(site.site_uuid), "PAGER": "cat"}
    environment["PATH"] = f"{Path(_psql()).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in conninfo_to_dict(dsn).items():
        environment[{"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}")] = str(value)
    command = ["bash", "-c", PSQL + block]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if "readings.csv" in block:
        assert repo.generation.latest()[site.site_uuid].generation_power_kw == 7.25
    else:
        assert str(site.site_uuid) in done.stdout


def test_the_header_that_is_shown_is_that_of_the_file():
    (header,) = _blocks("sql", GUIDE)
    assert query("generation/read").path.read_text(encoding="utf-8").startswith(header)


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
    (grants,) = _blocks("sql")
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


def test_the_files_that_are_named_are_there():
    for name in re.findall(r"\bsql/([\w/]+\.(?:sql|md))", README + GUIDE):
        assert (folder("sql") / name).is_file(), name
    for name in re.findall(r"`((?:generation|partitions)/\w+)`", GUIDE):
        assert query(name).statement
    layout = README.partition("\n## Development\n")[2].partition("`tox`")[0]
    for name in re.findall(r"\b(\w+\.py)\b", layout):
        assert (CHECKOUT / "pvsite_sql" / name).is_file(), name
