"""`sql/schema/roles.sql`: what readers, ingestors and administrators may do, and what not, as they log in."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from conftest import ROLES, conninfo, reading_frame
from databases import Databases
from forecast_cases import NOON, forecast_frame
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from test_queries import _psql

from pvsite_sql import InsertResult, LatitudeLongitudeLimits, MissingReference, PvsiteSqlError, Repository, migrate
from pvsite_sql.engine.queries import folder
from pvsite_sql.prune import SiteFilter, prune

FILE = folder("sql") / "schema" / "roles.sql"
PASSWORD = uuid4().hex
RIGHTS = """
    SELECT c.relname, string_agg(DISTINCT lower(p.name), ', ' ORDER BY lower(p.name))
    FROM pg_class AS c
    CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p (name)
    WHERE
        c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND (
            has_table_privilege(%(role)s, c.oid, p.name)
            OR p.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
            AND has_any_column_privilege(%(role)s, c.oid, p.name)
        )
    GROUP BY c.relname ORDER BY c.relname
"""
ACLS = """
    SELECT 'relation', relname::text, relacl::text FROM pg_class WHERE relnamespace = %(schema)s::regnamespace
    UNION ALL SELECT 'column', a.attrelid::regclass::text || a.attname, a.attacl::text
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = %(schema)s::regnamespace
    UNION ALL SELECT 'function', proname::text, proacl::text FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
    UNION ALL SELECT 'schema', nspname::text, nspacl::text FROM pg_namespace WHERE oid = %(schema)s::regnamespace
    UNION ALL SELECT 'database', datname::text, datacl::text FROM pg_database WHERE datname = current_database()
    ORDER BY 1, 2, 3
"""


@pytest.fixture(scope="module")
def owner(databases: Databases, groups: None) -> Iterator[psycopg.Connection]:
    """The owner's connection to a database with the roles and a month of partitions."""
    with databases.clone("roles") as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        grant(connection)
        for parent in ("generation", "forecasts"):
            connection.execute("SELECT ensure_month_partitions(%s, '{2024-06-01}')", [parent])
        yield connection


def grant(connection: psycopg.Connection, file: str | None = None) -> list[str]:
    """Run roles.sql; the warnings."""
    warnings: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        warnings.append(str(diagnostic.message_primary))

    connection.add_notice_handler(note)
    try:
        connection.execute(file or FILE.read_text(encoding="utf-8"))
    finally:
        connection.remove_notice_handler(note)
    return warnings


@contextmanager
def login(admin: psycopg.Connection, *memberships: str) -> Iterator[str]:
    """The DSN of a login user of this test's own that is a member of the roles."""
    name = f"pvsite_sql_{uuid4().hex}"
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    try:
        for role in memberships:
            admin.execute(f"GRANT {role} TO {name}")
        yield make_conninfo(conninfo(admin), user=name, password=PASSWORD)
    finally:
        admin.execute(f"DROP OWNED BY {name} CASCADE")
        admin.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def members(owner: psycopg.Connection) -> Iterator[dict[str, str]]:
    """The DSN of a member of each role, and of somebody who is in none."""
    with (
        login(owner, "pvsite_reader") as reader,
        login(owner, "pvsite_ingestor") as ingestor,
        login(owner, "pvsite_admin") as administrator,
        login(owner) as nobody,
    ):
        yield {**dict(zip(ROLES, (reader, ingestor, administrator), strict=True)), "nobody": nobody}


@pytest.fixture(scope="module")
def repositories(members: dict[str, str], owner: psycopg.Connection) -> Iterator[dict[str, Repository]]:
    with (
        Repository(members["pvsite_reader"], min_size=1) as reader,
        Repository(members["pvsite_ingestor"], min_size=1) as ingestor,
        Repository(members["pvsite_admin"], min_size=1) as administrator,
        Repository(conninfo(owner), min_size=1) as own,
    ):
        yield {"owner": own, **dict(zip(ROLES, (reader, ingestor, administrator), strict=True))}


@dataclass(frozen=True)
class Given:
    """What the owner has stored for a call to work on."""

    site: UUID
    email: str
    group: str
    client: str
    forecast: UUID

    @property
    def new(self) -> str:
        return uuid4().hex


def store(own: Repository) -> Given:
    """Store something for each method to work on."""
    name = uuid4().hex
    client = own.clients.get_or_create(name)
    site = own.sites.create(
        client_uuid=client.client_uuid, client_site_id=1, client_site_name=name, latitude=51, longitude=0, capacity_kw=4
    ).site_uuid
    group = own.site_groups.create(name).site_group_name
    email = own.users.create(f"{name}@example.com", site_group_name=group).email
    own.site_groups.add_site(group, site_uuid=site)
    own.inverters.create(site_uuid=site)
    own.clients.get_or_create(" without sites")
    own.generation.insert(reading_frame(site, start=f"{NOON:%F %T}"))
    own.forecasts.insert(forecast_frame(site, p10=0.5), model_name=name)
    own.status.create("ok", message=name)
    own.api_requests.create("/", email=email)
    return Given(site, email, group, name, own.forecasts.latest_per_site([site])[site].forecast_uuid)


@pytest.fixture
def given(repositories: dict[str, Repository]) -> Given:
    return store(repositories["owner"])


