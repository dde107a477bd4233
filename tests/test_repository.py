"""The repository: its pool, its transactions, what it hands out, and what it says when things go wrong."""

from __future__ import annotations

import inspect
import os
import select
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from conftest import reading_frame
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool, NullConnectionPool, PoolClosed, PoolTimeout
from pydantic import ValidationError

import pvsite_sql
from pvsite_sql import (
    CheckFailed,
    ConstraintError,
    Duplicate,
    InvalidInput,
    MissingReference,
    NotFound,
    OutcomeUnknown,
    PvsiteSqlError,
    Repository,
    Site,
    Transaction,
    errors,
    models,
)

AGGREGATES = (
    "users",
    "site_groups",
    "sites",
    "clients",
    "inverters",
    "ml_models",
    "status",
    "api_requests",
    "generation",
    "forecasts",
)
ROWS = {
    models.ApiRequest: "api_request",
    models.Client: "clients",
    models.Generation: "generation",
    models.Inverter: "inverters",
    models.MlModel: "ml_models",
    models.Site: "sites",
    models.SiteGroup: "site_groups",
    models.Status: "status",
    models.User: "users",
}


def run(repo: Repository, call: Callable[[Repository | Transaction], Any], *, in_transaction: bool = True) -> Any:
    """Call with a transaction of the repository, which ends with the call, or with the repository itself."""
    if not in_transaction:
        return call(repo)
    with repo.transaction() as tx:
        return call(tx)


def names(repo: Repository | Transaction) -> list[str]:
    """The names of all clients, as this repository or transaction sees them."""
    return [client.client_name for client in repo.clients.list()]


@pytest.mark.parametrize(("model", "table"), ROWS.items(), ids=ROWS.values())
def test_a_model_has_the_columns_of_its_table(postgresql: psycopg.Connection, model: Any, table: str) -> None:
    """And of a table that it refers to, what people call the row."""
    columns = postgresql.execute(
        "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        [table],
    ).fetchall()
    fields = {name: type(None) in get_args(field.annotation) for name, field in model.model_fields.items()}
    for joined in {models.User: ["site_group_name"], models.ApiRequest: ["email"]}.get(model, []):
        del fields[joined]
    assert list(fields.items()) == columns


@pytest.mark.parametrize("name", models.__all__)
def test_models_are_frozen(name: str) -> None:
    model = getattr(models, name)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model.model_construct(), next(iter(model.model_fields)), None)


def test_everything_is_importable_from_the_package() -> None:
    public = {"Repository", "Transaction", *models.__all__, *errors.__all__}
    assert public <= set(pvsite_sql.__all__)
    assert all(hasattr(pvsite_sql, name) for name in public)


def test_one_argument_has_a_place_the_others_have_names(repo: Repository) -> None:
    several = {"site_groups.rename": 2, "clients.rename": 2, "sites.set_ml_model": 3}  # which read as a sentence
    for aggregate in AGGREGATES:
        for name, method in inspect.getmembers(getattr(repo, aggregate), inspect.ismethod):
            if not name.startswith("_"):
                kinds = [parameter.kind for parameter in inspect.signature(method).parameters.values()]
                places = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
                assert places <= several.get(f"{aggregate}.{name}", 1), f"{aggregate}.{name}"


