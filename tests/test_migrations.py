"""The migrations as files: linted, unchanged since their release, each with a rollback, read by yoyo as they look."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from difflib import get_close_matches
from pathlib import Path

import psycopg
import pytest
from test_schema import _catalog
from yoyo.migrations import read_migrations, read_sql_migration

from pvsite_sql import PvsiteSqlError, migrate
from pvsite_sql.engine import migrations
from pvsite_sql.engine.queries import folder
from pvsite_sql.migrate import runner

MIGRATIONS = folder("migrations")
NAMES = migrations.packaged_migrations()
RELEASED = Path(__file__).with_name("migrations.sha256")
CONFIG = Path(__file__).parents[1] / ".squawk.toml"
SQUAWK = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
NAME = re.compile(r"(\d{4})\.[a-z0-9]+(-[a-z0-9]+)*")
DIRECTIVE = re.compile(r"-- (?:depends: \d\S*(?: \d\S*)*|transactional: (?:true|false))")
COMMENT = re.compile(r"\s*(?:--|/\*)[\s*-]*(?P<word>[A-Za-z]\w*)\s*(?P<sign>[:=]?)\s*(?P<rest>.*)")
VALUE = re.compile(r"(?:\d{4}\.\S+|true|false)(?:[\s,]+(?:\d{4}\.\S+|true|false))*\W*")
BUILDS = re.compile(r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)


def complaints(path: Path, before: list[str]) -> list[str]:
    """What is wrong with a migration whose predecessors are these; yoyo passes most of it over."""
    rollback = path.with_suffix(".rollback.sql")
    text = path.read_text(encoding="utf-8")
    found = []
    meant = {"depends": "", "transactional": "true"}
    for number, line in enumerate(text.splitlines(), start=1):
        if DIRECTIVE.fullmatch(line):
            key, _, value = line.removeprefix("-- ").partition(": ")
            meant[key] = value
        elif _looks_like_a_directive(line):
            found.append(f"{path.name}:{number}: neither `-- depends: <id>` nor `-- transactional: false`: {line}")
    read = {"depends": "", "transactional": "true"} | read_sql_migration(str(path))[0]
    found += [f"{path.name}: yoyo does not read `{key}: {meant[key]}`" for key in meant if read[key] != meant[key]]
    if meant["depends"].split() != before[-1:]:
        found.append(f"{path.name}: depends on {meant['depends'] or 'nothing'}, not on {before[-1:] or 'nothing'}")
    if not NAME.fullmatch(path.stem) or path.stem[:4] != f"{len(before) + 1:04}":
        found.append(f"{path.name}: not called {len(before) + 1:04}.some-words.sql")
    if not rollback.is_file():
        return [*found, f"{path.name}: has no rollback, {rollback.name}"]
    undoing = rollback.read_text(encoding="utf-8")
    if any(DIRECTIVE.fullmatch(line) or _looks_like_a_directive(line) for line in undoing.splitlines()):
        found.append(f"{rollback.name}: yoyo takes the directives from the migration alone")
    for index in BUILDS.findall(text):  # one that was interrupted is there, and is not valid
        if f"DROP INDEX CONCURRENTLY IF EXISTS {index};" not in text.partition(f" {index} ON")[0]:
            found.append(
                f"{path.name}: {index} is not dropped first, so a second run keeps what an interrupted one left"
            )
    return found


def _looks_like_a_directive(line: str) -> bool:
    comment = COMMENT.match(line)
    if comment is None or not get_close_matches(comment["word"].lower(), ["depends", "transactional"], cutoff=0.7):
        return False
    return bool(comment["sign"] or VALUE.fullmatch(comment["rest"]))


def changed(migrations: Path) -> list[str]:
    """What differs from the sums of the released files."""
    sums = dict(reversed(line.split("  migrations/")) for line in RELEASED.read_text(encoding="utf-8").splitlines())
    there = {
        path.name: hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for path in sorted(migrations.glob("*.sql"))
    }
    return [name for name in {**sums, **there} if sums.get(name) != there.get(name)]


def squawk(*paths: Path) -> tuple[int, str]:
    assert SQUAWK is not None, "the group `test` brings squawk"
    done = subprocess.run(
        [SQUAWK, "--config", CONFIG, "--reporter", "gcc", *paths], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """The migrations, in a folder of the test's own, where `migrate` looks for them."""
    copy = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, copy)
    for module in (migrations, runner):
        monkeypatch.setattr(module, "folder", lambda name: copy if name == "migrations" else folder(name))
    return copy