Method = Callable[[Repository, Given], Any]
READS: dict[str, Method] = {
    "users.get": lambda r, g: r.users.get(g.email),
    "users.get_by_uuid": lambda r, g: r.users.get_by_uuid(r.users.get(g.email).user_uuid),
    "users.list": lambda r, g: r.users.list(),
    "site_groups.get": lambda r, g: r.site_groups.get(g.group),
    "site_groups.get_by_uuid": lambda r, g: r.site_groups.get_by_uuid(r.site_groups.get(g.group).site_group_uuid),
    "site_groups.list": lambda r, g: r.site_groups.list(),
    "site_groups.sites": lambda r, g: r.site_groups.sites(g.group),
    "site_groups.users": lambda r, g: r.site_groups.users(g.group),
    "sites.get": lambda r, g: r.sites.get(g.site),
    "sites.get_by_client_site_id": lambda r, g: r.sites.get_by_client_site_id(1, client_name=g.client),
    "sites.get_by_client_site_name": lambda r, g: r.sites.get_by_client_site_name(g.client),
    "sites.get_as_of": lambda r, g: r.sites.get_as_of(g.site, at_utc=datetime.now(UTC)),
    "sites.history": lambda r, g: r.sites.history(g.site),
    "sites.groups": lambda r, g: r.sites.groups(g.site),
    "sites.list": lambda r, g: (r.sites.list(client_name=g.client), r.sites.list([g.site])),
    "sites.list_for_user": lambda r, g: (
        r.sites.list_for_user(g.email),
        r.sites.list_for_user(g.email, within=LatitudeLongitudeLimits()),
    ),
    "sites.visible": lambda r, g: r.sites.visible(g.email, site_uuids=[g.site]),
    "clients.get": lambda r, g: r.clients.get(g.client),
    "clients.list": lambda r, g: r.clients.list(),
    "inverters.list": lambda r, g: r.inverters.list(site_uuid=g.site),
    "generation.read": lambda r, g: (r.generation.read([g.site]), r.generation.read()),
    "generation.read_frame": lambda r, g: r.generation.read_frame([g.site]).to_csv(),
    "generation.read_frames": lambda r, g: [frame.to_csv() for frame in r.generation.read_frames([g.site])],
    "generation.read_arrow": lambda r, g: r.generation.read_arrow([g.site]).read_all().to_pydict(),
    "generation.read_for_users": lambda r, g: r.generation.read_for_users([r.users.get(g.email).user_uuid]),
    "generation.sums": lambda r, g: (r.generation.sums("dno", site_uuids=[g.site]), r.generation.sums()),
    "generation.latest": lambda r, g: (r.generation.latest([g.site]), r.generation.latest()),
    "forecasts.get": lambda r, g: r.forecasts.get(g.forecast),
    "forecasts.values": lambda r, g: r.forecasts.values(g.forecast),
    "forecasts.latest_values": lambda r, g: r.forecasts.latest_values([g.site], model_name=g.client),
    "forecasts.latest_frame": lambda r, g: r.forecasts.latest_frame([g.site]).to_csv(),
    "forecasts.latest_arrow": lambda r, g: r.forecasts.latest_arrow([g.site]).to_pydict(),
    "forecasts.latest_sums": lambda r, g: r.forecasts.latest_sums([g.site], start_utc=NOON, by="gsp"),
    "forecasts.latest_per_site": lambda r, g: (
        r.forecasts.latest_per_site([g.site]),
        r.forecasts.latest_per_site([g.site], start_utc=NOON, of_site_model=True),
    ),
    "forecasts.day_ahead_values": lambda r, g: r.forecasts.day_ahead_values([g.site], hour=9, timezone="UTC"),
    "forecasts.day_ahead_values_frame": lambda r, g: r.forecasts.day_ahead_values_frame(
        [g.site], hour=9, timezone="UTC"
    ).to_csv(),
    "forecasts.day_ahead_values_sums": lambda r, g: r.forecasts.day_ahead_values_sums(
        [g.site], hour=9, timezone="UTC", of_site_model=True
    ),
    "forecasts.values_at_horizon": lambda r, g: r.forecasts.values_at_horizon([g.site], horizon_minutes=30),
    "forecasts.values_at_horizon_frame": lambda r, g: r.forecasts.values_at_horizon_frame(
        [g.site], horizon_minutes=30
    ).to_csv(),
    "forecasts.values_at_horizon_sums": lambda r, g: r.forecasts.values_at_horizon_sums(
        [g.site], horizon_minutes=30, of_site_model=True
    ),
    "forecasts.error_by_horizon": lambda r, g: r.forecasts.error_by_horizon([g.site]).to_csv(),
    "ml_models.list": lambda r, g: (r.ml_models.list(), r.ml_models.list(site_uuid=g.site)),
    "ml_models.newest": lambda r, g: r.ml_models.newest(g.client),
    "status.latest": lambda r, g: r.status.latest(),
    "api_requests.last_per_user": lambda r, g: r.api_requests.last_per_user(),
    "api_requests.list_for_user": lambda r, g: (
        r.api_requests.list_for_user(g.email),
        r.api_requests.list_for_user(g.email, newest_first=True),
    ),
    "check": lambda r, g: r.check(),
}
INGESTS: dict[str, Method] = {
    "generation.insert": lambda r, g: r.generation.insert(reading_frame(g.site), on_conflict="update"),
    "forecasts.insert": lambda r, g: r.forecasts.insert(forecast_frame(g.site, [4.0]), model_name=g.new),
    "ml_models.get_or_create": lambda r, g: r.ml_models.get_or_create(g.new, version="1", description="new"),
    "status.create": lambda r, g: r.status.create("ok", message="all is well"),
    "api_requests.create": lambda r, g: r.api_requests.create("/sites", email=g.email),
}
ADMINISTERS: dict[str, Method] = {
    "users.create": lambda r, g: r.users.create(g.new, site_group_name=g.group),
    "users.get_or_create": lambda r, g: r.users.get_or_create(g.new),
    "users.set_site_group": lambda r, g: r.users.set_site_group(g.email, site_group_name=g.group),
    "users.update": lambda r, g: r.users.update(g.email, new_email=g.new),
    "users.delete": lambda r, g: r.users.delete(g.email),
    "site_groups.create": lambda r, g: r.site_groups.create(g.new),
    "site_groups.get_or_create": lambda r, g: r.site_groups.get_or_create(g.new),
    "site_groups.add_site": lambda r, g: r.site_groups.add_site(g.group, site_uuid=g.site),
    "site_groups.remove_site": lambda r, g: r.site_groups.remove_site(g.group, site_uuid=g.site),
    "site_groups.set_service_level": lambda r, g: r.site_groups.set_service_level(g.group, level=1),
    "site_groups.rename": lambda r, g: r.site_groups.rename(g.group, g.new),
    "site_groups.delete": lambda r, g: r.site_groups.delete(r.site_groups.list()[0].site_group_name),
    "sites.create": lambda r, g: r.sites.create(client_uuid=r.clients.get(g.client).client_uuid, capacity_kw=4),
    "sites.get_or_create": lambda r, g: r.sites.get_or_create(client_site_name=g.new, client_name=g.client, tilt=1),
    "sites.update": lambda r, g: r.sites.update(g.site, capacity_kw=5, client_uuid=None),
    "sites.set_ml_model": lambda r, g: r.sites.set_ml_model(g.site, g.client),
    "sites.delete": lambda r, g: r.sites.delete(g.site, delete_generation=True),
    "clients.get_or_create": lambda r, g: r.clients.get_or_create(g.new),
    "clients.rename": lambda r, g: r.clients.rename(g.client, g.new),
    "clients.delete": lambda r, g: r.clients.delete(" without sites"),
    "ml_models.update": lambda r, g: r.ml_models.update(r.ml_models.newest(g.client).ml_model_uuid, description="new"),
    "inverters.create": lambda r, g: r.inverters.create(site_uuid=g.site),
    "inverters.delete": lambda r, g: r.inverters.delete(r.inverters.list(site_uuid=g.site)[0].inverter_uuid),
    "generation.delete": lambda r, g: r.generation.delete([g.site]),
    "forecasts.delete": lambda r, g: (
        r.forecasts.delete(site_uuids=[g.site], start_utc=NOON + timedelta(days=1)),
        r.forecasts.delete(model_name=g.new),
        r.forecasts.delete(forecast_uuid=g.forecast),
    ),
}
EXISTING: dict[str, Method] = {
    "sites.get_or_create": lambda r, g: r.sites.get_or_create(client_site_name=g.client, client_name=g.client, tilt=1),
    "users.get_or_create": lambda r, g: r.users.get_or_create(g.email),
    "site_groups.get_or_create": lambda r, g: r.site_groups.get_or_create(g.group),
    "clients.get_or_create": lambda r, g: r.clients.get_or_create(g.client),
    "ml_models.get_or_create": lambda r, g: r.ml_models.get_or_create(g.client, description="of nothing"),
}
WRITTEN_BY = {"sites.get_or_create": "sites/create"}  # by the file of another method
METHODS = {**READS, **INGESTS, **ADMINISTERS}
MAY = {
    "pvsite_reader": READS,
    "pvsite_ingestor": {**READS, **INGESTS},
    "pvsite_admin": METHODS,
}