@pytest.mark.parametrize(
    ("error", "ancestors"),
    [
        (NotFound, (KeyError,)),
        (InvalidInput, (ValueError,)),
        (Duplicate, (ConstraintError,)),
        (MissingReference, (ConstraintError,)),
        (CheckFailed, (ConstraintError,)),
    ],
)
def test_errors_are_also_what_callers_expect(error: type[Exception], ancestors: tuple[type[Exception], ...]) -> None:
    assert all(issubclass(error, ancestor) for ancestor in (PvsiteSqlError, *ancestors))
    assert str(error("no 'quotes' around")) == "no 'quotes' around"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "bad"),
        ({"column": "power_kw"}, "power_kw: bad"),
        ({"column": "power_kw", "rows": [4]}, "power_kw, row 4: bad"),
        ({"column": "power_kw", "rows": [4, 7]}, "power_kw, rows 4, 7: bad"),
        (
            {"column": "power_kw", "rows": [4, 7], "count": 9, "frame": 2},
            "frame 2, power_kw, rows 4, 7 and 7 more: bad",
        ),
    ],
)
def test_invalid_input_names_the_place(place: dict[str, Any], text: str) -> None:
    error = InvalidInput("bad", **place)
    assert str(error) == text
    assert (error.reason, error.column, error.rows) == ("bad", place.get("column"), tuple(place.get("rows", ())))
    assert error.count == place.get("count", len(error.rows))
    moved = error.replace(frame=5)
    assert (moved.frame, str(moved)) == (5, str(InvalidInput("bad", **place | {"frame": 5})))
    assert (moved.column, moved.rows, moved.count) == (error.column, error.rows, error.count)


def test_an_own_pool_is_closed_at_the_end(dsn: str) -> None:
    with Repository(dsn, min_size=1) as repo:
        assert names(repo) == []
    with pytest.raises(PoolClosed):
        repo.clients.list()
    repo.close()


def test_a_pool_takes_its_options(dsn: str) -> None:
    with Repository(dsn, min_size=1, max_size=1, timeout=0.1, kwargs={"application_name": "ingest"}) as repo:
        with repo.transaction() as tx:
            with pytest.raises(PoolTimeout):
                repo.clients.list()
            # all that a transaction does happens on its one connection
            site_uuid = tx.sites.create().site_uuid
            assert tx.generation.insert(reading_frame(site_uuid, start="2031-01-01")).inserted == 12
        with repo._source._pool.connection() as connection:
            assert connection.execute("SHOW application_name").fetchone() == ("ingest",)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"autocommit": True},
        {"prepare_threshold": None},
        {"prepare_threshold": 0},
        {"row_factory": namedtuple_row},
        {"options": "-c default_transaction_isolation=serializable"},
    ],
    ids=lambda options: next(iter(options), "as_it_is"),
)
@pytest.mark.parametrize("kind", [ConnectionPool, NullConnectionPool])
def test_an_existing_pool_is_used_as_it_is_and_stays_open(dsn: str, kind: type[Any], options: dict[str, Any]) -> None:
    with kind(dsn, kwargs=options, min_size=0, max_size=2, open=True) as pool:
        with Repository(pool) as repo:
            site = repo.sites.create(client_uuid=repo.clients.get_or_create("Sun").client_uuid)
            assert repo.generation.insert(reading_frame(site.site_uuid)).inserted == 12
            for _ in range(7):  # often enough to be prepared
                assert repo.sites.get(site.site_uuid) == site
            with pytest.raises(CheckFailed):
                repo.sites.update(site.site_uuid, capacity_kw=-1)
            with pytest.raises(NotFound):
                run(repo, lambda tx: (tx.clients.get_or_create("Moon"), tx.clients.get("Mars")))
            with repo.transaction() as tx:
                tx.clients.get_or_create("Mars")
                with pytest.raises(NotFound):
                    tx.clients.get("Moon")
                assert names(repo) == ["Sun"]
            assert names(repo) == ["Mars", "Sun"]
            assert len(repo.generation.read_frame([site.site_uuid])) == 12
        assert not pool.closed
        with pool.connection() as connection:
            assert connection.info.transaction_status == TransactionStatus.IDLE
            assert connection.autocommit == options.get("autocommit", False)
            assert len(connection.execute("SELECT client_name FROM clients").fetchall()) == 2
        with pytest.raises(TypeError, match="an existing pool takes no options: max_size"):
            Repository(pool, max_size=5)


