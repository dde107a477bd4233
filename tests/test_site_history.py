"""The history of the sites: every change is written, whatever program makes it, and a site can be read as it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up
from conftest import pages
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool
from test_hostile_text import REFUSED, TEXTS
from test_roles import grant, login

from pvsite_sql import InvalidInput, NotFound, Repository, Site, SiteChange, migrate
from pvsite_sql.engine.queries import folder

MOMENT = timedelta(microseconds=1)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
MIGRATION = folder("migrations") / "0002.site-history.sql"
# a session in which everything that it can say of texts of times and numbers is said otherwise
ODD = "-c TimeZone=Asia/Kathmandu -c DateStyle=German -c IntervalStyle=sql_standard -c extra_float_digits=-15"


def rows(connection: psycopg.Connection) -> dict[UUID, dict[str, Any]]:
    """The rows of sites, as the history writes them."""
    connection.execute("SET timezone = 'UTC'")
    found = connection.execute("SELECT s.site_uuid, to_jsonb(s) FROM sites AS s").fetchall()
    connection.commit()
    return dict(found)


def operations(changes: list[SiteChange]) -> list[str]:
    return [change.operation for change in changes]


def history(connection: psycopg.Connection) -> list[tuple[UUID, str]]:
    """All changes of all sites."""
    found = connection.execute("SELECT site_uuid, operation FROM site_history ORDER BY change_id").fetchall()
    connection.commit()
    return found


def is_whole(changes: list[SiteChange], now: dict[str, Any] | None) -> bool:
    """Each change begins with what the one before it left, no earlier than it, and the last one left what is there."""
    follow = all(before.new_row == after.old_row for before, after in pairwise(changes))
    order = [(change.changed_utc, change.change_id) for change in changes]
    return changes[0].old_row is None and follow and order == sorted(order) and changes[-1].new_row == now


def begun_and_failed(repo: Repository, site: Site) -> None:
    with repo.transaction() as tx:
        tx.sites.update(site.site_uuid, tilt=3)
        tx.sites.update(uuid4(), tilt=3)


@pytest.fixture
def hand(postgresql: psycopg.Connection) -> psycopg.Connection:
    """A connection of somebody who changes sites by hand, a transaction a statement."""
    postgresql.autocommit = True
    return postgresql


class TestHistory:
    def test_has_a_row_for_each_change(self, repo: Repository, hand: psycopg.Connection) -> None:
        begun = datetime.now(UTC)
        made = repo.sites.create(client_site_name="roof", capacity_kw=4.0)
        repo.sites.update(made.site_uuid, capacity_kw=5.0, dno="UKPN")
        stored = rows(hand)[made.site_uuid]
        repo.sites.delete(made.site_uuid)
        inserted, updated, deleted = repo.sites.history(made.site_uuid)

        assert (inserted.operation, updated.operation, deleted.operation) == ("insert", "update", "delete")
        assert {change.site_uuid for change in (inserted, updated, deleted)} == {made.site_uuid}
        assert inserted.old_row is None
        assert Site.model_validate(inserted.new_row) == made
        assert updated.old_row == inserted.new_row
        assert updated.new_row == {**(inserted.new_row or {}), "capacity_kw": 5.0, "dno": "UKPN"}
        assert updated.new_row == deleted.old_row == stored
        assert deleted.new_row is None
        assert inserted.changed_utc == made.created_utc
        assert begun < inserted.changed_utc < updated.changed_utc < deleted.changed_utc < datetime.now(UTC)
        assert {change.database_user for change in (inserted, updated, deleted)} == {hand.info.user}

    def test_is_found_by_a_uuid_or_its_text(self, repo: Repository, site: Site) -> None:
        assert repo.sites.history(str(site.site_uuid)) == repo.sites.history(site.site_uuid)
        with pytest.raises(InvalidInput):
            repo.sites.history("roof")

    def test_of_a_site_that_never_was_is_not_found(self, repo: Repository, site: Site) -> None:
        with pytest.raises(NotFound, match="no history of it"):
            repo.sites.history(uuid4())
        assert len(repo.sites.history(site.site_uuid)) == 1

    def test_comes_in_parts(self, repo: Repository, site: Site) -> None:
        for tilt in (1, 2, 3):
            repo.sites.update(site.site_uuid, tilt=tilt)
        pages(partial(repo.sites.history, site.site_uuid), repo.sites.history(site.site_uuid))
        for part in ({"limit": 0}, {"offset": 1}, {"limit": 5}):
            with pytest.raises(NotFound, match="and no history of it"):
                repo.sites.history(uuid4(), **part)

    def test_passes_over_updates_that_change_nothing(
        self, repo: Repository, site: Site, hand: psycopg.Connection
    ) -> None:
        repo.sites.update(site.site_uuid)
        repo.sites.update(site.site_uuid, capacity_kw=site.capacity_kw, dno=None)
        hand.execute("UPDATE sites SET latitude = latitude + 0, site_uuid = site_uuid")
        hand.execute("UPDATE sites SET tilt = 30 WHERE FALSE")
        hand.execute("DELETE FROM sites WHERE FALSE")
        hand.execute("INSERT INTO sites SELECT * FROM sites WHERE FALSE")
        assert operations(repo.sites.history(site.site_uuid)) == ["insert"]

    def test_has_what_a_transaction_did_in_its_order(
        self, repo: Repository, site: Site, hand: psycopg.Connection
    ) -> None:
        with repo.transaction() as tx:
            for tilt in range(5):
                tx.sites.update(site.site_uuid, tilt=tilt)
            new = tx.sites.create(dno="UKPN")
            tx.sites.update(new.site_uuid, dno=None)
            tx.sites.delete(new.site_uuid)
            assert len(tx.sites.history(site.site_uuid)) == 6
        tilts = [change.new_row["tilt"] for change in repo.sites.history(site.site_uuid) if change.new_row]
        assert tilts == [None, 0, 1, 2, 3, 4]
        assert is_whole(repo.sites.history(site.site_uuid), rows(hand)[site.site_uuid])
        assert operations(repo.sites.history(new.site_uuid)) == ["insert", "update", "delete"]

    def test_has_nothing_of_what_was_rolled_back(self, repo: Repository, site: Site) -> None:
        with repo.transaction() as tx:
            tx.sites.update(site.site_uuid, tilt=1)
            with pytest.raises(NotFound):
                tx.sites.update(site.site_uuid, tilt=2, client_uuid=uuid4())
            with pytest.raises(NotFound):
                tx.sites.delete(uuid4())
        with pytest.raises(NotFound):
            begun_and_failed(repo, site)
        assert [change.new_row["tilt"] for change in repo.sites.history(site.site_uuid) if change.new_row] == [None, 1]

    @pytest.mark.parametrize("options", ["", ODD])
    @pytest.mark.parametrize("latitude", [51.1, 1 / 3, 0.1 + 0.2, 5e-324, 1e-17, 89.99999999999999, -0.0])
    def test_is_exact_and_in_utc_whatever_the_session_says(
        self, dsn: str, hand: psycopg.Connection, latitude: float, options: str
    ) -> None:
        with Repository(make_conninfo(dsn, options=options), min_size=1) as repo:
            made = repo.sites.create(latitude=latitude, client_site_name="'\"\\ \u2028 𝄞")
            (inserted,) = repo.sites.history(made.site_uuid)
            assert repo.sites.get_as_of(made.site_uuid, at_utc=LATER) == made
        assert inserted.changed_utc == made.created_utc
        assert inserted.new_row is not None
        assert inserted.new_row["latitude"] == latitude
        assert inserted.new_row["created_utc"].endswith("+00:00")
        assert inserted.new_row == rows(hand)[made.site_uuid]


class TestStatements:
    """Of many rows, and of every kind, by hand."""

    def test_of_many_sites_write_a_row_for_each_that_they_change(
        self, repo: Repository, hand: psycopg.Connection
    ) -> None:
        hand.execute("INSERT INTO sites (capacity_kw) SELECT n FROM generate_series(1, 4000) AS n")
        hand.execute("UPDATE sites SET capacity_kw = GREATEST(capacity_kw, 3001)")
        hand.execute("DELETE FROM sites WHERE capacity_kw = 3001")
        counted = "SELECT operation, count(*), count(DISTINCT site_uuid) FROM site_history GROUP BY 1 ORDER BY 1"
        assert hand.execute(counted).fetchall() == [
            ("delete", 3001, 3001),
            ("insert", 4000, 4000),
            ("update", 3000, 3000),
        ]
        for site_uuid, row in list(rows(hand).items())[::100]:
            assert is_whole(repo.sites.history(site_uuid), row)

    def test_of_every_kind_are_seen(self, repo: Repository, site: Site, hand: psycopg.Connection) -> None:
        known = site.site_uuid
        with hand.cursor() as cursor, cursor.copy("COPY sites (site_uuid, tilt) FROM STDIN") as copy:
            copy.write_row((copied := uuid4(), 1))
        hand.execute(
            "INSERT INTO sites (site_uuid, tilt) VALUES (%s, 2), (%s, 2) "
            "ON CONFLICT (site_uuid) DO UPDATE SET tilt = excluded.tilt",
            [known, upserted := uuid4()],
        )
        hand.execute(
            "MERGE INTO sites AS s USING (VALUES (%s, 3), (%s, 4), (%s, 5)) AS n (site_uuid, tilt) "
            "ON s.site_uuid = n.site_uuid WHEN MATCHED AND n.tilt = 3 THEN UPDATE SET tilt = n.tilt "
            "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (site_uuid, tilt) VALUES (n.site_uuid, n.tilt)",
            [known, upserted, merged := uuid4()],
        )
        hand.execute(
            "WITH gone AS (DELETE FROM sites WHERE site_uuid = %s), "
            "new AS (INSERT INTO sites (site_uuid, tilt) VALUES (%s, 6)) "
            "UPDATE sites SET tilt = 7 WHERE site_uuid = %s",
            [copied, written := uuid4(), known],
        )
        expected = {
            known: ["insert", "update", "update", "update"],
            copied: ["insert", "delete"],
            upserted: ["insert", "delete"],
            merged: ["insert"],
            written: ["insert"],
        }
        now = rows(hand)
        for site_uuid, kinds in expected.items():
            assert operations(repo.sites.history(site_uuid)) == kinds
            assert is_whole(repo.sites.history(site_uuid), now.get(site_uuid))

    def test_that_change_a_uuid_end_one_site_and_begin_another(
        self, repo: Repository, site: Site, hand: psycopg.Connection
    ) -> None:
        hand.execute("UPDATE sites SET site_uuid = %s", [new := uuid4()])
        assert operations(repo.sites.history(site.site_uuid)) == ["insert", "delete"]
        (inserted,) = repo.sites.history(new)
        assert is_whole([inserted], rows(hand)[new])
        assert repo.sites.get_as_of(new, at_utc=LATER) == repo.sites.get(new)
        with pytest.raises(NotFound):
            repo.sites.get_as_of(new, at_utc=inserted.changed_utc - MOMENT)

    @pytest.mark.parametrize("table", ["sites", "clients"])
    def test_that_truncate_are_deletes(self, repo: Repository, hand: psycopg.Connection, table: str) -> None:
        sites = [repo.sites.create() for _ in range(3)]
        hand.execute(f"TRUNCATE {table} CASCADE".encode())
        for site in sites:
            inserted, deleted = repo.sites.history(site.site_uuid)
            assert deleted.operation == "delete"
            assert inserted.new_row == deleted.old_row
            with pytest.raises(NotFound):
                repo.sites.get_as_of(site.site_uuid, at_utc=LATER)

    def test_that_bring_a_uuid_back_go_on_with_its_history(
        self, repo: Repository, site: Site, hand: psycopg.Connection
    ) -> None:
        repo.sites.delete(site.site_uuid)
        hand.execute("INSERT INTO sites (site_uuid) VALUES (%s)", [site.site_uuid])
        changes = repo.sites.history(site.site_uuid)
        assert operations(changes) == ["insert", "delete", "insert"]
        assert repo.sites.get_as_of(site.site_uuid, at_utc=changes[0].changed_utc) == site
        with pytest.raises(NotFound):
            repo.sites.get_as_of(site.site_uuid, at_utc=changes[1].changed_utc)
        assert repo.sites.get_as_of(site.site_uuid, at_utc=changes[2].changed_utc).capacity_kw is None


class TestAsOf:
    def test_is_what_the_last_change_up_to_then_left(self, repo: Repository) -> None:
        versions = [repo.sites.create(capacity_kw=1.0, latitude=51.5)]
        site = versions[0].site_uuid
        versions += [repo.sites.update(site, capacity_kw=capacity_kw, dno=None) for capacity_kw in (2.0, 3.0)]
        repo.sites.delete(site)
        times = [change.changed_utc for change in repo.sites.history(site)]
        for version, begin, end in zip(versions, times[:-1], times[1:], strict=True):
            assert repo.sites.get_as_of(site, at_utc=begin) == version
            assert repo.sites.get_as_of(str(site), at_utc=end - MOMENT) == version
        for without in (times[0] - MOMENT, times[-1], LATER, datetime.min.replace(tzinfo=UTC)):
            with pytest.raises(NotFound, match=f"no site {site} at "):
                repo.sites.get_as_of(site, at_utc=without)

    def test_takes_naive_times_as_utc_and_converts_others(self, repo: Repository, site: Site) -> None:
        changed = repo.sites.update(site.site_uuid, tilt=1)
        at = repo.sites.history(site.site_uuid)[-1].changed_utc
        for same in (at.replace(tzinfo=None), at.astimezone(timezone(timedelta(hours=5, minutes=45)))):
            assert repo.sites.get_as_of(site.site_uuid, at_utc=same) == changed
            assert repo.sites.get_as_of(site.site_uuid, at_utc=same - MOMENT) == site
        for refused in ("2024-06-01", None, 0):
            with pytest.raises(InvalidInput, match="at_utc"):
                repo.sites.get_as_of(site.site_uuid, at_utc=refused)
        with pytest.raises(InvalidInput, match="site_uuid"):
            repo.sites.get_as_of("roof", at_utc=at)

    def test_a_site_is_there_from_when_it_was_created_on(self, repo: Repository) -> None:
        with repo.transaction() as tx:
            tx.users.list()
            made = tx.sites.create()
        assert repo.sites.get_as_of(made.site_uuid, at_utc=made.created_utc) == made
        with pytest.raises(NotFound):
            repo.sites.get_as_of(made.site_uuid, at_utc=made.created_utc - MOMENT)

    def test_rows_from_before_a_column_came_have_its_default(self, repo: Repository, hand: psycopg.Connection) -> None:
        """Every column that a site need not be given, as if it had come later."""
        plain = repo.sites.create()
        hand.execute(
            "UPDATE site_history AS h SET new_row = jsonb_build_object("
            "'site_uuid', s.site_uuid, 'ml_id', s.ml_id, 'created_utc', s.created_utc) FROM sites AS s"
        )
        assert repo.sites.get_as_of(plain.site_uuid, at_utc=LATER) == plain

    def test_columns_may_come_and_go(self, repo: Repository, site: Site, hand: psycopg.Connection) -> None:
        """A change between two versions of the package: the older one ignores what it does not know."""
        hand.execute("ALTER TABLE sites ADD COLUMN owner text NOT NULL DEFAULT 'nobody', ADD COLUMN notes jsonb")
        made = repo.sites.create()
        changed = repo.sites.update(site.site_uuid, tilt=1)
        assert repo.sites.get_as_of(site.site_uuid, at_utc=LATER) == changed
        assert (repo.sites.history(made.site_uuid)[0].new_row or {})["owner"] == "nobody"
        hand.execute("ALTER TABLE sites DROP COLUMN owner")
        hand.execute("UPDATE sites SET notes = '[1]'")
        for each in (site, made):
            changes = repo.sites.history(each.site_uuid)
            assert changes[-1].new_row == rows(hand)[each.site_uuid]
            assert "owner" not in (changes[-1].new_row or {})
            before = repo.sites.get_as_of(each.site_uuid, at_utc=changes[-1].changed_utc - MOMENT)
            assert before == repo.sites.get(each.site_uuid)


class TestConcurrency:
    def test_changes_at_once_are_told_one_after_the_other(
        self, repo: Repository, site: Site, hand: psycopg.Connection
    ) -> None:
        for n in range(5):
            fields = ({"tilt": n}, {"dno": f"dno {n}"}, {"gsp": f"gsp {n}"}, {"region": f"region {n}"})
            concurrently(*[lambda given=given: repo.sites.update(site.site_uuid, **given) for given in fields])
        changes = repo.sites.history(site.site_uuid)
        assert len(changes) == 21
        assert is_whole(changes, rows(hand)[site.site_uuid])

    def test_a_change_that_waited_comes_after_the_one_that_it_waited_for(
        self, repo: Repository, site: Site, dsn: str, postgresql: psycopg.Connection
    ) -> None:
        """Also where its transaction is the older one."""
        with psycopg.connect(dsn) as older:
            older.execute("SELECT now()")
            postgresql.execute("UPDATE sites SET tilt = 1")
            held_up(postgresql, postgresql.commit, lambda: older.execute("UPDATE sites SET dno = 'UKPN'"))
        _, first, second = changes = repo.sites.history(site.site_uuid)
        assert is_whole(changes, rows(postgresql)[site.site_uuid])
        assert repo.sites.get_as_of(site.site_uuid, at_utc=first.changed_utc).dno is None
        assert repo.sites.get_as_of(site.site_uuid, at_utc=second.changed_utc) == repo.sites.get(site.site_uuid)

    @pytest.mark.parametrize("change", ["update", "delete", "truncate", "insert"])
    def test_times_do_not_run_backwards_when_the_clock_is_set_back(
        self, repo: Repository, site: Site, hand: psycopg.Connection, change: str
    ) -> None:
        known = site.site_uuid
        if change == "insert":
            repo.sites.delete(known)
        hand.execute("UPDATE site_history SET changed_utc = now() + interval '1 hour'")  # the clock was ahead
        statements: dict[str, Callable[[], object]] = {
            "update": lambda: repo.sites.update(known, tilt=1),
            "delete": lambda: repo.sites.delete(known),
            "truncate": lambda: hand.execute("TRUNCATE sites CASCADE"),
            "insert": lambda: hand.execute("INSERT INTO sites (site_uuid) VALUES (%s)", [known]),
        }
        statements[change]()
        *_, before, after = repo.sites.history(known)
        assert after.operation == {"truncate": "delete"}.get(change, change)
        assert before.changed_utc == after.changed_utc
        if change in ("update", "insert"):
            assert repo.sites.get_as_of(known, at_utc=LATER) == repo.sites.get(known)
        else:
            with pytest.raises(NotFound):
                repo.sites.get_as_of(known, at_utc=LATER)


def actors(repo: Repository, site: Site) -> list[str | None]:
    return [change.actor for change in repo.sites.history(site.site_uuid)]


class TestActor:
    def test_is_the_repositorys_or_the_transactions(self, repo: Repository, dsn: str) -> None:
        with Repository(dsn, min_size=1, actor="registry") as registry:
            site = registry.sites.create()
            registry.sites.update(site.site_uuid, tilt=1)
            with registry.transaction() as tx:
                tx.sites.update(site.site_uuid, tilt=2)
            with registry.transaction(actor="alice@example.com") as tx:
                tx.sites.update(site.site_uuid, tilt=3)
                with pytest.raises(NotFound):
                    tx.sites.update(uuid4(), tilt=3)
                tx.sites.update(site.site_uuid, tilt=4)
            with registry.transaction(actor="") as tx:
                tx.sites.update(site.site_uuid, tilt=5)
            registry.sites.delete(site.site_uuid)
        alice = "alice@example.com"
        assert actors(repo, site) == ["registry", "registry", "registry", alice, alice, None, "registry"]

    def test_does_not_stay_on_a_connection_of_the_pool(self, dsn: str) -> None:
        with ConnectionPool(dsn, min_size=1, max_size=1, kwargs={"prepare_threshold": None}) as pool:
            named, nameless = Repository(pool, actor="registry"), Repository(pool)
            site = named.sites.create()
            nameless.sites.update(site.site_uuid, tilt=1)
            with nameless.transaction(actor="alice") as tx:
                tx.sites.update(site.site_uuid, tilt=2)
            with pytest.raises(NotFound):
                begun_and_failed(named, site)
            with pool.connection() as connection:
                connection.execute("UPDATE sites SET tilt = 3")
            nameless.sites.update(site.site_uuid, tilt=4)
            named.sites.update(site.site_uuid, tilt=5)
            assert actors(nameless, site) == ["registry", None, "alice", None, None, "registry"]

    def test_is_each_threads_own(self, repo: Repository) -> None:
        sites = [repo.sites.create() for _ in range(CALLERS)]

        def change(site: Site, name: str) -> None:
            for tilt in range(5):
                with repo.transaction(actor=name) as tx:
                    tx.sites.update(site.site_uuid, tilt=tilt)
                repo.sites.update(site.site_uuid, tilt=tilt + 0.5)

        concurrently(*[partial(change, site, f"caller {n}") for n, site in enumerate(sites)])
        for n, site in enumerate(sites):
            assert actors(repo, site) == [None, *[f"caller {n}", None] * 5]

    @pytest.mark.parametrize("name", TEXTS)
    def test_is_any_text(self, repo: Repository, site: Site, name: str) -> None:
        with repo.transaction(actor=name) as tx:
            tx.sites.update(site.site_uuid, tilt=1)
        assert actors(repo, site) == [None, name]

    @pytest.mark.parametrize("name", REFUSED)
    def test_is_refused_where_it_cannot_be_stored(self, repo: Repository, dsn: str, name: str) -> None:
        with pytest.raises(InvalidInput, match="actor"), repo.transaction(actor=name):
            pass
        with pytest.raises(InvalidInput, match="actor"):
            Repository(dsn, actor=name)

    def test_is_the_setting_of_the_transaction_and_ends_with_it(
        self, repo: Repository, site: Site, hand: psycopg.Connection
    ) -> None:
        with hand.transaction():
            hand.execute("SELECT set_config('pvsite_sql.actor', %s, TRUE)", ["alice'; --"])
            hand.execute("UPDATE sites SET tilt = 1")
        hand.execute("UPDATE sites SET tilt = 2")
        with hand.transaction():
            hand.execute("SELECT set_config('pvsite_sql.actor', '', TRUE)")
            hand.execute("UPDATE sites SET tilt = 3")
        with hand.transaction():
            hand.execute("SET LOCAL pvsite_sql.actor = 'bob'")
            hand.execute("DELETE FROM sites")
        actors = [change.actor for change in repo.sites.history(site.site_uuid)]
        assert actors == [None, "alice'; --", None, None, "bob"]

    def test_of_a_truncate_too(self, repo: Repository, site: Site, hand: psycopg.Connection) -> None:
        with hand.transaction():
            hand.execute("SET LOCAL pvsite_sql.actor = 'bob'")
            hand.execute("TRUNCATE sites CASCADE")
        assert repo.sites.history(site.site_uuid)[-1].actor == "bob"


@pytest.fixture
def admin(hand: psycopg.Connection, groups: None) -> psycopg.Connection:
    """The owner's connection to a database with the roles."""
    grant(hand)
    return hand