def public_methods(repo: Repository) -> set[str]:
    found = {"check"}
    for name, aggregate in vars(repo).items():
        if not name.startswith("_"):
            found |= {f"{name}.{method}" for method, _ in inspect.getmembers(aggregate, inspect.ismethod)}
    return {method for method in found if "._" not in method}


class TestMethods:
    def test_are_all_said_to_be_a_readers_an_ingestors_or_an_administrators(self, repositories):
        assert public_methods(repositories["owner"]) == set(METHODS)
        assert len(METHODS) == len(READS) + len(INGESTS) + len(ADMINISTERS)

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("method", READS)
    def test_that_read_show_each_role_what_the_owner_sees(self, repositories, given, role, method):
        assert READS[method](repositories[role], given) == READS[method](repositories["owner"], given)

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("method", EXISTING)
    def test_get_or_create_shows_each_role_what_exists(self, repositories, given, role, method):
        assert EXISTING[method](repositories[role], given) == EXISTING[method](repositories["owner"], given)

    @pytest.mark.parametrize(("role", "method"), [(role, m) for role in ROLES for m in MAY[role] if m not in READS])
    def test_that_write_do_so_for_the_roles_that_may(self, repositories, given, role, method):
        if method == "site_groups.delete":
            repositories["owner"].site_groups.create(" without users")
        METHODS[method](repositories[role], given)

    @pytest.mark.parametrize(("role", "method"), [(role, m) for role in ROLES for m in METHODS if m not in MAY[role]])
    def test_that_write_are_refused_to_the_others(self, repositories, given, owner, role, method):
        stored = "SELECT (SELECT count(*) FROM generation), (SELECT count(*) FROM sites), (SELECT count(*) FROM users)"
        before = owner.execute(stored).fetchone()
        with pytest.raises(InsufficientPrivilege, match="permission denied for") as error:
            METHODS[method](repositories[role], given)
        file = WRITTEN_BY.get(method, method.replace(".", "/"))
        assert any(file in note for note in error.value.__notes__) or "_partitions" in str(error.value.__notes__)
        assert owner.execute(stored).fetchone() == before

    def test_are_refused_to_who_is_in_no_role(self, members, given):
        with Repository(members["nobody"], min_size=1) as outsider:
            for method in METHODS.values():
                with pytest.raises(InsufficientPrivilege):
                    method(outsider, given)


