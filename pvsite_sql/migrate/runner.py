"""Applies the packaged migrations as `yoyo apply` does, and creates the partitions of the coming months."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, get_args
from urllib.parse import quote, urlencode

import psycopg
import yoyo
import yoyo.exceptions
from psycopg.conninfo import conninfo_to_dict
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

from ..engine import partitions
from ..engine.migrations import packaged_migrations
from ..engine.partitions import months_ahead
from ..engine.queries import folder
from ..engine.session import QueryConnection
from ..errors import PvsiteSqlError
from .locks import BlockingMonitor, describe_session

__all__ = ["RetryPolicy", "apply", "ensure_months_ahead", "yoyo_uri"]

T = TypeVar("T")

# statements that a migration needs to have run before, outside a transaction, so that its own locks are short
_PREPARATIONS = {"0003.forecasts-primary-key": "migrate/forecasts_pkey_indexes"}
_POLL_S = 0.2
_MAX_PAUSE_S = 10.0
_RETRYABLE = (  # the transaction was rolled back, and the next attempt may succeed
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a migration waits for locks and blocks other sessions, and how often it is retried.

    Attributes:
        lock_timeout_s: longest wait for a lock, and longest time to block another session.
        attempts: attempts for each step, with growing pauses from 0.5 to 10 seconds.
        wait_s: longest wait for another migrate or yoyo process.
        report: called with a message before each retry.
    """

    lock_timeout_s: float = 2.0
    attempts: int = 10
    wait_s: float = 60.0
    report: Callable[[str], object] = lambda _: None


def yoyo_uri(conninfo: str) -> str:
    """Return the yoyo URI for a libpq conninfo string or URL."""
    options = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    # no slash before the question mark: yoyo would read an empty database name and ignore PGDATABASE
    return f"postgresql+psycopg://?{urlencode(options, quote_via=quote)}"