def test_an_empty_conninfo_is_libpqs_environment(
    repo: Repository, postgresql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.clients.get_or_create("Sun")
    info = postgresql.info
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    for name, value in {
        "PGHOST": info.host,
        "PGPORT": str(info.port),
        "PGUSER": info.user,
        "PGDATABASE": info.dbname,
        "PGPASSWORD": info.password,
    }.items():
        monkeypatch.setenv(name, value)
    with Repository("", min_size=1) as other:
        assert names(other) == ["Sun"]


def test_a_connection_that_died_in_the_pool_is_replaced(dsn: str, postgresql: psycopg.Connection) -> None:
    with Repository(dsn, min_size=1, max_size=1) as repo:
        repo.clients.get_or_create("Sun")
        postgresql.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert names(repo) == ["Sun"]


@pytest.mark.parametrize("set_by", ["database", "session"])
def test_times_are_utc_whatever_the_servers_time_zone(dsn: str, postgresql: psycopg.Connection, set_by: str) -> None:
    if set_by == "database":
        name = sql.Identifier(postgresql.info.dbname)
        postgresql.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'America/Denver'").format(name))
        postgresql.execute(sql.SQL("ALTER DATABASE {} SET datestyle = 'SQL, DMY'").format(name))
        postgresql.commit()
    options = {} if set_by == "database" else {"options": "-c timezone=America/Denver -c datestyle=SQL,DMY"}
    with ConnectionPool(dsn, kwargs=options, min_size=1, open=True) as pool, Repository(pool) as repo:
        with pool.connection() as connection:
            shown = connection.execute("SELECT current_setting('TimeZone'), current_setting('DateStyle')").fetchone()
            assert shown == ("America/Denver", "SQL, DMY")
        site = repo.sites.create()
        rows = [
            site,
            repo.users.get_or_create("alice"),
            repo.site_groups.create("north"),
            repo.clients.get_or_create("Sun"),
            repo.inverters.create(site_uuid=site.site_uuid),
            repo.ml_models.get_or_create("blend"),
            repo.status.create("ok", message=""),
            repo.api_requests.create("/sites", email="alice"),
        ]
        for row in rows:
            assert row.created_utc.tzinfo is UTC
            assert abs(row.created_utc - datetime.now(UTC)) < timedelta(minutes=5)
        noon = datetime(2024, 2, 1, 12, tzinfo=UTC)
        postgresql.execute("UPDATE api_request SET created_utc = '2024-02-01 12:00Z'")
        postgresql.commit()
        for bound in (noon, noon.replace(tzinfo=None), noon.astimezone()):
            (asked,) = repo.api_requests.list_for_user("alice", start_utc=bound)
            assert (asked.created_utc, asked.created_utc.tzinfo) == (noon, UTC)
            assert repo.api_requests.list_for_user("alice", end_utc=bound) == []
        repo.generation.insert(reading_frame(site.site_uuid, start="2024-02-01 12:00", rows=1))
        (reading,) = repo.generation.read([site.site_uuid], start_utc=noon, end_utc=noon + timedelta(minutes=1))
        assert (reading.start_utc, reading.start_utc.tzinfo) == (noon, UTC)


def test_what_is_not_the_packages_to_explain_stays_as_it_is_with_a_note(dsn: str) -> None:
    with (
        Repository(dsn, min_size=1, kwargs={"options": "-c default_transaction_read_only=on"}) as repo,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as refusal,
    ):
        repo.clients.get_or_create("Sun")
    (note,) = refusal.value.__notes__
    assert note.endswith(os.path.join("clients", "get_or_create.sql"))  # noqa: PTH118 a part of a path


def test_get_or_create_only_reads_what_exists(repo: Repository, dsn: str) -> None:
    calls: dict[str, Callable[[Repository], object]] = {
        "users": lambda each: each.users.get_or_create("alice"),
        "site_groups": lambda each: each.site_groups.get_or_create("north"),
        "clients": lambda each: each.clients.get_or_create("Sun"),
        "ml_models": lambda each: each.ml_models.get_or_create("blend", version="1"),
    }
    with Repository(dsn, min_size=1, kwargs={"options": "-c default_transaction_read_only=on"}) as reader:
        for name, call in calls.items():
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                call(reader)
            created = call(repo)
            before = sum(query.count for query in reader.stats().queries.values())
            assert call(reader) == created
            ran = {query: stats.count for query, stats in reader.stats().queries.items()}
            assert sum(ran.values()) == before + 2, name  # engine/begin and one look
        assert reader.stats().retries == 0


def test_a_call_is_a_transaction_of_its_own(repo: Repository, postgresql: psycopg.Connection) -> None:
    repo.clients.get_or_create("Sun")
    assert postgresql.execute("SELECT client_name FROM clients").fetchall() == [("Sun",)]


def test_a_transaction_is_seen_inside_at_once_and_outside_at_its_end(repo: Repository) -> None:
    with repo.transaction() as tx, repo.transaction() as other:
        tx.clients.get_or_create("Sun")
        other.clients.get_or_create("Moon")
        assert (names(tx), names(other), names(repo)) == (["Sun"], ["Moon"], [])
    assert names(repo) == ["Moon", "Sun"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, NotFound])