class TestPrune:
    """Dropping a month is the owner's; deleting rows of some sites is an administrator's too."""

    def prune(self, dsn: str, **options: Any) -> list[str]:
        said: list[str] = []
        for parent in ("generation", "forecasts"):
            prune(dsn, {parent: NOON + timedelta(days=1)}, report=said.append, **options)
        return said

    def test_of_some_sites_an_administrator_may(self, repositories, members, given, tmp_path):
        for options in ({"dry_run": True}, {"archive": tmp_path}):
            said = self.prune(members["pvsite_admin"], sites=SiteFilter(site_uuids=[given.site]), **options)
        assert said.count("12 rows deleted") == said.count("1 rows deleted") == 1
        assert len(list(tmp_path.iterdir())) == 2
        assert repositories["owner"].generation.read([given.site]) == []
        assert repositories["owner"].forecasts.latest_per_site([given.site]) == {}

    def test_of_all_sites_an_administrator_may_not(self, repositories, members, given):
        with pytest.raises(PvsiteSqlError, match=r"^only .*, the owner of public\.generation, can prune it"):
            self.prune(members["pvsite_admin"])
        assert len(repositories["owner"].generation.read([given.site])) == 12

    @pytest.mark.parametrize("role", ["pvsite_reader", "pvsite_ingestor"])
    def test_the_others_may_not_at_all(self, repositories, members, given, role):
        refused = r"^pvsite_sql_\w+ may not delete rows of public\.generation; .* members of pvsite_admin may$"
        with pytest.raises(PvsiteSqlError, match=refused):
            self.prune(members[role], sites=SiteFilter(site_uuids=[given.site]))
        assert len(repositories["owner"].generation.read([given.site])) == 12


class TestIngest:
    """From end to end, by a member of pvsite_ingestor."""

    @pytest.fixture
    def admin(self, dsn: str, groups: None) -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            grant(connection)
            yield connection

    @pytest.fixture
    def ingestor(self, admin: psycopg.Connection) -> Iterator[Repository]:
        with login(admin, "pvsite_ingestor") as dsn, Repository(dsn, min_size=1) as repository:
            yield repository

    @pytest.mark.parametrize("mode", ["ignore", "update", "error"])
    def test_of_readings_in_new_months(self, ingestor, site, mode):
        frames = [reading_frame(site.site_uuid, start=start) for start in ("2024-06-30T23:30", "2023-12-31T23:30")]
        assert ingestor.generation.insert(iter(frames), on_conflict=mode) == InsertResult(inserted=24)
        assert ingestor.generation.insert(frames[0].assign(start_utc=frames[0]["start_utc"] + timedelta(365))).inserted
        if mode != "error":
            again = [frame.assign(power_kw=9) for frame in frames]
            changed = InsertResult(skipped=24, differing=24) if mode == "ignore" else InsertResult(updated=24)
            assert ingestor.generation.insert(iter(again), on_conflict=mode) == changed
        with pytest.raises(MissingReference):
            ingestor.generation.insert(reading_frame(uuid4()), on_conflict=mode)
        with ingestor.transaction() as tx:
            tx.generation.insert(reading_frame(site.site_uuid, start="2030-01-01"), on_conflict=mode)
        assert len(ingestor.generation.read_frame()) == 48

    @pytest.mark.parametrize("mode", ["replace", "ignore", "error"])
    def test_of_forecasts_in_new_months_by_new_models(self, ingestor, site, mode):
        frame = forecast_frame(site.site_uuid, model_name="new", model_version="1", p10=0.5)
        assert ingestor.forecasts.insert(frame, on_conflict=mode) == InsertResult(inserted=1)
        assert [model.name for model in ingestor.ml_models.list()] == ["new"]
        if mode != "error":
            changed = InsertResult(skipped=1, differing=1) if mode == "ignore" else InsertResult(updated=1)
            assert ingestor.forecasts.insert(frame.assign(forecast_power_kw=9), on_conflict=mode) == changed
        with pytest.raises(MissingReference):
            ingestor.forecasts.insert(forecast_frame(uuid4()), on_conflict=mode)

    def test_makes_the_months_ahead(self, ingestor, admin):
        with ingestor._source.connection() as borrowed:
            assert len(migrate.ensure_months_ahead(borrowed.connection.info.dsn + f" password={PASSWORD}")) == 8
        owners = "SELECT DISTINCT tableowner = current_user FROM pg_tables WHERE tablename ~ '_p20'"
        assert admin.execute(owners).fetchall() == [(True,)]

    def test_works_in_a_database_where_public_has_nothing(self, admin, site):
        database = admin.info.dbname
        for statement in (
            f'REVOKE ALL ON DATABASE "{database}" FROM public',
            "REVOKE ALL ON SCHEMA public FROM public",
            "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin",
        ):
            admin.execute(statement)
        grant(admin)
        with login(admin, "pvsite_ingestor") as dsn, Repository(dsn, min_size=1) as ingestor:
            frame = reading_frame(site.site_uuid)
            assert ingestor.generation.insert(frame) == InsertResult(inserted=12)
            assert ingestor.generation.insert(frame) == InsertResult(skipped=12)
            corrected = frame.assign(power_kw=9)
            assert ingestor.generation.insert(corrected, on_conflict="update") == InsertResult(updated=12)
            frame = forecast_frame(site.site_uuid, [1.0, None, 2.0])  # whose gap a function works out
            assert ingestor.forecasts.insert(frame) == InsertResult(inserted=1)
        with login(admin, "pvsite_reader") as dsn, Repository(dsn, min_size=1) as reader:
            assert len(reader.forecasts.latest_values([site.site_uuid])[site.site_uuid]) == 2
            with reader._source.connection() as borrowed, pytest.raises(InsufficientPrivilege):
                borrowed.connection.execute("CREATE TEMPORARY TABLE mine (n integer)")
        with login(admin) as dsn, pytest.raises(psycopg.OperationalError, match="CONNECT privilege"):
            psycopg.connect(dsn)