def apply(conninfo: str, policy: RetryPolicy = RetryPolicy()) -> list[str]:
    """Apply the pending migrations, each completely and exactly once, even if an earlier call was killed.

    Returns:
        the ids of the applied migrations, in order.

    Raises:
        PvsiteSqlError: a migration did not get its locks, or another migration is running (the message names the
            blocking sessions; earlier migrations remain applied); the package was installed without its migrations;
            the user may not create yoyo's tables; the server is a standby.
    """
    migrations = yoyo.read_migrations(str(folder("migrations")))
    if not packaged_migrations() or len(migrations) != len(packaged_migrations()):
        raise PvsiteSqlError(f"no migrations in {folder('migrations')}: the installation of pvsite_sql is incomplete")
    try:
        with _user_name(), _Backend(parse_uri(yoyo_uri(conninfo)), default_migration_table) as backend:
            backend.prepare(policy, part="run")
            backend.init_database()
            with backend.lock():
                pending = backend.to_apply(migrations)
                for migration in pending:
                    failure = f"{migration.id} not applied"
                    if migration.id in _PREPARATIONS:
                        _with_retries(conninfo, policy, failure, partial(backend.prepare_for, migration))
                    _with_retries(conninfo, policy, failure, partial(backend.apply_and_mark, migration))
            return [migration.id for migration in pending]
    except psycopg.errors.UndefinedTable as error:
        if "yoyo_lock" not in str(error):
            raise
        # yoyo ignores the error of creating its lock table, and then does not find it
        raise PvsiteSqlError(
            "cannot create tables in the current schema: check search_path and the privileges of the user"
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise PvsiteSqlError("the server is a standby, or read-only: run this command on the primary server") from error
    except yoyo.exceptions.BadMigration as error:
        raise PvsiteSqlError(f"a migration cannot be read: {' '.join(map(str, error.args))}") from error


def ensure_months_ahead(conninfo: str, policy: RetryPolicy = RetryPolicy()) -> list[str]:
    """Create the partitions of this month and the next three, so that inserts rarely have to.

    Returns:
        the names of the new partitions.

    Raises:
        PvsiteSqlError: a table could not be locked; the message names the blocking sessions.
    """

    def ensure(parent: partitions.Parent, monitor: BlockingMonitor) -> list[str]:
        with psycopg.connect(conninfo) as connection, monitor.monitor(connection.info.backend_pid):
            return partitions.ensure(QueryConnection(connection), parent, months_ahead())

    created = []
    for parent in get_args(partitions.Parent):
        failure = f"partitions of {parent} not created"
        created += _with_retries(conninfo, policy, failure, lambda monitor: ensure(parent, monitor))  # noqa: B023
    return created


def _with_retries(conninfo: str, policy: RetryPolicy, failure: str, attempt: Callable[[BlockingMonitor], T]) -> T:
    number = 0
    while True:
        number += 1
        monitor = BlockingMonitor(conninfo, policy.lock_timeout_s)
        try:
            return attempt(monitor)
        except psycopg.Error as error:
            if not _is_retryable(error, monitor):
                raise
            reason = monitor.report() or " ".join(str(error).split())
            if number == policy.attempts:
                raise PvsiteSqlError(
                    f"{failure}: gave up after {number} attempt{'s' if number > 1 else ''} with a lock timeout of "
                    f"{policy.lock_timeout_s:g} s: {reason}"
                ) from error
        pause_s = min(2.0 ** (number - 2), _MAX_PAUSE_S)
        policy.report(f"{failure}: attempt {number} of {policy.attempts} failed, retrying in {pause_s:g} s: {reason}")
        time.sleep(pause_s)


def _is_retryable(error: BaseException, monitor: BlockingMonitor) -> bool:
    errors = [error]
    while (context := errors[-1].__context__) is not None:  # yoyo's rollback fails too if the connection is lost
        errors.append(context)
    if any(isinstance(each, psycopg.errors.AdminShutdown) for each in errors):  # an administrator ended the session
        return False
    return any(
        isinstance(each, _RETRYABLE)
        or (monitor.cancelled and isinstance(each, psycopg.errors.QueryCanceled))
        or (isinstance(each, psycopg.OperationalError) and each.sqlstate is None)  # connection lost
        for each in errors
    )


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo's backend with timeouts, and with a lock that a killed process does not leave behind.

    yoyo's lock is a row, which remains if its process is killed. Here the session that inserts the row also holds an
    advisory lock, which ends with the session. So the next holder of the advisory lock may replace the row.
    """

    _is_locked: bool

    def prepare(self, policy: RetryPolicy, part: str) -> None:
        """Set the timeouts and take the advisory lock of a part: "run" or "migration"."""
        self._policy = policy
        self._conn = QueryConnection(self.connection)
        self._set_timeouts(round(policy.lock_timeout_s * 1000))
        if not _poll(lambda: self._conn.values("migrate/try_lock", part=part)[0], policy.wait_s):
            holders = "; ".join(map(describe_session, self._conn.records("migrate/lock_holders", part=part)))
            raise PvsiteSqlError(f"another migration is still running after {policy.wait_s:g} s: {holders}")

    def copy(self) -> _Backend:
        """Return a session that applies a migration, after waiting for one that a killed process has left behind."""
        session: _Backend = super().copy()
        try:
            session.prepare(self._policy, part="migration")
        except BaseException:
            session.connection.close()
            raise
        return session

    def prepare_for(self, migration: Any, monitor: BlockingMonitor) -> None:
        """Run what a migration needs beforehand. A later run continues where an interrupted one stopped."""
        with (
            self.copy() as session,
            monitor.monitor(session.connection.info.backend_pid),
            session.disable_transactions(),
        ):
            for statement in QueryConnection(session.connection).values(_PREPARATIONS[migration.id]):
                try:
                    session.connection.execute(statement.encode())
                except psycopg.errors.UniqueViolation as error:
                    raise PvsiteSqlError(
                        f"{migration.id} not applied: {error.diag.message_primary}: {error.diag.message_detail} "
                        "Change or delete one of these rows, then run the command again"
                    ) from error

    def apply_and_mark(self, migration: Any, monitor: BlockingMonitor) -> None:
        """Apply a migration and mark it as applied, in one transaction if it is transactional.

        yoyo's own `apply_one` marks it in a second transaction.
        """
        try:
            if self.is_applied(migration):  # by an attempt that lost its connection during COMMIT
                return
        except psycopg.OperationalError as error:
            raise PvsiteSqlError(f"connection lost: {' '.join(str(error).split())}") from error
        migration.load()
        with (
            self.copy() as session,
            monitor.monitor(session.connection.info.backend_pid),
            session.transaction() if migration.use_transactions else nullcontext(),
        ):
            migration.process_steps(session, "apply")
            with session.transaction():
                session.log_migration(migration, "apply")
                session.mark_one(migration, log=False)

    def create_lock_table(self) -> None:
        """Create yoyo's lock table unless it exists. yoyo itself tries it every time and ignores the server's error."""
        if self.lock_table not in self.list_tables():
            super().create_lock_table()

    def _check_transactional_ddl(self) -> bool:
        """Return whether DDL can be rolled back. yoyo finds that out with a statement that fails."""
        return True

    @contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """Also disable the lock timeout: CREATE INDEX CONCURRENTLY waits for every transaction and blocks no one."""
        with super().disable_transactions():
            self._set_timeouts(0)
            yield
            self._set_timeouts(round(self._policy.lock_timeout_s * 1000))

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:  # noqa: ARG002  the policy has it
        """Hold yoyo's lock. yoyo calls this again for its own tables."""
        if self._is_locked:
            yield
            return
        if not _poll(self._take_lock, self._policy.wait_s):
            holder = next(iter(self._conn.records("migrate/yoyo_lock_holder")), {"pid": "?", "since_utc": "?"})
            raise PvsiteSqlError(
                f"Process {holder['pid']} has locked this database with yoyo since {holder['since_utc']}, possibly on "
                "another machine. If the process no longer exists, run `yoyo break-lock`"
            )
        self._is_locked = True
        try:
            yield
        finally:
            self._is_locked = False
            with suppress(psycopg.OperationalError):  # then the next holder of the advisory lock replaces the row
                self._conn.run("migrate/yoyo_lock_release")

    def _take_lock(self) -> bool:
        try:
            return bool(self._conn.values("migrate/yoyo_lock_take"))
        except psycopg.errors.LockNotAvailable:  # another session is inserting the row, or has locked the table
            return False

    def _set_timeouts(self, lock_timeout_ms: int) -> None:
        idle_timeout_ms = round(self._policy.lock_timeout_s * 1000)
        self._conn.records("migrate/set_timeouts", lock_timeout_ms=lock_timeout_ms, idle_timeout_ms=idle_timeout_ms)


def _poll(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


@contextmanager
def _user_name() -> Iterator[None]:
    """Give yoyo a user name to log. Without one, as for a uid without a name, it fails after applying a migration."""
    if any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        yield
        return
    os.environ["USER"] = "pvsite_sql"
    try:
        yield
    finally:
        del os.environ["USER"]
