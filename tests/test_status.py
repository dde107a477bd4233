"""Messages on the state of the service."""

from __future__ import annotations

import psycopg

from pvsite_sql import Repository


def test_there_is_no_latest_before_the_first(repo: Repository) -> None:
    assert repo.status.latest() is None


def test_latest_is_what_was_said_last(repo: Repository) -> None:
    for word in ("ok", "warning", "ok"):
        said = repo.status.create(word, message=f"It is {word}.")
        assert (said.status, said.message) == (word, f"It is {word}.")
        assert repo.status.latest() == said


def test_messages_of_one_transaction_keep_their_order(repo: Repository) -> None:
    with repo.transaction() as tx:
        first, last = (tx.status.create(word, message="") for word in ("warning", "ok"))
    assert first.created_utc < last.created_utc
    assert repo.status.latest() == last


def test_latest_goes_by_created_utc(repo: Repository, postgresql: psycopg.Connection) -> None:
    said = repo.status.create("ok", message="All is well.")
    postgresql.execute(
        "INSERT INTO status (status, message, created_utc) VALUES ('error', 'from a backup', now() - INTERVAL '1 day')"
    )
    postgresql.commit()
    assert repo.status.latest() == said