NOBODYS = [
    "CREATE TABLE mine (n integer)",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "CREATE INDEX ON generation (created_utc)",
    "CREATE TRIGGER mine AFTER INSERT ON generation EXECUTE FUNCTION key_is_fixed('mine')",
    "CREATE OR REPLACE FUNCTION sites_exist() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION sites_exist() RESET search_path",
    "ALTER TABLE generation DISABLE TRIGGER generation_sites_exist",
    "ALTER TABLE generation DETACH PARTITION generation_p2024_06",
    "ALTER TABLE sites ADD COLUMN mine integer",
    "DROP TABLE generation_p2024_06",
    "DROP TABLE sites CASCADE",
    "DROP FUNCTION ensure_month_partitions",
    "DROP SCHEMA public CASCADE",
    "TRUNCATE generation",
    "TRUNCATE generation_p2024_06",
    "TRUNCATE sites CASCADE",
    "SELECT FROM generation_p2024_06",
    "SELECT FROM forecasts_p2024_06",
    "INSERT INTO generation_p2024_06 VALUES (gen_random_uuid(), '2024-06-01', '2024-06-02', 1)",
    "UPDATE generation_p2024_06 SET generation_power_kw = 0",
    "DELETE FROM forecasts_p2024_06",
    "COPY generation_p2024_06 FROM STDIN",
    "INSERT INTO site_history (site_uuid, changed_utc, operation) VALUES (gen_random_uuid(), now(), 'delete')",
    "UPDATE site_history SET actor = 'somebody else'",
    "DELETE FROM site_history",
    "TRUNCATE site_history",
    "SELECT FROM site_history FOR UPDATE",
    "LOCK TABLE site_history IN SHARE MODE",
    "SELECT setval('site_history_change_id_seq', 1)",
    "DROP TRIGGER sites_history_update ON sites",
    "ALTER TABLE sites DISABLE TRIGGER USER",
    "DELETE FROM _yoyo_migration",
    "SELECT FROM _yoyo_log",
    "UPDATE status SET message = 'changed'",
    "UPDATE ml_models SET name = 'mine'",
    "DELETE FROM api_request",
    "SET ROLE pvsite_somebody",
    "SET session_replication_role = replica",
    "SELECT FROM pg_authid",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY sites TO PROGRAM 'cat'",
    "ALTER ROLE pvsite_reader CREATEDB",
    "SELECT setval('sites_ml_id_seq', 1)",
    "ALTER DEFAULT PRIVILEGES FOR ROLE pvsite_somebody GRANT ALL ON TABLES TO public",
]
NOT_AN_INGESTORS = [
    "INSERT INTO sites DEFAULT VALUES",
    "UPDATE sites SET capacity_kw = 0",
    "SELECT FROM sites FOR UPDATE",
    "DELETE FROM sites",
    "INSERT INTO users (email, site_group_uuid) SELECT 'mine', site_group_uuid FROM site_groups",
    "UPDATE users SET email = 'mine'",
    "INSERT INTO site_group_sites SELECT site_group_uuid, site_uuid FROM site_groups, sites",
    "UPDATE site_groups SET service_level = 9",
    "INSERT INTO clients (client_name) VALUES ('mine')",
    "DELETE FROM generation",
    "DELETE FROM forecasts",
    "UPDATE generation SET site_uuid = gen_random_uuid()",
    "UPDATE generation SET start_utc = '2024-06-01'",
    "UPDATE forecasts SET forecast_uuid = gen_random_uuid()",
    "UPDATE ml_models SET description = 'mine'",
    "UPDATE clients SET client_name = 'mine'",
    "DELETE FROM clients",
    "LOCK TABLE generation IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE generation IN SHARE MODE",
    "LOCK TABLE forecasts IN ACCESS EXCLUSIVE MODE",
    "SET ROLE pvsite_admin",
]
NOT_A_READERS = [
    "INSERT INTO generation VALUES (gen_random_uuid(), '2024-06-01', '2024-06-02', 1)",
    "COPY forecasts FROM STDIN",
    "UPDATE generation SET generation_power_kw = 0",
    "SELECT FROM generation FOR KEY SHARE",
    "INSERT INTO status (status, message) VALUES ('ok', 'mine')",
    "INSERT INTO api_request (url) VALUES ('mine')",
    "INSERT INTO ml_models (name) VALUES ('mine')",
    "SELECT ensure_month_partitions('generation', '{2024-06-01}')",
    "SET ROLE pvsite_ingestor",
]
REFUSED = [
    *((role, statement) for role in ROLES for statement in NOBODYS),
    *((role, statement) for role in ROLES[:2] for statement in NOT_AN_INGESTORS),
    *((ROLES[0], statement) for statement in NOT_A_READERS),
]


@pytest.fixture(scope="module")
def somebody(owner: psycopg.Connection) -> Iterator[str]:
    """A role that none of the others is a member of."""
    name = f"pvsite_sql_{uuid4().hex}"
    owner.execute(f"CREATE ROLE {name}")
    yield name
    owner.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def connections(members: dict[str, str]) -> Iterator[dict[str, psycopg.Connection]]:
    opened = {role: psycopg.connect(dsn) for role, dsn in members.items()}
    yield opened
    for connection in opened.values():
        connection.close()


class TestStatements:
    @pytest.mark.parametrize(("role", "statement"), REFUSED)
    def test_beyond_a_role_are_refused(self, connections, somebody, role, statement):
        connection = connections[role]
        with pytest.raises(InsufficientPrivilege):
            connection.execute(statement.replace("pvsite_somebody", somebody))
        connection.rollback()

    @pytest.mark.parametrize("statement", ["INSERT INTO sites DEFAULT VALUES", "SELECT FROM generation FOR KEY SHARE"])
    def test_that_are_refused_to_one_role_are_sound(self, connections, statement):
        connections["pvsite_admin"].execute(statement)
        connections["pvsite_admin"].rollback()

    def test_of_a_view_need_the_right_to_its_tables(self, owner, members, connections):
        """Who may only read the view sees nothing: it runs with the reader's rights, not the owner's."""
        with login(owner) as dsn, psycopg.connect(dsn) as outsider:
            owner.execute(f"GRANT SELECT ON forecast_values TO {outsider.info.user}")
            with pytest.raises(InsufficientPrivilege, match="forecasts"):
                outsider.execute("SELECT FROM forecast_values")
            outsider.rollback()
            with pytest.raises(InsufficientPrivilege, match="forecasts"):
                outsider.execute("SELECT latest_forecast_values('{}', now(), now(), now(), NULL, NULL)")
        connections["pvsite_reader"].execute("SELECT FROM forecast_values LIMIT 1")
        connections["pvsite_reader"].rollback()