def test_an_exception_rolls_everything_back(repo: Repository, kind: type[BaseException]) -> None:
    problem = kind("enough")

    def write(tx: Repository | Transaction) -> None:
        site = tx.sites.create()
        tx.generation.insert(reading_frame(site.site_uuid))
        tx.users.get_or_create("alice")
        raise problem

    with pytest.raises(kind) as raised:
        run(repo, write)
    assert raised.value is problem
    assert repo.sites.list() == repo.users.list() == repo.site_groups.list() == repo.generation.read() == []


FAILS: dict[str, tuple[type[Exception], Callable[[Transaction], object]]] = {
    "not_found": (NotFound, lambda tx: tx.users.delete("nobody")),
    "invalid_input": (InvalidInput, lambda tx: tx.sites.create(latitude="north")),
    "duplicate": (Duplicate, lambda tx: tx.site_groups.create("north")),
    "check_failed": (CheckFailed, lambda tx: tx.sites.create(latitude=91)),
    "group_in_use": (ConstraintError, lambda tx: tx.site_groups.delete("north")),
    "missing_reference": (MissingReference, lambda tx: tx.generation.insert(reading_frame(str(UUID(int=0))))),
}


@pytest.mark.parametrize(("error", "fail"), FAILS.values(), ids=FAILS)
def test_a_failed_call_leaves_the_rest_of_a_transaction_usable(
    repo: Repository, error: type[Exception], fail: Callable[[Transaction], object]
) -> None:
    with repo.transaction() as tx:
        tx.site_groups.create("north")
        before = tx.users.create("alice", site_group_name="north")
        with pytest.raises(error):
            fail(tx)
        after = tx.users.create("bob", site_group_name="north")
        assert tx.users.list() == [before, after]
    assert repo.users.list() == [before, after]
    assert repo.sites.list() == []


def test_a_transaction_has_the_same_surface_but_no_transaction(repo: Repository) -> None:
    with repo.transaction() as tx:
        assert isinstance(tx, Transaction)
        assert not hasattr(tx, "transaction")
        shown = {name: type(value) for name, value in vars(tx).items() if not name.startswith("_")}
    assert shown == {name: type(value) for name, value in vars(repo).items() if not name.startswith("_")}
    assert set(AGGREGATES) == set(shown)


