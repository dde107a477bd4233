"""Applies the packaged migrations, as `yoyo apply` does, and makes the months ahead; neither keeps others waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
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
from .locks import Watch, described

__all__ = ["RetryPolicy", "apply", "ensure_months_ahead", "yoyo_uri"]

T = TypeVar("T")

_POLL_S = 0.2
_LONGEST_PAUSE_S = 10.0
_RETRYABLE = (  # after these, nothing of the transaction is left, and the next one may fare better
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a migration waits, and keeps others waiting.

    Attributes:
        lock_timeout_s: for a lock, and nobody else has to wait longer than that for the migration.
        attempts: how often each step is tried, with pauses that grow from half a second to ten.
        wait_s: for another migrator that is at work.
        report: is told, in a sentence, why a step is tried again.
    """

    lock_timeout_s: float = 2.0
    attempts: int = 10
    wait_s: float = 60.0
    report: Callable[[str], object] = lambda _: None


def yoyo_uri(conninfo: str) -> str:
    """The URI that yoyo wants, of whatever libpq takes."""
    options = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    # no slash before the question mark: yoyo would take it for a database without a name, and pass PGDATABASE over
    return f"postgresql+psycopg://?{urlencode(options, quote_via=quote)}"


def apply(conninfo: str, policy: RetryPolicy = RetryPolicy()) -> list[str]:
    """Apply the migrations that the database lacks, each whole and once, whatever ends the process in between.

    Returns:
        the ids of those that were applied, in their order.

    Raises:
        PvsiteSqlError: a migration did not get its locks, or another migrator is at work (it says who is in the way;
            the migrations before are applied); the package was installed without its migrations; yoyo has no right to
            make its tables.
    """
    migrations = yoyo.read_migrations(str(folder("migrations")))
    if not packaged_migrations() or len(migrations) != len(packaged_migrations()):
        raise PvsiteSqlError(f"no migrations in {folder('migrations')}: the package is not installed whole")
    try:
        with _user_name(), _Backend(parse_uri(yoyo_uri(conninfo)), default_migration_table) as backend:
            backend.prepare(policy, part="run")
            backend.init_database()
            with backend.lock():
                lacking = backend.to_apply(migrations)
                for migration in lacking:
                    step = f"{migration.id} is not applied"
                    _with_retries(conninfo, policy, step, lambda watch: backend.apply_whole(migration, watch))  # noqa: B023
            return [migration.id for migration in lacking]
    except psycopg.errors.UndefinedTable as error:
        if "yoyo_lock" not in str(error):
            raise
        # yoyo passes over a refusal to make the table of its lock, and looks for it in vain
        raise PvsiteSqlError("the user may not create tables in the schema that search_path leads to") from error
    except yoyo.exceptions.BadMigration as error:
        raise PvsiteSqlError(f"a migration cannot be read: {' '.join(map(str, error.args))}") from error


def ensure_months_ahead(conninfo: str, policy: RetryPolicy = RetryPolicy()) -> list[str]:
    """Make the partitions of this month and the next three, so that live traffic rarely has to.

    Returns:
        the names of those that were missing.

    Raises:
        PvsiteSqlError: a table's lock was not to be had; says who is in the way.
    """

    def ensure(parent: partitions.Parent, watch: Watch) -> list[str]:
        with psycopg.connect(conninfo) as connection, watch.over(connection.info.backend_pid):
            return partitions.ensure(QueryConnection(connection), parent, months_ahead())

    made = []
    for parent in get_args(partitions.Parent):
        step = f"The months ahead of {parent} are not made"
        made += _with_retries(conninfo, policy, step, lambda watch: ensure(parent, watch))  # noqa: B023
    return made


def _with_retries(conninfo: str, policy: RetryPolicy, step: str, attempt: Callable[[Watch], T]) -> T:
    number = 0
    while True:
        number += 1
        watch = Watch(conninfo, policy.lock_timeout_s)
        try:
            return attempt(watch)
        except psycopg.Error as error:
            if not _is_retryable(error, watch):
                raise
            why = watch.findings() or " ".join(str(error).split())
            if number == policy.attempts:
                raise PvsiteSqlError(
                    f"{step}: given up after {number} attempt{'s' if number > 1 else ''} with a lock timeout of "
                    f"{policy.lock_timeout_s:g} s: {why}"
                ) from error
        pause_s = min(2.0 ** (number - 2), _LONGEST_PAUSE_S)
        policy.report(
            f"{step}: attempt {number} of {policy.attempts} had to give way, the next one comes in {pause_s:g} s: {why}"
        )
        time.sleep(pause_s)