TRAPS = """
    unnest(date[]) cardinality(date[]) cardinality(uuid[]) array_agg(uuid) array_to_string(uuid[],text)
    date_trunc(text,date) to_char(date,text) to_char(timestamp,text) range_agg(tstzrange) array_append(text[],text)
    tstzrange(timestamptz,timestamptz) quote_ident(name) pg_get_expr(pg_node_tree,oid)
    missing_month_partitions(text,date[]) format(text,text) format(text,text,text) format(text,text,text,text)
    format(text,integer,text) format(text,name) unnest(text[]) aclexplode(aclitem[]) set_config(text,text,boolean)
    to_regrole(text) has_schema_privilege(text,oid,text)
"""
RESULTS = {
    "cardinality(date[])": "integer",
    "cardinality(uuid[])": "integer",
    "date_trunc(text,date)": "timestamptz",
    "array_append(text[],text)": "text[]",
    "tstzrange(timestamptz,timestamptz)": "tstzrange",
}
OPERATORS = (
    ("=", "oid", "regclass"),
    ("=", "regclass", "oid"),
    ("=", "date[]", "date[]"),
    ("=", "uuid", "uuid"),
    ("||", "text[]", "text"),
    ("||", "text", "text"),
    ("@>", "tstzmultirange", "tstzrange"),
    ("+", "date", "interval"),
    (">=", "date", "date"),
)


def set_traps(connection: psycopg.Connection, schema: str, loot: str) -> None:
    """Functions and operators that fit what the owner's functions call, and note as whom they were called."""
    body = f"LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {loot} VALUES (current_user); RETURN NULL; END $$"
    for signature in TRAPS.split():
        if schema == "public" and "missing" in signature:  # there is one, which is not theirs to replace
            continue
        function = f"{schema}.{signature}"
        if "array_agg" in function or "range_agg" in function:
            of = signature.split("(")[1][:-1]
            connection.execute(f"CREATE FUNCTION {schema}.gather({of}, {of}) RETURNS {of} {body}")
            connection.execute(f"CREATE AGGREGATE {function} (SFUNC = {schema}.gather, STYPE = {of})")
        elif "unnest" in function or "missing" in function or "explode" in function:
            result = "SETOF text" if "text[]" in function else "SETOF date"
            connection.execute(f"CREATE FUNCTION {function} RETURNS {result} {body.replace('RETURN NULL', 'RETURN')}")
        else:
            connection.execute(f"CREATE FUNCTION {function} RETURNS {RESULTS.get(signature, 'text')} {body}")
    for n, (operator, left, right) in enumerate(OPERATORS):
        result = {"||": "text[]" if left == "text[]" else "text", "+": "timestamp"}.get(operator, "boolean")
        connection.execute(f"CREATE FUNCTION {schema}.operator{n}({left}, {right}) RETURNS {result} {body}")
        arguments = f"LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {schema}.operator{n}"
        connection.execute(f"CREATE OPERATOR {schema}.{operator} ({arguments})")