def test_there_is_nothing_but_migrations_their_rollbacks_and_the_guide():
    files = {f"{name}{ending}" for name in NAMES for ending in (".sql", ".rollback.sql")}
    assert {path.name for path in MIGRATIONS.iterdir()} == {*files, "README.md"}
    assert [migration.id for migration in read_migrations(str(MIGRATIONS))] == NAMES


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_is_read_by_yoyo_as_it_looks(position):
    assert complaints(MIGRATIONS / f"{NAMES[position]}.sql", NAMES[:position]) == []


def test_released_migrations_have_not_changed(copied):
    assert changed(copied) == [], "databases have applied them; of a new one, add the sums (migrations/README.md)"
    path = copied / f"{NAMES[0]}.sql"
    path.write_bytes(path.read_bytes() + b"\n")
    (copied / f"{NAMES[0]}.rollback.sql").unlink()
    (copied / "9999.new.sql").touch()
    assert sorted(changed(copied)) == [f"{NAMES[0]}.rollback.sql", f"{NAMES[0]}.sql", "9999.new.sql"]


def test_squawk_has_nothing_to_say():
    assert squawk(*(MIGRATIONS / f"{name}.sql" for name in NAMES)) == (0, "")


GOOD = "-- depends: 0001.first\n-- What it does.\nALTER TABLE sites ADD COLUMN IF NOT EXISTS note text;\n"
INDEX = """-- depends: 0001.first
-- transactional: false
-- squawk-disable-assume-in-transaction
DROP INDEX CONCURRENTLY IF EXISTS sites_gsp_idx;
CREATE INDEX CONCURRENTLY IF NOT EXISTS sites_gsp_idx ON sites (gsp);
"""


@pytest.mark.parametrize("good", [GOOD, INDEX])
def test_what_is_right_is_let_through(tmp_path, good):
    path = planted(tmp_path, good)
    assert complaints(path, ["0001.first"]) == []
    assert squawk(path) == (0, "")


def planted(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "0002.second.sql"
    path.write_text(text)
    path.with_suffix(".rollback.sql").write_text("SELECT 1;\n")
    return path


@pytest.mark.parametrize(
    "line",
    [
        "-- depend: 0001.first",
        "-- depends 0001.first",
        "--depends 0001.first",
        "--depends: 0001.first",
        "-- Depends: 0001.first",
        "-- dependson: 0001.first",
        "-- depnds: 0001.first",
        "-- depends = 0001.first",
        "/* depends: 0001.first */",
        "-- depends:",
        "-- depends: 0003.third",
        "",
    ],
)
def test_a_dependency_that_yoyo_would_not_see_is_found(tmp_path, line):
    path = planted(tmp_path, GOOD.replace("-- depends: 0001.first", line))
    assert complaints(path, ["0001.first"])


@pytest.mark.parametrize(
    "line",
    [
        "-- transactional: no",
        "-- transactional false",
        "-- transactional=false",
        "-- transactionl: false",
        "-- transaction: false",
        "-- Transactional: false",
        "/* transactional: false */",
    ],
)
def test_a_transaction_that_yoyo_would_make_after_all_is_found(tmp_path, line):
    assert complaints(planted(tmp_path, INDEX.replace("-- transactional: false", line)), ["0001.first"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("-- depends: 0001.first\n", "") + "-- depends: 0001.first\n", "yoyo does not read `depends"),
        ("SELECT 1;\n" + INDEX, "yoyo does not read `transactional"),
        ("/* What it does. */\n" + GOOD, "yoyo does not read `depends"),
        (INDEX.replace("DROP INDEX", "-- DROP INDEX").replace("-- DROP", "SELECT 1; -- no"), "is not dropped first"),
    ],
)
def test_a_directive_that_stands_too_late_is_found(tmp_path, text, said):
    assert said in "\n".join(complaints(planted(tmp_path, text), ["0001.first"]))