def _is_retryable(error: BaseException, watch: Watch) -> bool:
    reasons = [error]
    while (covered := reasons[-1].__context__) is not None:  # yoyo cannot roll back in a session that is gone
        reasons.append(covered)
    if any(isinstance(reason, psycopg.errors.AdminShutdown) for reason in reasons):  # somebody wants it gone
        return False
    return any(
        isinstance(reason, _RETRYABLE)
        or (watch.cancelled and isinstance(reason, psycopg.errors.QueryCanceled))
        or (isinstance(reason, psycopg.OperationalError) and reason.sqlstate is None)  # the session is lost
        for reason in reasons
    )


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo's, with timeouts, and with a lock that a process cannot leave behind.

    The lock of yoyo is a row that outlives its process. Here it is taken by a session that holds an advisory lock,
    which ends with it, and says so; whoever has the advisory lock may therefore take over such a row.
    """

    _is_locked: bool

    def prepare(self, policy: RetryPolicy, part: str) -> None:
        """Set the timeouts and take the advisory lock of this part of the work."""
        self._patience = policy
        self._conn = QueryConnection(self.connection)
        self._limit(round(policy.lock_timeout_s * 1000))
        if not _polled(policy.wait_s, lambda: self._conn.values("migrate/try_lock", part=part)[0]):
            holders = "; ".join(map(described, self._conn.records("migrate/lock_holders", part=part)))
            raise PvsiteSqlError(f"another migration is at work, for longer than {policy.wait_s:g} s: {holders}")

    def copy(self) -> _Backend:
        """A session that applies a migration; one that a killed process has left is waited for."""
        session: _Backend = super().copy()
        try:
            session.prepare(self._patience, part="migration")
        except BaseException:
            session.connection.close()
            raise
        return session

    def apply_whole(self, migration: Any, watch: Watch) -> None:
        """Apply a migration and mark it, in one transaction if it is transactional; `apply_one` marks it in another."""
        try:
            if self.is_applied(migration):  # by an attempt whose COMMIT was not answered
                return
        except psycopg.OperationalError as error:
            raise PvsiteSqlError(f"the connection is lost: {' '.join(str(error).split())}") from error
        migration.load()
        with (
            self.copy() as session,
            watch.over(session.connection.info.backend_pid),
            session.transaction() if migration.use_transactions else nullcontext(),
        ):
            migration.process_steps(session, "apply")
            with session.transaction():
                session.log_migration(migration, "apply")
                session.mark_one(migration, log=False)

    @contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """Without a lock timeout: CREATE INDEX CONCURRENTLY waits for every transaction, and keeps nobody waiting."""
        with super().disable_transactions():
            self._limit(0)
            yield
            self._limit(round(self._patience.lock_timeout_s * 1000))

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:  # noqa: ARG002  yoyo's; policy has it
        """Hold yoyo's lock. It is asked for again by yoyo itself, for its own tables."""
        if self._is_locked:
            yield
            return
        if not _polled(self._patience.wait_s, self._lock_taken):
            holder = next(iter(self._conn.records("migrate/yoyo_lock_holder")), {"pid": "?", "since_utc": "?"})
            raise PvsiteSqlError(
                f"Process {holder['pid']} has locked this database with yoyo since {holder['since_utc']}, on whichever "
                "machine. If it is no longer there, run `yoyo break-lock`"
            )
        self._is_locked = True
        try:
            yield
        finally:
            self._is_locked = False
            with suppress(psycopg.OperationalError):  # then the next migrator takes the row over
                self._conn.run("migrate/yoyo_lock_release")

    def _lock_taken(self) -> bool:
        try:
            return bool(self._conn.values("migrate/yoyo_lock_take"))
        except psycopg.errors.LockNotAvailable:  # somebody is about to take it, or has locked the table
            return False

    def _limit(self, lock_timeout_ms: int) -> None:
        idle_timeout_ms = round(self._patience.lock_timeout_s * 1000)
        self._conn.records("migrate/set_timeouts", lock_timeout_ms=lock_timeout_ms, idle_timeout_ms=idle_timeout_ms)


def _polled(wait_s: float, taken: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + wait_s
    while not taken():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


@contextmanager
def _user_name() -> Iterator[None]:
    """Give yoyo a user name to log; without one (containers that run as a bare uid) it fails after the fact."""
    if any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        yield
        return
    os.environ["USER"] = "pvsite_sql"
    try:
        yield
    finally:
        del os.environ["USER"]