class TestAttacks:
    """By an ingestor who would be the owner."""

    @pytest.fixture
    def ingestor(self, members: dict[str, str]) -> Iterator[psycopg.Connection]:
        with psycopg.connect(members["pvsite_ingestor"]) as connection:
            yield connection
            connection.rollback()

    @pytest.mark.parametrize(
        "parent",
        [
            *("sites", "users", "generation_p2024_06", "forecast_values", "_yoyo_migration", "pg_class"),
            *("public.generation", '"generation"', "GENERATION", "generation ", "pg_temp.generation", "", "%I"),
            *("generation; DROP TABLE sites", "generation'; DROP TABLE sites; --", "forecasts) (LIKE sites"),
        ],
    )
    @pytest.mark.parametrize("months", ["{2024-06-01}", "{2031-01-01}", "{}"])
    def test_no_table_but_the_two_gets_partitions(self, ingestor, parent, months):
        ingestor.execute("CREATE TEMPORARY TABLE generation (start_utc timestamptz) PARTITION BY RANGE (start_utc)")
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="has no month partitions"):
            ingestor.execute("SELECT ensure_month_partitions(%s, %s::date[])", [parent, months])

    def test_partitions_are_bounded_in_number(self, ingestor, owner):
        counted = "SELECT count(*) FROM pg_inherits"
        before = owner.execute(counted).fetchone()
        days = "ARRAY(SELECT date '{}' + n FROM generate_series(1, {}) AS n)"
        asked = f"SELECT ensure_month_partitions('generation', {days})"
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="more than 240 months at once"):
            ingestor.execute(asked.format("1980-01-01", 10_000))
        ingestor.rollback()
        with pytest.raises(psycopg.errors.DatetimeFieldOverflow):
            ingestor.execute(asked.format("2099-12-01", 240))
        assert owner.execute(counted).fetchone() == before

    def test_partitions_lie_where_the_database_lies_whatever_the_session_says(self, ingestor):
        ingestor.execute("SET default_tablespace = pg_global")  # where no table can lie
        made = ingestor.execute("SELECT ensure_month_partitions('generation', '{2031-01-01}')").fetchone()
        assert made == (["generation_p2031_01"],)

    def test_the_owners_triggers_are_not_for_tables_of_others(self, ingestor):
        """Else the cast of this column, a function of the ingestor's, would run as the owner."""
        ingestor.execute("CREATE TYPE pg_temp.mine AS ENUM ('loot')")
        ingestor.execute(
            "CREATE FUNCTION pg_temp.loot(pg_temp.mine) RETURNS uuid LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$"
        )
        ingestor.execute("CREATE CAST (pg_temp.mine AS uuid) WITH FUNCTION pg_temp.loot(pg_temp.mine) AS IMPLICIT")
        ingestor.execute("CREATE TEMPORARY TABLE bait (site_uuid pg_temp.mine, ml_model_uuid pg_temp.mine)")
        for function in ("sites_exist", "sites_ml_id", "ml_models_exist", "write_site_history"):
            with (
                ingestor.transaction(force_rollback=True),
                pytest.raises(InsufficientPrivilege, match=f"permission denied for function {function}"),
            ):
                ingestor.execute(
                    "CREATE TRIGGER bait AFTER INSERT ON bait REFERENCING NEW TABLE AS new_rows "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION {function}('bait')"
                )

    @pytest.mark.parametrize("beside_the_tables", [False, True])
    def test_functions_operators_and_tables_of_others_are_not_used(self, owner, given, beside_the_tables):
        """Neither those in a schema that the session looks in first, nor better fitting ones beside the tables."""
        month = "2032-01-01" if beside_the_tables else "2032-02-01"
        with login(owner, "pvsite_ingestor") as dsn, psycopg.connect(dsn, autocommit=True) as ingestor:
            name = ingestor.info.user
            owner.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
            ingestor.execute("CREATE TABLE loot (who text)")
            if beside_the_tables:
                owner.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
            set_traps(ingestor, "public" if beside_the_tables else name, f"{name}.loot")
            unknown = uuid4()
            ingestor.execute("CREATE TABLE forecasts (timestamp_utc timestamptz) PARTITION BY RANGE (timestamp_utc)")
            ingestor.execute("CREATE TABLE sites AS SELECT %s::uuid AS site_uuid", [unknown])
            ingestor.execute("CREATE TEMPORARY TABLE sites AS SELECT %s::uuid AS site_uuid", [unknown])
            ingestor.execute("CREATE TEMPORARY TABLE pg_inherits AS SELECT 1 AS inhrelid")

            asked = "SELECT public.ensure_month_partitions(%s, ARRAY[%s::date])"
            for parent in ("generation", "forecasts"):
                assert ingestor.execute(asked, [parent, month]).fetchone() == (
                    [f"{parent}_p{month[:7].replace('-', '_')}"],
                )
                assert ingestor.execute(asked, [parent, month]).fetchone() == ([],)
            reading = "INSERT INTO public.generation VALUES (%s, %s, '2040-01-01', 1)"
            ingestor.execute(reading, [given.site, month])
            with pytest.raises(psycopg.errors.ForeignKeyViolation, match=str(unknown)):
                ingestor.execute(reading, [unknown, month])
            assert owner.execute(f"SELECT who FROM {name}.loot").fetchall() == []
            warnings = grant(owner)
            assert owner.execute(f"SELECT who FROM {name}.loot").fetchall() == []
            assert any(text.endswith(f"run them: {name}") for text in warnings) == beside_the_tables

    def test_the_owners_settings_are_the_functions_own(self, owner):
        """A function that runs with its owner's rights takes no name from the session, and PUBLIC may run none."""
        rows = owner.execute(
            "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        ).fetchall()
        assert len(rows) >= 4
        for name, settings, by_public in rows:
            assert "search_path=pg_catalog, public, pg_temp" in settings, name
            assert not by_public, name


def _table_of_the_guide() -> dict[str, tuple[str, ...]]:
    guide = (folder("sql") / "README.md").read_text(encoding="utf-8")
    lines = guide.partition("\n## Roles\n")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {name: tuple(rest) for names, *rest in cells for name in re.findall(r"`(\w+)`", names)}


class TestFile:
    @pytest.fixture
    def admin(self, dsn: str, groups: None) -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection

    def test_gives_what_the_guide_says_and_no_more(self, owner):
        told = _table_of_the_guide()
        for column, role in enumerate(ROLES):
            held = dict(owner.execute(RIGHTS, {"role": role, "schema": "public"}).fetchall())
            expected = {name: ", ".join(sorted(cells[column].split(", "))) for name, cells in told.items()}
            assert held == expected, role

    def test_knows_every_table_and_view(self, owner):
        relations = owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition AND relname !~ 'yoyo'"
        )
        assert {name for (name,) in relations} | {"_yoyo_migration"} == set(_table_of_the_guide())

    def test_takes_away_what_was_given_by_hand(self, admin):
        grant(admin)
        admin.execute("SELECT ensure_month_partitions('generation', '{2024-06-01,2024-07-01}')")
        before = _held(admin.execute(ACLS, {"schema": "public"}).fetchall())
        for statement in (
            "GRANT ALL ON generation, sites, forecast_values, _yoyo_migration TO pvsite_reader, public",
            "GRANT UPDATE (email) ON users TO pvsite_ingestor",
            "GRANT SELECT ON generation_p2024_06 TO public",
            "GRANT INSERT (site_uuid) ON generation_p2024_07 TO pvsite_ingestor",
            "GRANT EXECUTE ON FUNCTION sites_exist(), ensure_month_partitions(text, date[]) TO public, pvsite_reader",
            "GRANT CREATE ON SCHEMA public TO public, pvsite_admin",
        ):
            admin.execute(statement)
        by_hand = _held(admin.execute(ACLS, {"schema": "public"}).fetchall())
        assert {kind for kind, *_ in by_hand - before} == {"relation", "column", "function", "schema"}
        grant(admin)
        assert _held(admin.execute(ACLS, {"schema": "public"}).fetchall()) == before

    def test_holds_nobody_up(self, admin, dsn, repo, site):
        repo.generation.insert(reading_frame(site.site_uuid))
        grant(admin)
        with psycopg.connect(dsn) as busy, psycopg.connect(dsn) as reader:
            reader.execute("SELECT count(*) FROM generation")
            busy.execute("UPDATE generation SET generation_power_kw = 2")
            admin.execute("SET lock_timeout = '5s'")
            grant(admin)
            assert reader.execute("SELECT count(*) FROM generation").fetchone() == (12,)

    def test_says_where_it_finds_no_tables_and_makes_nothing(self, empty_database, groups):
        empty_database.autocommit = True
        with pytest.raises(psycopg.errors.RaiseException, match="leads to no tables of pvsite_sql"):
            grant(empty_database)
        empty_database.execute("ROLLBACK")

    def test_warns_of_an_owner_who_is_a_superuser_and_of_who_may_create_in_the_schema(self, admin):
        with login(admin) as dsn:
            other = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
            admin.execute(f"GRANT CREATE ON SCHEMA public TO {other}")
            warnings = grant(admin)
        assert any("a superuser, and so do the functions" in text for text in warnings)
        assert any(text.endswith(f"run them: {other}") for text in warnings)

    def test_is_refused_whole_to_who_cannot_keep_its_promises(self, admin, dsn):
        """The owner of the tables, in a schema of somebody else's where PUBLIC may create."""
        grant(admin)
        with login(admin) as theirs:
            name = psycopg.conninfo.conninfo_to_dict(theirs)["user"]
            admin.execute("CREATE SCHEMA solar")
            admin.execute("GRANT USAGE, CREATE ON SCHEMA solar TO public")
            options = "-c search_path=solar"
            migrate.apply(make_conninfo(theirs, options=options))
            with psycopg.connect(theirs, options=options, autocommit=True) as tables_owner:
                before = admin.execute(ACLS, {"schema": "solar"}).fetchall()
                with pytest.raises(InsufficientPrivilege, match="public still has CREATE on the schema"):
                    grant(tables_owner)
                tables_owner.execute("ROLLBACK")
                assert admin.execute(ACLS, {"schema": "solar"}).fetchall() == before
                admin.execute("REVOKE CREATE ON SCHEMA solar FROM public")
                admin.execute(f"GRANT CREATE ON SCHEMA solar TO {name}")
                grant(tables_owner)


