"""Sites: where power is generated, and what is known of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from concurrency import concurrently, held_up
from conftest import pages, reading_frame
from psycopg import sql
from pydantic import TypeAdapter

from pvsite_sql import (
    CheckFailed,
    InsertResult,
    InvalidInput,
    LatitudeLongitudeLimits,
    MissingReference,
    NotFound,
    Repository,
    Site,
    SiteFields,
)

Ways = tuple[Callable[..., Site], ...]
ALICE, BOB = "alice@x.org", "bob@x.org"
FIELDS: dict[str, Any] = {
    "client_site_id": 17,
    "client_site_name": "roof",
    "country": "de",
    "region": "Hessen",
    "dno": "Syna",
    "gsp": "F-West",
    "asset_type": "wind",
    "active": False,
    "orientation": 180.5,
    "tilt": 30.25,
    "latitude": 50.1,
    "longitude": 8.7,
    "capacity_kw": 4.2,
    "inverter_capacity_kw": 4.0,
    "module_capacity_kw": 4.5,
    "metadata": {"roof": ["flat"]},
}
OTHER_FIELDS: dict[str, Any] = {
    "client_site_id": 18,
    "client_site_name": "shed",
    "country": "fr",
    "region": "Alsace",
    "dno": "Enedis",
    "gsp": "F-East",
    "asset_type": "pv",
    "active": True,
    "orientation": 0.0,
    "tilt": 90.0,
    "latitude": -50.1,
    "longitude": -8.7,
    "capacity_kw": 3.2,
    "inverter_capacity_kw": 3.0,
    "module_capacity_kw": 3.5,
    "metadata": {},
}
OUT_OF_RANGE = [
    ("orientation", -0.5),
    ("orientation", 360.5),
    ("tilt", -0.5),
    ("tilt", 180.5),
    ("latitude", -90.5),
    ("latitude", 90.5),
    ("longitude", -180.5),
    ("longitude", 180.5),
    ("capacity_kw", -0.5),
    ("inverter_capacity_kw", -0.5),
    ("module_capacity_kw", -0.5),
]
INVALID = [
    ("client_uuid", "roof"),
    ("client_site_id", 2**31),
    ("client_site_id", -(2**31) - 1),
    ("client_site_id", 1.5),
    ("client_site_name", 7),
    ("country", None),
    ("region", ["Hessen"]),
    ("asset_type", "solar"),
    ("asset_type", None),
    ("active", None),
    ("active", "perhaps"),
    ("latitude", "north"),
    ("longitude", float("nan")),
    ("capacity_kw", float("inf")),
    ("site_group", "north"),
]


def by_uuid(*sites: Site) -> list[Site]:
    return sorted(sites, key=lambda site: site.site_uuid)


@pytest.fixture
def ways(repo: Repository, site: Site) -> Ways:
    """Both ways to write fields: into a new site, and into that of the fixture `site`."""
    return repo.sites.create, partial(repo.sites.update, site.site_uuid)


def test_create_leaves_what_is_not_given_unknown(repo: Repository) -> None:
    site = repo.sites.create()
    known = {"country": "uk", "asset_type": "pv", "active": True, "metadata": {}}
    unknown = dict.fromkeys(["client_uuid", "ml_model_uuid", *FIELDS])
    assert site.model_dump(exclude={"site_uuid", "ml_id", "created_utc"}) == unknown | known
    assert repo.sites.get(site.site_uuid) == site


def test_every_field_can_be_written(repo: Repository, ways: Ways) -> None:
    client_uuid = repo.clients.get_or_create("Sun").client_uuid
    for write in ways:
        site = write(client_uuid=str(client_uuid), **FIELDS)
        assert site.model_dump(include={"client_uuid", *FIELDS}) == {"client_uuid": client_uuid, **FIELDS}
        assert repo.sites.get(site.site_uuid) == site


def test_numbers_are_kept_to_the_last_bit(ways: Ways) -> None:
    for write in ways:
        site = write(latitude=-0.1 - 0.2, longitude=5e-324, capacity_kw=1.7976931348623157e308, client_site_id=-(2**31))
        assert (site.latitude, site.longitude) == (-0.1 - 0.2, 5e-324)
        assert (site.capacity_kw, site.client_site_id) == (1.7976931348623157e308, -(2**31))
        assert write(client_site_id=np.int64(2**31 - 1), tilt=np.float32(0.5)).client_site_id == 2**31 - 1


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"capacity_kw": 4.0}, 4.0),
        ({"capacity_kw": 4.0, "inverter_capacity_kw": None}, 4.0),
        ({"capacity_kw": 4.0, "inverter_capacity_kw": 3.0}, 3.0),
        ({"capacity_kw": 4.0, "inverter_capacity_kw": 0.0}, 0.0),
        ({}, None),
    ],
)
def test_inverters_have_the_capacity_of_the_site_unless_it_is_given(
    repo: Repository, given: dict[str, Any], stored: float | None
) -> None:
    assert repo.sites.create(**given).inverter_capacity_kw == stored


def test_ml_id_counts_up_by_itself_which_it_never_did(repo: Repository) -> None:
    assert [repo.sites.create().ml_id for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(repo: Repository, site: Site, ways: Ways, field: str, value: float) -> None:
    for write in ways:
        with pytest.raises(CheckFailed, match=f"^{field} must be ") as refusal:
            write(**{"gsp": "changed", field: value})
        assert refusal.value.constraint_name == f"sites_{field}_check"
        assert repo.sites.list() == [site]


def test_the_ends_of_the_ranges_are_fine(ways: Ways) -> None:
    for write in ways:
        for value in (0.0, 360.0):
            assert write(orientation=value).orientation == value
        for value in (-90.0, 90.0):
            assert write(latitude=value, longitude=2 * value, tilt=90 + value).longitude == 2 * value


def test_the_ranges_of_the_fields_are_those_of_the_table(repo: Repository, site: Site) -> None:
    fields = TypeAdapter(SiteFields).json_schema()["properties"]
    numbers = {name: each for name, field in fields.items() for each in field.get("anyOf", []) if "minimum" in each}
    edges = [
        (name, number[edge], outwards)
        for name, number in numbers.items()
        if number["type"] == "number"
        for edge, outwards in (("minimum", -math.inf), ("maximum", math.inf))
        if edge in number
    ]
    assert len(edges) == 4 * 2 + 3
    for name, value, outwards in edges:
        update = sql.SQL("UPDATE sites SET {} = %s").format(sql.Identifier(name))
        with repo.connection() as connection:
            connection.execute(update, [float(value)])
            with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute(update, [math.nextafter(value, outwards)])


@pytest.mark.parametrize(("field", "value"), INVALID)
def test_a_field_that_cannot_be_is_invalid_input(
    repo: Repository, site: Site, ways: Ways, field: str, value: Any
) -> None:
    for write in ways:
        with pytest.raises(InvalidInput) as refusal:
            write(**{"gsp": "changed", field: value})
        assert refusal.value.column == field
        assert str(refusal.value).startswith(f"{field}: ")
        assert repr(value) in str(refusal.value) or str(refusal.value) == f"{field}: a site has no field {field}"
        assert repo.sites.list() == [site]


def test_an_unknown_client_is_not_found(repo: Repository, site: Site, ways: Ways) -> None:
    unknown = uuid4()
    for write in ways:
        with pytest.raises(NotFound) as refusal:
            write(client_uuid=unknown, gsp="changed")
        assert str(refusal.value) == f"no client {unknown}"
        assert repo.sites.list() == [site]


NAMES_A_SITE: dict[str, Callable[[Repository, Any], object]] = {
    "get": lambda repo, uuid: repo.sites.get(uuid),
    "update": lambda repo, uuid: repo.sites.update(uuid, dno="UKPN"),
    "update_of_nothing": lambda repo, uuid: repo.sites.update(uuid),
    "delete": lambda repo, uuid: repo.sites.delete(uuid),
    "groups": lambda repo, uuid: repo.sites.groups(uuid),
}


@pytest.mark.parametrize("call", NAMES_A_SITE.values(), ids=NAMES_A_SITE)
def test_an_unknown_site_is_not_found(repo: Repository, site: Site, call: Callable[[Repository, Any], object]) -> None:
    unknown = uuid4()
    for given in (unknown, str(unknown)):
        with pytest.raises(NotFound) as refusal:
            call(repo, given)
        assert str(refusal.value) == f"no site {unknown}"
    assert repo.sites.list() == [site]


@pytest.mark.parametrize(
    "call",
    [
        *NAMES_A_SITE.values(),
        lambda repo, uuid: repo.sites.list([uuid]),
        lambda repo, uuid: repo.sites.visible(ALICE, site_uuids=[uuid]),
    ],
    ids=[*NAMES_A_SITE, "list", "visible"],
)
def test_a_malformed_uuid_is_invalid_input_not_a_driver_error(
    repo: Repository, call: Callable[[Repository, Any], object]
) -> None:
    for malformed in ("roof", "", None, 5):
        with pytest.raises(InvalidInput, match=rf"site_uuids?: must be a UUID, got {malformed!r}"):
            call(repo, malformed)


def test_get_takes_a_uuid_or_its_text(repo: Repository, site: Site) -> None:
    assert repo.sites.get(site.site_uuid) == repo.sites.get(str(site.site_uuid).upper()) == site


def test_by_client_site_id_of_a_site_name_or_of_a_clients_name(repo: Repository) -> None:
    sun, moon = (repo.clients.get_or_create(name).client_uuid for name in ("Sun", "Moon"))
    first = repo.sites.create(client_uuid=sun, client_site_id=1, client_site_name="roof")
    second = repo.sites.create(client_uuid=moon, client_site_id=1, client_site_name="shed")
    third = repo.sites.create(client_uuid=sun, client_site_id=2, client_site_name="roof")
    nobodys = repo.sites.create(client_site_id=3, client_site_name="Sun")
    find = repo.sites.get_by_client_site_id
    assert [find(1, client_name="Sun"), find(1, client_name="Moon"), find(2, client_name="Sun")] == [
        first,
        second,
        third,
    ]
    assert [find(n, client_site_name="roof") for n in (1, 2)] == [first, third]
    assert find(3, client_site_name="Sun") == nobodys
    for names in ({"client_name": "Moon"}, {"client_site_name": "shed"}, {"client_name": "roof"}):
        with pytest.raises(NotFound) as refusal:
            find(2, **names)
        assert str(refusal.value) == f"no site with client_site_id 2 of {next(iter(names.values()))!r}"


@pytest.mark.parametrize("names", [{}, {"client_name": "Sun", "client_site_name": "roof"}, {"client_name": ""}])
def test_by_client_site_id_wants_one_name(repo: Repository, names: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="client_name"):
        repo.sites.get_by_client_site_id(1, **names)


def test_by_client_site_id_wants_an_integer(repo: Repository) -> None:
    with pytest.raises(
        InvalidInput, match="client_site_id: must be an integer from -2147483648 to 2147483647, got '1'"
    ):
        repo.sites.get_by_client_site_id("1", client_name="Sun")


def test_of_several_sites_it_is_the_oldest_where_it_was_any(repo: Repository, postgresql: psycopg.Connection) -> None:
    client_uuid = repo.clients.get_or_create("Sun").client_uuid
    sites = [repo.sites.create(client_uuid=client_uuid, client_site_id=1, client_site_name="roof") for _ in range(6)]
    for days, oldest in enumerate((sites[4], sites[1]), start=1):
        postgresql.execute(
            "UPDATE sites SET created_utc = created_utc - make_interval(days => %s) WHERE site_uuid = %s",
            [days, oldest.site_uuid],
        )
        postgresql.commit()
        found = [
            repo.sites.get_by_client_site_id(1, client_site_name="roof"),
            repo.sites.get_by_client_site_id(1, client_name="Sun"),
            repo.sites.get_by_client_site_name("roof"),
        ]
        assert found == [repo.sites.get(oldest.site_uuid)] * 3


def test_by_client_site_name(repo: Repository) -> None:
    site = repo.sites.create(client_site_name="roof")
    assert repo.sites.get_by_client_site_name("roof") == site
    with pytest.raises(NotFound) as refusal:
        repo.sites.get_by_client_site_name("Roof")
    assert str(refusal.value) == "no site with client_site_name 'Roof'"


@pytest.fixture
def four(repo: Repository) -> list[Site]:
    """Sites that differ in what `list` filters by."""
    sun, moon = (repo.clients.get_or_create(name).client_uuid for name in ("Sun", "Moon"))
    sites = [
        repo.sites.create(client_uuid=sun, client_site_name="south_roof"),
        repo.sites.create(client_uuid=moon, country="de", active=False),
        repo.sites.create(client_uuid=sun, country="de", asset_type="wind", client_site_name="roof 100%"),
        repo.sites.create(asset_type="wind", active=False, client_site_name="Roof"),
    ]
    for name in ("north", "nowhere"):
        repo.site_groups.create(name)
    for n in (0, 1, 3):
        repo.site_groups.add_site("north", site_uuid=sites[n].site_uuid)
    return sites


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, "0123"),
        ({"country": "de"}, "12"),
        ({"country": "DE"}, ""),
        ({"asset_type": "pv"}, "01"),
        ({"asset_type": "wind"}, "23"),
        ({"active": True}, "02"),
        ({"active": False}, "13"),
        ({"client_name": "Sun"}, "02"),
        ({"client_site_name_contains": "roof"}, "02"),
        ({"client_site_name_contains": "Roof"}, "3"),
        ({"client_site_name_contains": "%"}, "2"),
        ({"client_site_name_contains": "_"}, "0"),
        ({"client_site_name_contains": "roof", "active": True, "client_name": "Sun"}, "02"),
        ({"site_group_name": "north"}, "013"),
        ({"site_group_name": "nowhere"}, ""),
        ({"site_group_name": "north", "client_name": "Sun", "client_site_name_contains": "roof"}, "0"),
        ({"country": "de", "asset_type": "wind", "active": True, "client_name": "Sun"}, "2"),
        ({"country": "uk", "asset_type": "wind", "client_name": "Sun"}, ""),
    ],
)
def test_list_by_uuid_fits_every_filter(
    repo: Repository, four: list[Site], filters: dict[str, Any], wanted: str
) -> None:
    def expected(among: str) -> list[Site]:
        return by_uuid(*(four[int(n)] for n in wanted if n in among))

    assert repo.sites.list(**filters) == expected("0123")
    assert repo.sites.list([site.site_uuid for site in four[1:]], **filters) == expected("123")
    assert repo.sites.list([], **filters) == []


def test_list_of_some_sites(repo: Repository, four: list[Site]) -> None:
    first, _, third, _ = four
    uuids = [third.site_uuid, str(first.site_uuid), uuid4(), third.site_uuid]
    assert repo.sites.list(uuids) == repo.sites.list(iter(uuids)) == by_uuid(first, third)
    assert repo.sites.list(None) == by_uuid(*four)
    for one in (first.site_uuid, str(first.site_uuid), 5):
        with pytest.raises(InvalidInput, match="site_uuids: must be a list of UUIDs"):
            repo.sites.list(one)


@pytest.mark.parametrize(("name", "kind"), [("client_name", "client"), ("site_group_name", "site group")])
@pytest.mark.parametrize("unknown", ["Mars", "sun", "NORTH", "%"])
def test_a_list_of_an_unknown_owner_is_not_found_where_it_was_empty(
    repo: Repository, four: list[Site], name: str, kind: str, unknown: str
) -> None:
    for sites in (None, [four[0].site_uuid], []):
        with pytest.raises(NotFound) as refusal:
            repo.sites.list(sites, **{name: unknown})
        assert str(refusal.value) == f"no {kind} {unknown!r}"


def test_list_in_another_order(repo: Repository, four: list[Site], postgresql: psycopg.Connection) -> None:
    by_age = sorted(four, key=lambda site: site.created_utc)
    assert by_age == four
    uuids = [site.site_uuid for site in four]
    for ask in (repo.sites.list, partial(repo.sites.list, uuids)):
        assert ask(order_by="created_utc") == by_age
        assert ask(order_by="site_uuid") == by_uuid(*four)
        named = ask(order_by="client_site_name")
        assert named[-1] == four[1]  # without a name
        assert {site.site_uuid for site in named} == set(uuids)
    (order,) = postgresql.execute(
        "SELECT array_agg(client_site_name ORDER BY client_site_name) FROM sites"
    ).fetchone() or ((),)
    assert [site.client_site_name for site in named] == order


@pytest.mark.parametrize("order_by", ["site_uuid", "created_utc", "client_site_name"])
def test_list_in_parts_loses_none(repo: Repository, order_by: str) -> None:
    with repo.transaction() as tx:  # all of one time, and several of a name
        sites = [tx.sites.create(client_site_name=name) for name in ("a", None, "b", "a", None, "b", "a")]
    ask = partial(repo.sites.list, order_by=order_by)
    whole = ask()
    assert {site.site_uuid for site in whole} == {site.site_uuid for site in sites}
    pages(ask, whole)
    pages(partial(ask, [site.site_uuid for site in sites]), whole)
    pages(partial(ask, client_site_name_contains="a"), [site for site in whole if site.client_site_name == "a"])
    if order_by == "client_site_name":
        assert whole == [site for name in ("a", "b", None) for site in by_uuid(*sites) if site.client_site_name == name]
    else:
        assert whole == by_uuid(*sites)


@pytest.mark.parametrize("order_by", ["capacity_kw", "", None, 5, "site_uuid DESC"])
def test_an_order_is_one_of_three(repo: Repository, order_by: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^order_by: must be one of site_uuid, created_utc, client_site_name, got "):
        repo.sites.list(order_by=order_by)


def test_groups_of_a_site_are_by_name(repo: Repository, site: Site) -> None:
    assert repo.sites.groups(site.site_uuid) == []
    other = repo.sites.create()
    made = {name: repo.site_groups.create(name) for name in ("b", "c", "a")}
    for name, each in (("b", site), ("c", other), ("a", site), ("a", other)):
        repo.site_groups.add_site(name, site_uuid=each.site_uuid)
    assert repo.sites.groups(site.site_uuid) == [made["a"], made["b"]]
    assert repo.sites.groups(str(other.site_uuid)) == [made["a"], made["c"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("asset_type", "solar"), ("active", "false"), ("country", ""), ("client_name", ""), ("country", 0)],
        *[("client_site_name_contains", ""), ("site_group_name", ""), ("client_site_name_contains", 7)],
    ],
)
def test_a_filter_that_says_nothing_is_not_no_filter(repo: Repository, name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"^{name}: "):
        repo.sites.list(**{name: value})


@pytest.fixture
def grouped(repo: Repository) -> list[Site]:
    """Alice's site, that of Alice and Bob, and Bob's, all in London, each user being in a group; a fourth in none."""
    sites = [repo.sites.create(latitude=51.5, longitude=-0.1) for _ in range(4)]
    for email, own in ((ALICE, sites[:2]), (BOB, sites[1:3])):
        repo.users.get_or_create(email)
        for site in own:
            repo.site_groups.add_site(f"site_group_for_{email}", site_uuid=site.site_uuid)
    return sites


def test_list_for_user_is_of_the_users_group(repo: Repository, grouped: list[Site]) -> None:
    assert repo.sites.list_for_user(ALICE) == by_uuid(*grouped[:2])
    assert repo.sites.list_for_user(BOB) == by_uuid(*grouped[1:3])
    repo.users.get_or_create("carol@x.org")
    assert repo.sites.list_for_user("carol@x.org") == []
    repo.site_groups.add_site(f"site_group_for_{ALICE}", site_uuid=grouped[3].site_uuid)
    for box in (None, LatitudeLongitudeLimits()):
        pages(partial(repo.sites.list_for_user, ALICE, within=box), by_uuid(*grouped[:2], grouped[3]))


def test_a_box_does_not_leak_the_sites_of_other_groups(repo: Repository, grouped: list[Site]) -> None:
    london = LatitudeLongitudeLimits(latitude_min=51, latitude_max=52, longitude_min=-1, longitude_max=1)
    for box in (london, LatitudeLongitudeLimits()):
        assert repo.sites.list_for_user(ALICE, within=box) == by_uuid(*grouped[:2])
        assert repo.sites.list_for_user(BOB, within=box) == by_uuid(*grouped[1:3])


@pytest.mark.parametrize(
    ("limits", "inside"),
    [
        ({}, True),
        ({"latitude_min": 51.5, "latitude_max": 51.5, "longitude_min": -0.1, "longitude_max": -0.1}, True),
        ({"latitude_min": 51.6}, False),
        ({"latitude_max": 51.4}, False),
        ({"longitude_min": 0}, False),
        ({"longitude_max": -0.2}, False),
    ],
)
def test_the_edges_of_a_box_are_in_it(
    repo: Repository, grouped: list[Site], limits: dict[str, float], inside: bool
) -> None:
    found = repo.sites.list_for_user(ALICE, within=LatitudeLongitudeLimits(**limits))
    assert found == (by_uuid(*grouped[:2]) if inside else [])


def test_the_default_box_holds_the_poles_and_the_date_line(repo: Repository, grouped: list[Site]) -> None:
    poles = [
        repo.sites.update(site.site_uuid, latitude=latitude, longitude=2 * latitude)
        for site, latitude in zip(grouped[:2], (-90.0, 90.0), strict=True)
    ]
    assert repo.sites.list_for_user(ALICE, within=LatitudeLongitudeLimits()) == by_uuid(*poles)


@pytest.mark.parametrize("unknown", [{"latitude": None}, {"longitude": None}, {"latitude": None, "longitude": None}])
def test_a_site_whose_place_is_not_known_is_in_no_box(
    repo: Repository, grouped: list[Site], unknown: dict[str, None]
) -> None:
    first = repo.sites.update(grouped[0].site_uuid, **unknown)
    assert repo.sites.list_for_user(ALICE, within=LatitudeLongitudeLimits()) == [grouped[1]]
    assert repo.sites.list_for_user(ALICE) == by_uuid(first, grouped[1])


@pytest.mark.parametrize(
    "limits", [{"latitude_min": 2, "latitude_max": 1}, {"longitude_min": 180.5, "longitude_max": 180}]
)
def test_a_box_upside_down_is_a_value_error(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="greater than its maximum"):
        LatitudeLongitudeLimits(**limits)
    with pytest.raises(ValueError, match="finite"):
        LatitudeLongitudeLimits(**dict.fromkeys(limits, float("nan")))


def test_visible_are_those_that_the_user_may_see(repo: Repository, grouped: list[Site]) -> None:
    uuids = [site.site_uuid for site in grouped]
    assert repo.sites.visible(ALICE, site_uuids=[*uuids, uuid4()]) == set(uuids[:2])
    assert repo.sites.visible(BOB, site_uuids=map(str, reversed(uuids))) == set(uuids[1:3])
    assert repo.sites.visible(BOB, site_uuids={uuids[0], uuids[3]}) == set()
    assert repo.sites.visible(BOB, site_uuids=[]) == set()


@pytest.mark.parametrize(
    "call",
    [
        lambda sites: sites.list_for_user("dave@x.org"),
        lambda sites: sites.list_for_user("dave@x.org", within=LatitudeLongitudeLimits()),
        lambda sites: sites.visible("dave@x.org", site_uuids=[]),
    ],
    ids=["list_for_user", "list_for_user_within", "visible"],
)
def test_an_unknown_user_is_not_found(repo: Repository, call: Callable[[Any], object]) -> None:
    with pytest.raises(NotFound) as refusal:
        call(repo.sites)
    assert str(refusal.value) == "no user 'dave@x.org'"


@pytest.mark.parametrize("field", FIELDS)
def test_update_changes_what_is_given_and_leaves_the_rest(repo: Repository, field: str) -> None:
    known, other = repo.sites.create(**FIELDS), repo.sites.create(**FIELDS)
    wanted = known.model_copy(update={field: OTHER_FIELDS[field]})
    assert wanted != known
    assert repo.sites.update(known.site_uuid, **{field: OTHER_FIELDS[field]}) == wanted
    assert repo.sites.get(known.site_uuid) == wanted
    assert repo.sites.get(other.site_uuid) == other


@pytest.mark.parametrize(
    "field", ["client_uuid", *sorted(FIELDS.keys() - {"country", "asset_type", "active", "metadata"})]
)
def test_update_with_none_makes_a_field_unknown(repo: Repository, field: str) -> None:
    known = repo.sites.create(client_uuid=repo.clients.get_or_create("Sun").client_uuid, **FIELDS)
    wanted = known.model_copy(update={field: None})
    assert repo.sites.update(str(known.site_uuid), **{field: None}) == wanted == repo.sites.get(known.site_uuid)


def test_update_of_nothing_changes_nothing(repo: Repository, site: Site) -> None:
    assert repo.sites.update(site.site_uuid) == site == repo.sites.get(site.site_uuid)


def test_updates_of_different_fields_do_not_lose_each_other(repo: Repository, site: Site) -> None:
    for n in range(8):
        changes = {"dno": f"dno {n}", "gsp": f"gsp {n}", "region": None if n % 2 else "south", "tilt": float(n)}
        concurrently(
            *[
                lambda name=name, value=value: repo.sites.update(site.site_uuid, **{name: value})
                for name, value in changes.items()
            ]
        )
        assert repo.sites.get(site.site_uuid) == site.model_copy(update=changes)


def test_an_update_that_waits_for_another_keeps_both(
    repo: Repository, site: Site, postgresql: psycopg.Connection
) -> None:
    postgresql.execute("UPDATE sites SET dno = 'UKPN', tilt = 30")
    (updated,) = held_up(
        postgresql, postgresql.commit, lambda: repo.sites.update(site.site_uuid, gsp="City", tilt=None)
    )
    assert updated == site.model_copy(update={"dno": "UKPN", "gsp": "City"}) == repo.sites.get(site.site_uuid)


COUNTED = ("generation", "forecasts", "inverters", "site_group_sites")


@pytest.fixture
def laden(repo: Repository, postgresql: psycopg.Connection) -> list[Site]:
    """Two sites in a group, each with readings and forecasts of two months and an inverter."""
    sites = [repo.sites.create() for _ in range(2)]
    repo.site_groups.create("north")
    postgresql.execute("SELECT ensure_month_partitions('forecasts', '{2024-05-01,2024-06-01}')")
    for site in sites:
        repo.site_groups.add_site("north", site_uuid=site.site_uuid)
        repo.inverters.create(site_uuid=site.site_uuid)
        for month in ("2024-05-01", "2024-06-01"):
            repo.generation.insert(reading_frame(site.site_uuid, start=month))
            postgresql.execute(
                "INSERT INTO forecasts (site_uuid, timestamp_utc, start_utc, resolution_minutes, power_kw) "
                "VALUES (%(site)s, %(at)s, %(at)s, 5, '{1,2}')",
                {"site": site.site_uuid, "at": f"{month} 12:00Z"},
            )
        postgresql.commit()
    return sites


def counts(connection: psycopg.Connection, site_uuid: UUID) -> list[int]:
    """The rows of a site in each of the tables COUNTED, as others see them."""
    connection.rollback()
    return [
        len(connection.execute(f"SELECT FROM {table} WHERE site_uuid = %s".encode(), [site_uuid]).fetchall())
        for table in COUNTED
    ]


@pytest.mark.parametrize(
    ("options", "readings_left"), [({}, 24), ({"delete_generation": False}, 24), ({"delete_generation": True}, 0)]
)
def test_delete_works_with_generation_where_it_failed(
    repo: Repository,
    laden: list[Site],
    postgresql: psycopg.Connection,
    options: dict[str, bool],
    readings_left: int,
) -> None:
    first, second = laden
    readings = repo.generation.read([first.site_uuid])
    assert counts(postgresql, first.site_uuid) == counts(postgresql, second.site_uuid) == [24, 2, 1, 1]
    repo.sites.delete(str(first.site_uuid), **options)
    assert counts(postgresql, first.site_uuid) == [readings_left, 0, 0, 0]
    assert counts(postgresql, second.site_uuid) == [24, 2, 1, 1]
    assert repo.generation.read([first.site_uuid]) == readings[:readings_left]
    assert repo.sites.list() == repo.site_groups.sites("north") == [second]


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in_transaction"])
def test_a_delete_that_the_database_refuses_deletes_nothing(
    repo: Repository, laden: list[Site], postgresql: psycopg.Connection, in_transaction: bool
) -> None:
    uuid = laden[0].site_uuid
    postgresql.execute("CREATE TABLE visits (site_uuid uuid CONSTRAINT visited REFERENCES sites)")
    postgresql.execute("INSERT INTO visits VALUES (%s)", [uuid])
    postgresql.commit()
    with ExitStack() as stack:
        inside = stack.enter_context(repo.transaction()) if in_transaction else repo
        with pytest.raises(MissingReference) as refusal:
            inside.sites.delete(uuid, delete_generation=True)
        assert refusal.value.constraint_name == "visited"
    assert counts(postgresql, uuid) == [24, 2, 1, 1]
    assert repo.sites.get(uuid) == laden[0]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_readings_that_come_while_their_site_is_deleted_wait_for_the_outcome(
    repo: Repository, laden: list[Site], postgresql: psycopg.Connection, end: str
) -> None:
    uuid = laden[0].site_uuid
    frame = reading_frame(uuid, start="2024-06-02", rows=3)
    block = repo.transaction()
    block.__enter__().sites.delete(uuid, delete_generation=True)
    error = None if end == "commit" else RuntimeError()
    (outcome,) = held_up(
        postgresql, lambda: block.__exit__(error and type(error), error, None), lambda: repo.generation.insert(frame)
    )
    if end == "commit":
        assert type(outcome) is MissingReference
        assert counts(postgresql, uuid) == [0, 0, 0, 0]
    else:
        assert outcome == InsertResult(inserted=3)
        assert counts(postgresql, uuid) == [27, 2, 1, 1]


def test_delete_holds_off_readings_from_its_first_step_on(
    repo: Repository, laden: list[Site], postgresql: psycopg.Connection
) -> None:
    uuid = laden[0].site_uuid
    frame = reading_frame(uuid, start="2024-06-02", rows=3)
    postgresql.execute("SELECT FROM forecasts FOR UPDATE")  # where the second step waits
    outcomes: list[object] = []

    def insert_then_go_on() -> None:
        outcomes.extend(held_up(postgresql, postgresql.rollback, lambda: repo.generation.insert(frame)))

    outcomes += held_up(postgresql, insert_then_go_on, lambda: repo.sites.delete(uuid, delete_generation=True))
    assert [type(outcome) for outcome in outcomes] == [MissingReference, type(None)]
    assert counts(postgresql, uuid) == [0, 0, 0, 0]
