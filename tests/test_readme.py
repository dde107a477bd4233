"""What the guides say is so: their links, the files, methods and errors that they name, the promises, the figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from configparser import ConfigParser
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from guides import CHECKOUT, FOLDERS, GUIDES, README, anchors, prose, section, table

import pvsite_sql
from pvsite_sql import Repository
from pvsite_sql.sites import SiteFields

OLD_FUNCTIONS = """
    get_user_by_email get_all_users get_site_group_by_name get_all_site_groups get_site_by_uuid
    get_site_by_client_site_id get_site_by_client_site_name get_all_sites get_sites_from_user
    get_pv_generation_by_sites get_pv_generation_by_user_uuids get_latest_forecast_values_by_site get_latest_status
    insert_generation_values make_site make_site_group make_user create_user add_site_to_site_group
    update_user_site_group change_user_site_group delete_site delete_user delete_site_group
"""
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)+/?|[\w*-]+\.(?:sql|py|md|json|toml|ini))`")
NODE = re.compile(r"([\w/]+\.py)::(\w+)")


def _aggregates() -> dict[str, set[str]]:
    """The aggregates of a repository with their public methods."""
    with Repository("", open=False) as repo:
        found = {name: vars(type(value)) for name, value in vars(repo).items() if not name.startswith("_")}
    return {name: {method for method in methods if not method.startswith("_")} for name, methods in found.items()}


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("file", GUIDES)
def test_each_guide_begins_with_whom_it_is_for(file):
    beginning = GUIDES[file].partition("\n## ")[0]
    assert re.search(r"\b(?:is|are) for\b", beginning)


def test_the_readme_leads_to_every_guide():
    listed = {row[0] for row in table(section("README.md", "The guides"))}
    assert {f"[{file}]({file})" for file in GUIDES.keys() - {"README.md"}} <= listed


@pytest.mark.parametrize("file", [*GUIDES, "CHANGELOG.md", "tests/benchmarks/RESULTS.md"])
def test_every_link_leads_somewhere(file):
    place = CHECKOUT / file
    for target in LINK.findall(prose(place.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (place.parent / path).resolve() if path else place
        assert found.is_relative_to(CHECKOUT), target
        assert found.exists(), target
        assert not anchor or anchor in anchors(found.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("file", GUIDES)
def test_the_files_that_are_named_exist(file):
    """A path from the checkout, `sql/`, `tests/` or the guide's own folder; a name alone may be anywhere."""
    bases = [CHECKOUT, CHECKOUT / "sql", CHECKOUT / "tests", (CHECKOUT / file).parent]
    for name in PATH.findall(prose(GUIDES[file])):
        if "NNNN" in name:  # of a migration that is still to be written
            continue
        if "/" in name:
            patterns = [name.rstrip("/"), f"{name}.sql"]
            assert any(any(base.glob(pattern)) for base in bases for pattern in patterns), name
        else:
            places = [CHECKOUT, *(CHECKOUT / folder for folder in FOLDERS)]
            assert (CHECKOUT / name).is_file() or any(any(place.rglob(name)) for place in places[1:]), name