def test_a_rollback_that_lacks_or_has_directives_is_found(tmp_path):
    path = planted(tmp_path, GOOD)
    rollback = path.with_suffix(".rollback.sql")
    rollback.write_text("-- transactional: false\nSELECT 1;\n")
    assert complaints(path, ["0001.first"]) == [
        "0002.second.rollback.sql: yoyo takes the directives from the migration alone"
    ]
    rollback.unlink()
    assert complaints(path, ["0001.first"]) == ["0002.second.sql: has no rollback, 0002.second.rollback.sql"]


def test_a_number_that_is_not_the_next_is_found(tmp_path):
    text = GOOD.replace("0001.first", "0002.second")
    assert "not called 0003." in complaints(planted(tmp_path, text), ["0001.first", "0002.second"])[0]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE sites ADD COLUMN IF NOT EXISTS note text NOT NULL;", "adding-required-field"),
        ("CREATE INDEX IF NOT EXISTS sites_gsp_idx ON sites (gsp);", "require-concurrent-index-creation"),
        (
            "SELECT 1;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON sites (gsp);",
            "ban-concurrent-index-creation-in-transaction",
        ),
        ("ALTER TABLE sites ALTER COLUMN gsp TYPE bigint USING gsp::bigint;", "changing-column-type"),
    ],
)
def test_squawk_finds_what_would_keep_others_waiting(tmp_path, statement, rule):
    code, said = squawk(planted(tmp_path, f"-- depends: 0001.first\n{statement}\n"))
    assert (code, rule in said) == (1, True), said


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_stands_a_second_run(empty_dsn, empty_database, copied, position):
    """As after a plain yoyo that was killed between a migration and its mark."""
    for later in NAMES[position + 1 :]:
        (copied / f"{later}.sql").unlink()
    assert migrate.apply(empty_dsn) == NAMES[: position + 1]
    once = _catalog(empty_database)
    empty_database.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [NAMES[position]])
    empty_database.commit()
    assert migrate.apply(empty_dsn) == [NAMES[position]]
    assert _catalog(empty_database) == once


MODES = {
    "ShareLock": "SHARE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}
HELD = """
    SELECT c.relname, l.mode FROM pg_locks AS l INNER JOIN pg_class AS c ON l.relation = c.oid
    WHERE l.pid = pg_backend_pid() AND l.granted AND c.oid = ANY (%s)
"""


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_locks_what_the_guide_says(empty_dsn, empty_database, copied, position):
    text = (copied / f"{NAMES[position]}.sql").read_text(encoding="utf-8")
    for later in NAMES[position:]:
        (copied / f"{later}.sql").unlink()
    if position:
        migrate.apply(empty_dsn)
    oids = [
        oid for (oid,) in empty_database.execute("SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    ]
    empty_database.execute(text)
    locks = empty_database.execute(HELD, [oids]).fetchall()
    strength = list(MODES)
    strongest = dict(sorted((lock for lock in locks if lock[1] in MODES), key=lambda lock: strength.index(lock[1])))
    taken = sorted(f"{MODES[mode]} on `{table}`" for table, mode in strongest.items())
    assert _locks_of_the_guide()[NAMES[position]] == (", ".join(taken) or "none")


def _locks_of_the_guide() -> dict[str, str]:
    guide = (folder("sql") / "README.md").read_text(encoding="utf-8")
    section = guide.partition("\n## Which locks a migration takes\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\d{4}\.[^`]+)` \| ([^|]+?) \|", section, re.MULTILINE))


def test_the_guide_names_every_migration():
    assert list(_locks_of_the_guide()) == NAMES


def test_an_invalid_migration_is_said_in_a_sentence(dsn, copied):
    (copied / "0900.later.sql").write_text("-- depends: 0899.nothing\nSELECT 1;\n")
    (copied / "0900.later.rollback.sql").write_text("SELECT 1;\n")
    with pytest.raises(PvsiteSqlError, match=r"a migration cannot be read: .*0900\.later\.sql"):
        migrate.apply(dsn)


def test_a_failing_migration_is_taken_back_and_says_what_the_server_said(dsn, postgresql, copied):
    (copied / "0900.later.sql").write_text(f"-- depends: {NAMES[-1]}\nCREATE TABLE half ();\nSELECT 1 / 0;\n")
    (copied / "0900.later.rollback.sql").write_text("SELECT 1;\n")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.apply(dsn)
    assert postgresql.execute("SELECT to_regclass('half'), (SELECT count(*) FROM yoyo_lock)").fetchone() == (None, 0)