@pytest.mark.parametrize("problem", [None, RuntimeError()], ids=["committed", "rolled_back"])
def test_a_transaction_is_refused_after_its_block(repo: Repository, problem: Exception | None) -> None:
    try:
        with repo.transaction() as tx:
            tx.clients.get_or_create("Sun")
            if problem:
                raise problem
    except RuntimeError:
        pass
    calls = (
        tx.clients.list,
        partial(tx.clients.get_or_create, "Moon"),
        partial(tx.generation.insert, reading_frame(str(UUID(int=0)))),
        tx.generation.read_frame,
    )
    for call in calls:
        with pytest.raises(PvsiteSqlError, match="the transaction has ended"):
            call()
    assert names(repo) == ([] if problem else ["Sun"])


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in_transaction"])
def test_a_constraint_that_is_checked_at_commit_is_explained_too(
    repo: Repository, site: Site, postgresql: psycopg.Connection, in_transaction: bool
) -> None:
    postgresql.execute("ALTER TABLE inverters ADD CONSTRAINT one UNIQUE (site_uuid) DEFERRABLE INITIALLY DEFERRED")
    postgresql.commit()
    first = repo.inverters.create(site_uuid=site.site_uuid)
    with pytest.raises(Duplicate) as refusal:
        run(repo, lambda inside: inside.inverters.create(site_uuid=site.site_uuid), in_transaction=in_transaction)
    assert refusal.value.constraint_name == "one"
    assert repo.inverters.list(site_uuid=site.site_uuid) == [first]


class Proxy(Thread):
    """Stands between clients and a server, and cuts a connection on which a client sends `word`."""

    def __init__(self, connection: psycopg.Connection) -> None:
        super().__init__(daemon=True)
        self._host, self._port = connection.info.host, connection.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.word = b""
        self.forward = False
        self.stopped = False

    def run(self) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        while not self.stopped:
            ready, _, _ = select.select([self._listener, *peers], [], [], 0.05)
            for source in ready:
                if source is self._listener:
                    client, server = self._listener.accept()[0], self._connect()
                    peers |= {client: server, server: client}
                elif source in peers and not self._relayed(source, peers[source]):
                    for one in (peers.pop(peers[source]), peers.pop(source)):
                        one.close()
        for one in (self._listener, *peers):
            one.close()

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return server

    def _relayed(self, source: socket.socket, target: socket.socket) -> bool:
        data = source.recv(1 << 16)
        cut = bool(self.word) and self.word in data
        if data and (self.forward or not cut):
            target.sendall(data)
        if cut:
            self.word = b""
            if self.forward:
                while not select.select([target], [], [], 0.05)[0]:  # until the server has done it
                    if select.select([source], [], [], 0)[0]:
                        target.sendall(source.recv(1 << 16))
        return bool(data) and not cut


@pytest.fixture
def proxy(postgresql: psycopg.Connection) -> Iterator[Proxy]:
    running = Proxy(postgresql)
    running.start()
    yield running
    running.stopped = True
    running.join()


CUTS = {
    "after_commit": (b"COMMIT", True, OutcomeUnknown, True),
    "before_commit": (b"COMMIT", False, OutcomeUnknown, False),
    "after_the_statement": (b"/* clients/get */", True, psycopg.OperationalError, False),
}


@pytest.mark.parametrize(("word", "forward", "kind", "stored"), CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in_transaction"])
def test_outcome_unknown_means_that_the_connection_died_in_commit(
    dsn: str, proxy: Proxy, in_transaction: bool, word: bytes, forward: bool, kind: type[Exception], stored: bool
) -> None:
    through = make_conninfo(dsn, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable")
    with Repository(through, min_size=1, max_size=1) as repo:
        assert names(repo) == []
        proxy.word, proxy.forward = word, forward
        if kind is psycopg.OperationalError and not in_transaction:  # lost before any answer: it is retried
            run(repo, lambda inside: inside.clients.get_or_create("Sun"), in_transaction=False)
            assert names(repo) == ["Sun"]
            assert repo.stats().retries == 1
            return
        with pytest.raises(kind) as refusal:
            run(repo, lambda inside: inside.clients.get_or_create("Sun"), in_transaction=in_transaction)
        if kind is OutcomeUnknown:
            assert str(refusal.value) == "the connection was lost between COMMIT and its answer"
            assert isinstance(refusal.value.__cause__, psycopg.OperationalError)
        else:
            assert "get.sql" in refusal.value.__notes__[0]
        assert names(repo) == (["Sun"] if stored else [])  # the pool goes on
