"""What is installed is whole: from the wheel, from the sdist, editable, and as a bare checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import pvsite_sql
from pvsite_sql import migrate
from pvsite_sql.engine.migrations import packaged_migrations

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDERS = ("pvsite_sql", "sql", "migrations", "tests", ".ci")
IGNORED = [line.rstrip("/") for line in (CHECKOUT / ".gitignore").read_text(encoding="utf-8").splitlines()]
PACKAGE = "package:pvsite_sql:migrations"

# Programs that run in other interpreters, from an empty folder.
WHERE = """
import pvsite_sql
from pvsite_sql.engine import migrations, queries
print(pvsite_sql.__file__, queries.folder("sql"), queries.folder("migrations"), sep="\\n")
print(len(queries.load()), *migrations.packaged_migrations())
"""
PROGRAM = """
import sys
from importlib.resources import files
import pandas as pd
from pvsite_sql import InsertResult, Repository
measured = pd.read_csv(files("pvsite_sql") / "demo" / "data" / "serf_east_15min_ac_power.csv")
start, rows = pd.to_datetime(measured["measured_on"]), len(measured)
with Repository(sys.argv[1]) as repo:
    site = repo.sites.create(latitude=39.742, longitude=-105.173, capacity_kw=6.0)
    frame = pd.DataFrame({"site_uuid": site.site_uuid, "start_utc": start, "power_kw": measured["ac_power"] / 1000})
    assert repo.generation.insert(frame) == InsertResult(inserted=rows)
    assert repo.generation.insert(frame) == InsertResult(skipped=rows)
    models, back, sums = repo.generation.read([site.site_uuid]), repo.generation.read_frame(), repo.generation.sums()
    for powers in ([m.generation_power_kw for m in models], [*back["generation_power_kw"]], [s.power_kw for s in sums]):
        assert powers == [*frame["power_kw"]]
    assert [m.start_utc for m in models] == [*back["start_utc"]] == [s.start_utc for s in sums] == [*start]
print(rows)
"""


@dataclass(frozen=True)
class Built:
    """A copy of the checkout, and what was built of it."""

    copy: Path
    wheel: Path
    sdist: Path


def _run(*command: str | Path, cwd: Path, python_path: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "PVSITE"))}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "USER": "somebody"}
    if python_path is not None:
        environment["PYTHONPATH"] = str(python_path)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _build(tree: Path, *targets: str) -> Path:
    """Build with the backend itself, which needs neither a front end nor an index; the folder of what was built."""
    options = [option for target in targets for option in ("-t", target)]
    _run(sys.executable, "-m", "hatchling", "build", *options, "-d", "built", cwd=tree)
    return tree / "built"


def _files(folder: Path, prefix: str) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"{prefix}/{path.relative_to(folder).as_posix()}" for path in paths}


def _venv(folder: Path) -> Path:
    """An empty venv that finds the dependencies, but not this package, where this interpreter has them; its Python."""
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    own = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # a path file's entries come after the venv's own packages, which is where the package under test has to be found
    Path(own, "dependencies.pth").write_text("\n".join(sorted(shared)), encoding="utf-8")
    return python


def _pip(python: Path, *arguments: str | Path) -> None:
    command = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
    )
    _run(*command, *arguments, cwd=python.parent)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    copy = tmp_path_factory.mktemp("checkout")
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns(*IGNORED))
    for path in CHECKOUT.iterdir():
        if path.is_file():
            shutil.copy2(path, copy)
    folder = _build(copy, "sdist", "wheel")
    return Built(copy, next(folder.glob("*.whl")), next(folder.glob("*.tar.gz")))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a venv elsewhere in which the wheel is installed."""
    python = _venv(tmp_path_factory.mktemp("elsewhere") / "venv")
    _pip(python, built.wheel)
    return python


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_under_tox_the_wheel_is_tested_and_else_it_or_this_checkout():
    site_packages = Path(sysconfig.get_path("purelib"))
    allowed = {site_packages} if "TOX_ENV_NAME" in os.environ else {site_packages, CHECKOUT}
    started = _run(sys.executable, "-c", "import pvsite_sql; print(pvsite_sql.__file__)", cwd=CHECKOUT).strip()
    assert {Path(pvsite_sql.__file__).parents[1], Path(started).parents[1]} <= allowed


def test_the_wheel_holds_the_package_its_data_the_sql_and_the_migrations_and_no_more(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = _files(built.copy / "pvsite_sql", "pvsite_sql")
    sql, migrations = (_files(built.copy / name, f"pvsite_sql/{name}") for name in ("sql", "migrations"))
    assert found == package | sql | migrations
    assert {"pvsite_sql/py.typed", "pvsite_sql/sql/README.md", "pvsite_sql/sql/generation/read.sql"} <= found
    assert any(name.startswith("pvsite_sql/demo/data/") for name in found)
    assert any(name.endswith(".rollback.sql") for name in migrations)


def test_the_sdist_holds_the_checkout_and_builds_the_same_wheel(built, tmp_path):
    with tarfile.open(built.sdist) as sdist:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not before Python 3.11.4
        sdist.extractall(tmp_path, **safely)
    (tree,) = tmp_path.iterdir()
    for name in FOLDERS:
        assert _files(tree / name, name) == _files(built.copy / name, name)
    for name in ("pyproject.toml", "tox.ini", ".sqlfluffignore", "README.md", "CHANGELOG.md", "LICENSE"):
        assert (tree / name).read_bytes() == (CHECKOUT / name).read_bytes()
    again = next(_build(tree, "wheel").glob("*.whl"))
    with zipfile.ZipFile(built.wheel) as one, zipfile.ZipFile(again) as other:
        assert {i.filename: i.CRC for i in one.infolist()} == {i.filename: i.CRC for i in other.infolist()}


def test_from_the_wheel_a_deploy_applies_and_a_program_stores_and_reads(installed, nowhere, empty_dsn):
    package, sql, migrations, loaded = _run(installed, "-c", WHERE, cwd=nowhere).splitlines()
    home = Path(package).parent
    assert home.is_relative_to(installed.parents[1])
    assert (Path(sql), Path(migrations)) == (home / "sql", home / "migrations")
    assert int(loaded.split()[0]) > 0

    apply = ("-m", "yoyo", "apply", "--batch", "--no-config-file", "-d", migrate.yoyo_uri(empty_dsn), PACKAGE)
    _run(installed, *apply, cwd=nowhere)
    assert int(_run(installed, "-c", PROGRAM, empty_dsn, cwd=nowhere)) > 5_000
    assert list(nowhere.iterdir()) == []


def test_the_wheel_brings_the_command(installed, nowhere, dsn):
    command = shutil.which("pvsite-sql", path=installed.parent)
    assert command is not None
    assert "generation_p" in _run(command, "migrate", "--dsn", dsn, cwd=nowhere)
    assert "No errors or warnings" in _run(command, "check", "--dsn", dsn, cwd=nowhere)


def test_an_editable_install_and_a_bare_checkout_find_the_sql_and_the_migrations(built, nowhere, tmp_path):
    python = _venv(tmp_path / "venv")
    _pip(python, "--no-build-isolation", "--editable", built.copy)
    seen = {
        _run(python, "-c", WHERE, cwd=nowhere),
        _run(sys.executable, "-c", WHERE, cwd=nowhere, python_path=built.copy),
    }
    ((package, sql, migrations, loaded),) = (text.splitlines() for text in seen)
    assert Path(package).parent == built.copy / "pvsite_sql"
    assert (Path(sql), Path(migrations)) == (built.copy / "sql", built.copy / "migrations")
    assert loaded.split()[1:] == packaged_migrations()