class TestRoles:
    def test_who_may_change_sites_needs_no_right_to_the_history(
        self, admin: psycopg.Connection, repo: Repository, site: Site
    ) -> None:
        """Not even before roles.sql has run again after the migration."""
        admin.execute("REVOKE ALL ON site_history FROM pvsite_reader, pvsite_ingestor, pvsite_admin")
        with login(admin, "pvsite_admin") as dsn, Repository(dsn, min_size=1) as administrator:
            administrator.sites.update(site.site_uuid, tilt=1)
            administrator.sites.delete(site.site_uuid)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="site_history") as error:
                administrator.sites.history(site.site_uuid)
            assert any("sites/history.sql" in note for note in error.value.__notes__)
            name = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        users = [change.database_user for change in repo.sites.history(site.site_uuid)]
        assert users == [admin.info.user, name, name]

    def test_set_role_does_not_hide_who_logged_in(
        self, admin: psycopg.Connection, repo: Repository, site: Site
    ) -> None:
        with login(admin, "pvsite_admin") as dsn, psycopg.connect(dsn, autocommit=True) as person:
            person.execute("SET ROLE pvsite_admin")
            person.execute("UPDATE sites SET tilt = 1")
            name = person.info.user
        assert repo.sites.history(site.site_uuid)[-1].database_user == name

    def test_tables_and_functions_of_others_are_not_used(
        self, admin: psycopg.Connection, repo: Repository, site: Site
    ) -> None:
        """Neither those that the session looks in first, nor better fitting ones beside the tables."""
        admin.execute("GRANT CREATE ON SCHEMA public TO pvsite_admin")
        with login(admin, "pvsite_admin") as dsn, psycopg.connect(dsn, autocommit=True) as person:
            person.execute("CREATE TABLE loot (who text)")
            body = "LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.loot VALUES (current_user); RETURN NULL; END $$"
            for signature in ("to_jsonb(record)", "to_jsonb(sites)", "now()", "clock_timestamp()"):
                result = "jsonb" if "json" in signature else "timestamptz"
                person.execute(f"CREATE FUNCTION public.{signature} RETURNS {result} {body}".encode())
            for n, type_ in enumerate(("uuid", "jsonb", "text", "timestamptz")):
                person.execute(
                    f"CREATE FUNCTION public.same{n}({type_}, {type_}) RETURNS boolean {body};"
                    f"CREATE OPERATOR public.= (LEFTARG = {type_}, RIGHTARG = {type_}, FUNCTION = same{n})".encode()
                )
            person.execute("CREATE TEMPORARY TABLE site_history AS SELECT FROM public.sites WHERE FALSE")
            person.execute("CREATE TEMPORARY TABLE sites AS SELECT FROM public.sites WHERE FALSE")
            person.execute("INSERT INTO public.sites (tilt) VALUES (1)")
            person.execute("UPDATE public.sites SET tilt = 2")
            person.execute("DELETE FROM public.sites")
            assert person.execute("SELECT FROM pg_temp.site_history").fetchall() == []
            admin.execute("TRUNCATE sites CASCADE")
            assert admin.execute("SELECT FROM public.loot").fetchall() == []
        assert operations(repo.sites.history(site.site_uuid)) == ["insert", "update", "delete"]

    def test_the_owners_trigger_is_not_for_tables_of_others(self, admin: psycopg.Connection) -> None:
        with login(admin, "pvsite_admin") as dsn, psycopg.connect(dsn, autocommit=True) as person:
            person.execute("CREATE TEMPORARY TABLE bait (site_uuid uuid)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="write_site_history"):
                person.execute(
                    "CREATE TRIGGER bait AFTER INSERT ON bait REFERENCING NEW TABLE AS new_rows "
                    "FOR EACH STATEMENT EXECUTE FUNCTION write_site_history()"
                )


class TestMigration:
    @pytest.fixture
    def older(self, empty_database: psycopg.Connection) -> psycopg.Connection:
        """A database from before the history, with two sites."""
        empty_database.autocommit = True
        first = folder("migrations") / "0001.initial-schema.sql"
        with empty_database.transaction():
            empty_database.execute(first.read_bytes())
        empty_database.execute(
            "INSERT INTO sites (created_utc, tilt, latitude) "
            "VALUES ('2024-01-01 12:00Z', 1, 0.1), ('2024-02-01 00:00Z', 2, 0.2)"
        )
        return empty_database

    def test_begins_with_the_sites_that_are_there(self, older: psycopg.Connection, empty_dsn: str) -> None:
        migrate.apply(empty_dsn)
        with Repository(empty_dsn, min_size=1) as repo:
            for site in repo.sites.list():
                (baseline,) = repo.sites.history(site.site_uuid)
                assert (baseline.operation, baseline.changed_utc) == ("baseline", site.created_utc)
                row = rows(older)[site.site_uuid]
                assert is_whole([baseline], {name: row[name] for name in baseline.new_row or ()})
                assert repo.sites.get_as_of(site.site_uuid, at_utc=site.created_utc) == site
                with pytest.raises(NotFound):
                    repo.sites.get_as_of(site.site_uuid, at_utc=site.created_utc - MOMENT)
                changed = repo.sites.update(site.site_uuid, tilt=3)
                assert repo.sites.get_as_of(site.site_uuid, at_utc=LATER) == changed
                assert repo.sites.get_as_of(site.site_uuid, at_utc=datetime(2024, 6, 1, tzinfo=UTC)) == site
                assert operations(repo.sites.history(site.site_uuid)) == ["baseline", "update"]

    def test_lets_nobody_hang_the_trigger_on_a_table_of_theirs(self, older: psycopg.Connection, empty_dsn: str) -> None:
        migrate.apply(empty_dsn)
        asked = "SELECT has_function_privilege('public', 'write_site_history()', 'EXECUTE')"
        assert older.execute(asked).fetchone() == (False,)

    def test_stands_a_second_run(self, older: psycopg.Connection, empty_dsn: str) -> None:
        migrate.apply(empty_dsn)
        older.execute("UPDATE sites SET tilt = 3 WHERE tilt = 2")
        before = history(older)
        assert sorted(operation for _, operation in before) == ["baseline", "baseline", "update"]
        with older.transaction():
            older.execute(MIGRATION.read_bytes())
        assert history(older) == before
        older.execute("UPDATE sites SET tilt = 4 WHERE tilt = 3")
        assert len(history(older)) == 4

    def test_misses_no_site_that_is_made_meanwhile(self, older: psycopg.Connection, empty_dsn: str) -> None:
        with psycopg.connect(empty_dsn) as writer, psycopg.connect(empty_dsn) as applying:
            writer.execute("INSERT INTO sites (tilt) VALUES (3)")
            writer.execute("UPDATE sites SET tilt = tilt + 10")
            (outcome,) = held_up(older, writer.commit, lambda: applying.execute(MIGRATION.read_bytes()))
            assert not isinstance(outcome, Exception)
            (late,) = held_up(
                older, applying.commit, lambda: writer.execute("INSERT INTO sites (tilt) VALUES (14) RETURNING tilt")
            )
            assert late.fetchone() == (14,)
        told = older.execute("SELECT operation, (new_row ->> 'tilt')::integer FROM site_history ORDER BY 2").fetchall()
        assert told == [("baseline", 11), ("baseline", 12), ("baseline", 13), ("insert", 14)]

    def test_lets_readings_come_in_meanwhile(self, older: psycopg.Connection, empty_dsn: str) -> None:
        older.execute("SELECT ensure_month_partitions('generation', '{2024-06-01}')")
        with psycopg.connect(empty_dsn) as applying:
            applying.execute(MIGRATION.read_bytes())
            older.execute("SET lock_timeout = '5s'")
            stored = older.execute(
                "INSERT INTO generation SELECT site_uuid, '2024-06-01 00:00Z', '2024-06-01 00:05Z', 1 FROM sites"
            )
            assert stored.rowcount == 2
            assert older.execute("SELECT count(*) FROM sites").fetchone() == (2,)

    def test_is_taken_back_without_a_trace(self, older: psycopg.Connection, empty_dsn: str) -> None:
        before = rows(older)
        relations = (
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ 'yoyo' ORDER BY 1"
        )
        names = older.execute(relations.encode()).fetchall()
        migrate.apply(empty_dsn)
        for later in sorted(MIGRATION.parent.glob("*.rollback.sql"), reverse=True):
            if later.name > MIGRATION.name:
                older.execute(later.read_bytes())
        rollback = MIGRATION.with_suffix(".rollback.sql").read_bytes()
        for _ in range(2):
            older.execute(rollback)
        assert older.execute(relations.encode()).fetchall() == names
        assert older.execute("SELECT FROM pg_trigger WHERE tgname ~ 'history'").fetchall() == []
        assert older.execute("SELECT FROM pg_proc WHERE proname ~ 'history'").fetchall() == []
        older.execute("UPDATE sites SET tilt = 3")
        assert rows(older).keys() == before.keys()
