"""`pvsite_sql.fastapi`: the service of `service.py`, run by uvicorn, asked over HTTP."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
import service
import uvicorn
from commands import until

import pvsite_sql
from pvsite_sql import Repository

THREADS, REQUESTS = 8, 200
NOTHING = UUID(int=0)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of the running service."""
    running = uvicorn.Server(uvicorn.Config(service.app, host="127.0.0.1", port=0, log_level="critical"))
    thread = Thread(target=running.run, daemon=True)
    thread.start()
    until(lambda: running.started)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def small(dsn: str) -> Iterator[Repository]:
    """The service's repository, with fewer connections than the service has threads."""
    with Repository(dsn, min_size=1, max_size=2, timeout=10) as repo:
        service.app.state.repo = repo
        yield repo


@pytest.fixture
def client(address: str, small: Repository) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as session:
        yield session


def test_200_requests_from_8_threads(client, small):
    """More requests than threads of the service, and more of these than connections: all are answered."""
    sites = [str(small.sites.create(client_site_name=str(number)).site_uuid) for number in range(10)]
    small.users.get_or_create("alice")

    def ask(number: int) -> int:
        site = sites[number % 10]
        match number // 10 % 5:
            case 0:
                answer = client.patch(f"/sites/{site}", json={"tilt": number % 90}, headers={"X-User": "alice"})
                assert answer.json()["tilt"] == number % 90
            case 1:
                readings = [{"start_utc": f"2024-06-01T00:{number % 60:02}:00Z", "power_kw": number}]
                answer = client.post(f"/sites/{site}/generation", json=readings)
                assert sum(answer.json().values()) == 1
            case 2:
                answer = client.get(f"/sites/{site}")
                assert answer.json()["client_site_name"] == str(number % 10)
            case 3:
                answer = client.get(f"/sites/{site}/changes")
            case _:
                answer = client.get("/users/alice/sites")  # a call of the repository, without a transaction
                assert answer.json() == []
        return answer.status_code

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(ask, random.Random(1).sample(range(REQUESTS), REQUESTS))) == [200] * REQUESTS
    changes = [change for site in sites for change in small.sites.history(site)]
    assert sum(change.actor == "alice" for change in changes) == REQUESTS // 5
    inserted = {(number % 10, number % 60) for number in range(REQUESTS) if number // 10 % 5 == 1}
    assert len(small.generation.read()) == len(inserted)
    until(lambda: small.stats().pool["pool_available"] == small.stats().pool["pool_size"])


def test_calls_that_wait_in_all_threads_leave_a_connection_to_each_other(client):
    """Transactions that wait for a thread must not have all connections that the calls in the threads wait for."""

    def wanting(threads: int) -> None:
        until(lambda: service.app.state.threads.statistics().tasks_waiting >= threads)

    service.go_on.clear()
    with ThreadPoolExecutor(3 * service.WORKERS) as threads:
        begun = [threads.submit(client.get, "/busy") for _ in range(service.WORKERS)]
        until(lambda: service.app.state.threads.borrowed_tokens == service.WORKERS)
        begun += [threads.submit(client.get, "/users/nobody/sites") for _ in range(service.WORKERS)]
        wanting(service.WORKERS)
        begun += [threads.submit(client.get, f"/sites/{NOTHING}") for _ in range(service.WORKERS)]
        wanting(service.WORKERS + 1)
        service.go_on.set()
        codes = [each.result(60).status_code for each in begun]
    assert codes == [200] * service.WORKERS + [404] * 2 * service.WORKERS


def test_what_a_request_does_is_committed_before_it_is_answered(client, postgresql):
    created = client.post("/sites", json={"latitude": 51.5, "capacity_kw": 4})
    assert created.status_code == 201
    (count,) = postgresql.execute("SELECT count(*) FROM sites").fetchone()
    assert count == 1
    assert client.get(f"/sites/{created.json()['site_uuid']}").json() == created.json()


@pytest.mark.parametrize("route", ["/sites/{site}/inverters", "/lost"])
def test_a_commit_that_fails_is_no_success(client, small, postgresql, route):
    site = small.sites.create().site_uuid
    postgresql.execute("ALTER TABLE inverters ADD CONSTRAINT one UNIQUE (site_uuid) DEFERRABLE INITIALLY DEFERRED")
    postgresql.commit()
    answer = client.post(route.format(site=site))
    assert answer.status_code == (500 if route == "/lost" else 409), answer.text
    assert "all is well" not in answer.text
    assert small.inverters.list(site_uuid=site) == []
    assert len(small.sites.list()) == 1


def test_an_exception_of_the_function_rolls_back(client, small):
    assert client.post("/refused").status_code == 418
    assert small.sites.list() == []


def test_one_request_has_one_transaction(client):
    assert client.get("/same").json() is True


class TestErrors:
    """What each error is answered with."""

    def test_404(self, client):
        answer = client.get(f"/sites/{NOTHING}")
        assert (answer.status_code, answer.json()) == (404, {"detail": f"no site {NOTHING}"})

    def test_409_of_a_duplicate(self, client):
        assert client.post("/site_groups/north").status_code == 201
        answer = client.post("/site_groups/north")
        assert (answer.status_code, answer.json()["constraint_name"]) == (409, "site_groups_site_group_name_key")
        assert "north" in answer.json()["detail"]

    def test_409_of_a_missing_reference(self, client):
        readings = [{"start_utc": "2024-06-01T00:00Z", "power_kw": 1}]
        answer = client.post(f"/sites/{NOTHING}/generation", json=readings)
        assert answer.status_code == 409
        assert str(NOTHING) in answer.json()["detail"]

    def test_422_of_invalid_input(self, client):
        readings = [{"start_utc": f"{year}-06-01T00:00Z", "power_kw": 1} for year in (2024, 1900, 2024, 1901)]
        answer = client.post(f"/sites/{uuid4()}/generation", json=readings)
        assert answer.status_code == 422
        (told,) = answer.json()["detail"]
        assert (told["column"], told["rows"], told["count"], told["loc"]) == ("start_utc", [1, 3], 2, ["start_utc"])
        assert told["reason"] in told["msg"]
        assert told["type"] == "invalid_input"

    def test_422_of_a_failed_check(self, client):
        answer = client.post("/site_groups/north", params={"service_level": -1})
        assert answer.status_code == 422
        (told,) = answer.json()["detail"]
        assert (told["constraint_name"], told["type"]) == ("site_groups_service_level_check", "check_failed")
        assert "0 or greater" in told["msg"]

    def test_503_while_all_connections_are_in_use(self, client, dsn, caplog):
        service.waiting.clear()
        service.go_on.clear()
        with (
            ThreadPoolExecutor(1) as threads,
            Repository(dsn, min_size=1, max_size=1, timeout=0.2) as busy,
        ):
            service.app.state.repo = busy
            waits = threads.submit(client.get, "/wait")
            assert service.waiting.wait(30)
            for path in (f"/sites/{NOTHING}", "/users/alice/sites"):  # a transaction's, and a call's own connection
                answer = client.get(path)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
                assert "try again" in answer.json()["detail"]
            service.go_on.set()
            assert waits.result(30).status_code == 200
            assert client.get(f"/sites/{NOTHING}").status_code == 404
        assert "answered 503" in caplog.text

    def test_503_does_not_tell_where_the_database_is(self, client):
        with Repository("host=127.0.0.1 port=1 dbname=secret", timeout=0.1, min_size=0, max_size=1) as lost:
            service.app.state.repo = lost
            answer = client.get(f"/sites/{NOTHING}")
        assert answer.status_code == 503
        assert "127.0.0.1" not in answer.text


class TestRectangle:
    """LatitudeLongitudeLimits in the query."""

    @pytest.fixture(autouse=True)
    def sites(self, small: Repository) -> None:
        small.users.get_or_create("alice")
        for latitude in (50.0, 51.5, 56.0):
            site = small.sites.create(latitude=latitude, longitude=0)
            small.site_groups.add_site("site_group_for_alice", site_uuid=site.site_uuid)

    @pytest.mark.parametrize(
        ("query", "found"),
        [({}, [50.0, 51.5, 56.0]), ({"latitude_min": 51.5}, [51.5, 56.0]), ({"longitude_min": 0.5}, [])],
        ids=str,
    )
    def test_is_where_the_sites_are(self, client, query, found):
        answer = client.get("/users/alice/sites", params=query)
        assert answer.status_code == 200
        assert sorted(site["latitude"] for site in answer.json()) == found

    @pytest.mark.parametrize(
        ("query", "place"),
        [
            ({"latitude_min": 60, "latitude_max": 50}, ["query"]),
            ({"latitude_min": math.nan}, ["query", "latitude_min"]),
            ({"longitude_max": math.inf}, ["query", "longitude_max"]),
            ({"longitude_max": "east"}, ["query", "longitude_max"]),
        ],
        ids=str,
    )
    def test_422(self, client, query, place):
        answer = client.get("/users/alice/sites", params=query)
        assert answer.status_code == 422
        (told,) = answer.json()["detail"]
        assert told["loc"] == place


def test_the_rectangle_may_also_be_a_model_of_query_parameters(client):
    assert client.get("/rectangle", params={"latitude_min": 50}).json()["latitude_min"] == 50
    for query in ({"latitude_min": 60, "latitude_max": 50}, {"latitude_min": math.nan}):
        assert client.get("/rectangle", params=query).status_code == 422


def test_openapi_shows_the_rows_and_the_ranges(client):
    api = client.get("/openapi.json").json()
    fields = api["components"]["schemas"]["SiteFields"]["properties"]
    ranges = {
        name: (number.get("minimum"), number.get("maximum"))
        for name, field in fields.items()
        for number in field.get("anyOf", [field])
        if number.get("type") == "number"
    }
    assert ranges == {
        "orientation": (0, 360),
        "tilt": (0, 180),
        "latitude": (-90, 90),
        "longitude": (-180, 180),
        "capacity_kw": (0, None),
        "inverter_capacity_kw": (0, None),
        "module_capacity_kw": (0, None),
    }
    assert set(api["components"]["schemas"]["Site"]["properties"]) == set(pvsite_sql.Site.model_fields)
    queried = {each["name"] for each in api["paths"]["/users/{email}/sites"]["get"]["parameters"]}
    assert queried == {"email", "latitude_min", "latitude_max", "longitude_min", "longitude_max"}
    for path, method in (("/sites", "post"), ("/sites/{site_uuid}", "get"), ("/wait", "get")):
        names = {each["name"] for each in api["paths"][path][method].get("parameters", [])}
        assert names <= {"site_uuid", "x-user"}


@pytest.mark.parametrize("value", [91, -91, 1e300])
def test_a_value_out_of_its_range_is_422(client, value):
    answer = client.post("/sites", json={"latitude": value})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "latitude"]


def test_the_package_alone_does_not_import_it():
    program = "import sys, pvsite_sql; print(sorted({'fastapi', 'starlette', 'anyio'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
