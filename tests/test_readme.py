"""What the guides say is so: their links, the files, methods and errors that they name, the promises, the figures."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest
from guides import CHECKOUT, FOLDERS, GUIDES, README, anchors, prose, section, table

import pvsite_sql
from pvsite_sql import Repository

OLD_FUNCTIONS = """
    get_user_by_email get_all_users get_site_group_by_name get_all_site_groups get_site_by_uuid
    get_site_by_client_site_id get_site_by_client_site_name get_all_sites get_sites_from_user
    get_pv_generation_by_sites get_pv_generation_by_user_uuids get_latest_forecast_values_by_site get_latest_status
    insert_generation_values make_site make_site_group make_user create_user add_site_to_site_group
    update_user_site_group change_user_site_group delete_site delete_user delete_site_group
"""
LATER_FUNCTIONS = """
    get_client_by_name get_last_forecast_uuid get_day_ahead_forecast_uuids get_forecast_values_fast
    get_forecast_values_day_ahead_fast get_forecast_values get_pv_generation_by_user_uuids get_pv_generation_by_sites
    get_latest_forecast_values_by_site get_or_create_model get_models get_site_by_uuid get_site_by_client_site_id
    get_site_by_client_site_name get_all_sites get_sites_by_country get_sites_from_user get_sites_by_client_name
    get_latest_status get_user_by_email get_all_users get_site_group_by_name get_all_site_groups
    get_all_last_api_request get_api_requests_for_one_user create_client edit_client assign_site_to_client
    insert_forecast_values insert_generation_values make_fake_site create_site_group create_site create_user
    add_site_to_site_group remove_site_from_site_group change_user_site_group update_user_site_group edit_site
    set_site_to_inactive_if_not_in_site_group delete_site delete_user delete_site_group assign_model_name_to_site
    set_session_user add_child_location_to_parent_location
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


@pytest.mark.parametrize("file", GUIDES)
def test_every_call_that_is_named_exists(file):
    aggregates = _aggregates()
    exist = {f"{name}.{method}" for name, methods in aggregates.items() for method in methods}
    assert set(re.findall(r"\b(?:repo|tx)\.(\w+\.\w+)", GUIDES[file])) <= exist
    assert set(re.findall(r"\b(?:repo|tx)\.(\w+)\(", GUIDES[file])) <= set(dir(Repository))


def test_every_function_of_the_old_package_is_in_the_table():
    rows = table(section("pvsite_sql/adopt/README.md", "Coming from pvsite-datamodel"))
    named = set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows)))
    assert set(OLD_FUNCTIONS.split()) <= named


def test_every_function_of_its_last_version_is_in_a_table_of_its_own_once():
    text = section("pvsite_sql/adopt/README.md", "Coming from pvsite-datamodel")
    rows = table(text.partition("\n### The functions of 1.2.15\n")[2])
    assert sorted(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows))) == sorted(LATER_FUNCTIONS.split())
    for functions, calls, _ in rows:
        assert "`repo." in calls or functions == "`add_child_location_to_parent_location`", functions


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