@pytest.mark.parametrize("file", GUIDES)
def test_the_tests_that_are_named_exist(file):
    for path, name in NODE.findall(GUIDES[file]):
        text = (CHECKOUT / ("" if path.startswith("tests/") else "tests") / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", text, re.MULTILINE), f"{path}::{name}"
    for path in re.findall(r"\btests/[\w/]+\.py\b", GUIDES[file]):
        assert (CHECKOUT / path).is_file(), path


@pytest.mark.parametrize("file", GUIDES)
def test_the_environments_of_tox_that_are_named_exist(file):
    settings = ConfigParser(interpolation=None)
    settings.read(CHECKOUT / "tox.ini")
    environments = {name.removeprefix("testenv:") for name in settings.sections()}
    for name in re.findall(r"tox -e (\w+)", GUIDES[file]):
        assert name in environments or re.fullmatch(r"py(?:3\d+)?", name), name


def test_the_table_of_methods_is_complete():
    rows = table(section("README.md", "The methods"))
    assert {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows}.keys() == {
        f"repo.{name}" for name in _aggregates()
    }
    for row in rows:
        methods = re.findall(r"`(\w+)`", row[1])
        assert len(methods) == len(set(methods))
        assert set(methods) == _aggregates()[row[0].strip("`").removeprefix("repo.")], row[0]


def _methods() -> dict[str, Callable[..., Any]]:
    """The public methods of the aggregates, such as `sites.get`."""
    with Repository("", open=False) as repo:
        aggregates = {name: value for name, value in vars(repo).items() if not name.startswith("_")}
    return {
        f"{name}.{method}": getattr(aggregates[name], method)
        for name, methods in _aggregates().items()
        for method in methods
    }


@pytest.mark.parametrize("file", GUIDES)
def test_every_call_that_is_named_exists(file):
    aggregates = _aggregates()
    exist = {f"{name}.{method}" for name, methods in aggregates.items() for method in methods}
    assert set(re.findall(r"\b(?:repo|tx)\.(\w+\.\w+)", GUIDES[file])) <= exist
    assert set(re.findall(r"\b(?:repo|tx)\.(\w+)\(", GUIDES[file])) <= set(dir(Repository))


class TestTheTablesOfTheOldFunctions:
    """Those of pvsite-datamodel, with what replaces each."""

    ROWS = tuple(table(section("pvsite_sql/adopt/README.md", "Coming from pvsite-datamodel")))
    # of 1.2.15: module, name and arguments, without the session
    LATER = tuple(
        line.split("\t")
        for line in (Path(__file__).parent / "adopt" / "functions_1_2_15.txt").read_text(encoding="utf-8").splitlines()
    )

    @classmethod
    def rows_of(cls, function: str) -> list[list[str]]:
        return [row for row in cls.ROWS if f"`{function}`" in row[0]]

    def test_have_every_function_of_the_earlier_version(self):
        for function in OLD_FUNCTIONS.split():
            assert self.rows_of(function), function

    def test_have_every_function_of_the_later_version(self):
        assert len(self.LATER) == 46
        assert {module.split(".")[0] for module, _, _ in self.LATER} == {"read", "write"}
        for _, function, _ in self.LATER:
            assert len(self.rows_of(function)) == 1, function

    def test_name_a_call_that_exists_or_none(self):
        methods = _methods()
        for functions, call, differences in self.ROWS:
            calls = re.findall(r"`repo\.(\w+\.\w+)", call)
            assert set(calls) <= methods.keys(), functions
            assert calls or call.startswith(("`Repository(", "`repo.transaction(")) or (call == "none" and differences)

    def test_name_arguments_that_the_calls_have(self):
        for functions, call, differences in self.ROWS:
            for argument in re.findall(r"\((\w+)=", call) + re.findall(r"`(\w+)=", differences):
                assert argument in self.arguments_of(call), f"{functions}: {argument}"

    def test_tell_of_each_argument_what_became_of_it(self):
        for _, function, arguments in self.LATER:
            rows = self.rows_of(function)
            said = set(re.findall(r"`\**(\w+)", " ".join(row[2] for row in rows)))
            same = {argument for row in rows for argument in self.arguments_of(row[1])}
            if any(row[1] != "none" for row in rows):
                assert set(filter(None, arguments.split(", "))) <= said | same, function

    @staticmethod
    def arguments_of(call: str) -> set[str]:
        """The names of the arguments of the calls in a cell."""
        methods = _methods() | {"transaction": Repository.transaction}
        found = {name for each in re.findall(r"`repo\.([\w.]+)", call) for name in signature(methods[each]).parameters}
        return found | set(SiteFields.__annotations__) if found & {"fields", "changes"} else found


def test_every_error_is_in_the_table():
    errors = {
        name
        for name, value in vars(pvsite_sql).items()
        if isinstance(value, type) and issubclass(value, pvsite_sql.PvsiteSqlError)
    }
    text = section("pvsite_sql/README.md", "Errors")
    assert {"PvsiteSqlError", *(re.findall(r"`(\w+)`", row[0])[0] for row in table(text))} == errors
    assert "`PvsiteSqlError`" in text


def test_each_promise_names_a_test():
    rows = table(section("tests/README.md", "What is promised"))
    assert len(rows) >= 16
    for row in rows:
        assert re.search(r"`[\w/]+\.py(?:::\w+)?`", row[2]), row


def test_the_figures_of_the_readme_are_those_of_the_last_benchmark():
    results = (CHECKOUT / "tests" / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    rows = table(section("README.md", "Speed"))
    assert len(rows) >= 5
    for work, ours, theirs, *ratios in rows:
        assert ratios, work
        # the row with all ratios names the work and the measure, under which another one has what they are of
        (marked,) = [row for row in table(results) if set(ratios) <= {cell.strip("*") for cell in row}]
        of = [row[-1] for row in table(results) if row[:2] == marked[:2] and " against " in row[-1]]
        for figure in (ours, theirs):
            number = re.match(r"[\d.,]+", figure)
            assert number is not None
            assert any(number[0] in re.split(r"[ (]", text) for text in of), figure