def _held(acls: list[tuple[str, str, str | None]]) -> set[tuple[str, str, str]]:
    """Each right of somebody but the owner's as a line."""
    rights = {(kind, name, item) for kind, name, acl in acls if acl for item in acl.strip("{}").split(",") if item}
    return {(kind, name, item) for kind, name, item in rights if item.split("=")[0] != item.split("/")[1]}


class TestDeploy:
    """By hand, with psql, by an owner who is no superuser, in a schema of its own; as its head says."""

    @pytest.fixture
    def deployed(self, dsn: str, tmp_path: Path) -> Iterator[tuple[psycopg.Connection, str, Path, str]]:
        """An administrator's connection to the server, the owner's DSN, the file, and the roles' prefix in it."""
        prefix = f"t{uuid4().hex}_"
        file = tmp_path / "roles.sql"
        file.write_text(FILE.read_text(encoding="utf-8").replace("pvsite_", prefix), encoding="utf-8")
        name = f"pvsite_sql_{uuid4().hex}"
        with psycopg.connect(dsn, autocommit=True) as server:
            server.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
            server.execute(f"CREATE DATABASE {name} OWNER {name}")
            theirs = make_conninfo(dsn, dbname=name, user=name, password=PASSWORD)
            with psycopg.connect(theirs, autocommit=True) as connection:
                connection.execute('CREATE SCHEMA "solar power"')
                connection.execute(f"ALTER DATABASE {name} SET search_path = 'solar power'")
            try:
                migrate.apply(theirs)
                with psycopg.connect(make_conninfo(dsn, dbname=name), autocommit=True) as admin:
                    yield admin, theirs, file, prefix
            finally:
                server.execute(f"DROP DATABASE {name}")
                for role in ("reader", "ingestor", "admin"):
                    server.execute(f"DROP ROLE IF EXISTS {prefix}{role}")
                server.execute(f"DROP ROLE {name}")

    def test_twice(self, deployed):
        admin, theirs, file, prefix = deployed
        acls: list[Any] = []
        for _ in range(2):
            command = [_psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", theirs, "-f", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            acls.append(_held(admin.execute(ACLS, {"schema": '"solar power"'}).fetchall()))
        assert acls[0] == acls[1]
        assert admin.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE %s", [f"{prefix}%"]).fetchone() == (3,)
        with Repository(theirs, min_size=1) as owner:
            site = owner.sites.create().site_uuid
        with login(admin, f"{prefix}ingestor") as dsn, Repository(dsn, min_size=1) as ingestor:
            assert ingestor.generation.insert(reading_frame(site)) == InsertResult(inserted=12)
            assert ingestor.generation.insert(reading_frame(site, power_kw=2), on_conflict="update").updated == 12
            assert ingestor.forecasts.insert(forecast_frame(site), model_name="new") == InsertResult(inserted=1)
            with pytest.raises(InsufficientPrivilege):
                ingestor.sites.update(site, capacity_kw=1)
        with login(admin, f"{prefix}reader") as dsn, Repository(dsn, min_size=1) as reader:
            assert len(reader.generation.read_frame()) == 12
            assert len(reader.forecasts.latest_values()[site]) == 3
            reader.check()
        with login(admin, f"{prefix}admin") as dsn, Repository(dsn, min_size=1) as administrator:
            administrator.sites.delete(site, delete_generation=True)
        owners = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'solar power'"
        assert admin.execute(owners).fetchall() == [(admin.info.dbname,)]
