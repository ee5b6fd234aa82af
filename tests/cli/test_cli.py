"""The command line: exit codes, sentences, and no traceback."""

import io
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from renku_spawner.cli.main import main
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.migrate import (
    downgrade_schema,
    get_head_schema_revision,
    get_schema_revision,
    upgrade_schema,
)
from tests.fixtures.ports import free_port

DATABASE = "jupyterhub.sqlite"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, folder: Path, **variables: str) -> Done:
    """`renku-spawner` as an admin types it in *folder*; without a process of its own, since that takes a second."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        for name in ("PORT", "DATA", "PASSWORD"):
            patch.setenv(name, variables.get(name, ""))
        code = _exit_code(list(arguments), err)
    return Done(code, out.getvalue(), err.getvalue())


def _exit_code(arguments: list[str], err: io.StringIO) -> int:
    """As Python itself ends: a text goes to stderr and is 1."""
    try:
        main(arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            err.write(f"{end.code}\n")
            return 1
        return end.code or 0
    return 0


def refusal(done: Done) -> str:
    """The one sentence on stderr of a command that failed."""
    assert (done.returncode, done.stdout) == (1, ""), done
    [line] = done.stderr.splitlines()
    return line.removeprefix("renku-spawner: ")


def set_revision(file: Path, revision: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE renku_alembic_version SET version_num = ?", (revision,))


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    """Where a hub's database is, with a table and a version of the hub's own."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection, connection:
        connection.executescript(
            "CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('alice');"
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('4621fec11365');"
        )
    return tmp_path


def test_a_hub_without_our_tables_is_told_how_to_get_them(hub_folder: Path) -> None:
    assert refusal(run("db", "check", folder=hub_folder)) == (
        "This database has no tables of Renku yet. Please run: renku-spawner db upgrade"
    )


def test_upgrade_makes_the_tables_and_check_agrees(hub_folder: Path) -> None:
    made = run("db", "upgrade", folder=hub_folder)
    assert (made.returncode, made.stdout) == (0, f"Renku's tables are at revision {get_head_schema_revision()}.\n")
    checked = run("db", "check", folder=hub_folder)
    assert (checked.returncode, checked.stdout) == (
        0,
        f"Renku's tables are up to date (revision {get_head_schema_revision()}).\n",
    )
    again = run("db", "upgrade", folder=hub_folder)
    assert (again.returncode, again.stdout) == (0, made.stdout)


def test_the_hubs_own_tables_and_version_are_left_alone(hub_folder: Path) -> None:
    run("db", "upgrade", folder=hub_folder)
    with closing(sqlite3.connect(hub_folder / DATABASE)) as connection:
        assert connection.execute("SELECT * FROM users").fetchall() == [("alice",)]
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("4621fec11365",)]


def test_another_database_can_be_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.sqlite"
    assert run("db", "upgrade", "--url", url, folder=tmp_path).returncode == 0
    assert get_schema_revision(url) == get_head_schema_revision()
    assert not (tmp_path / DATABASE).exists()


def test_a_postgresql_can_be_named_too(postgresql_url: str, tmp_path: Path) -> None:
    assert "no tables of Renku yet" in refusal(run("db", "check", "--url", postgresql_url, folder=tmp_path))
    assert run("db", "upgrade", "--url", postgresql_url, folder=tmp_path).returncode == 0
    assert run("db", "check", "--url", postgresql_url, folder=tmp_path).returncode == 0


def test_tables_that_were_taken_down_are_made_again(hub_folder: Path) -> None:
    url = f"sqlite:///{hub_folder / DATABASE}"
    upgrade_schema(url)
    downgrade_schema(url, "base")
    assert "no tables of Renku yet" in refusal(run("db", "check", folder=hub_folder))
    assert run("db", "upgrade", folder=hub_folder).returncode == 0
    assert run("db", "check", folder=hub_folder).returncode == 0


def test_a_step_back_that_loses_something_wants_a_yes(hub_folder: Path) -> None:
    run("db", "upgrade", folder=hub_folder)
    with closing(sqlite3.connect(hub_folder / DATABASE)) as connection, connection:
        connection.execute("INSERT INTO renku_builds VALUES ('7', 'main', 'r/i', '2026-11-24', 1, NULL, '{}')")
    words = "1 answers of GitLab about images of its CI; it is asked again after the next upgrade"
    refused = run("db", "downgrade", "0002", folder=hub_folder)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"renku-spawner: This would lose\n  {words}\nNothing was changed. Use --yes to downgrade all the same.\n"
    )
    done = run("db", "downgrade", "0002", "--yes", folder=hub_folder)
    assert (done.returncode, done.stdout) == (0, f"Lost: {words}\nRenku's tables are at revision 0002.\n")


@pytest.mark.parametrize("step", ["check", "upgrade"])
def test_tables_of_a_newer_release_are_refused(hub_folder: Path, step: str) -> None:
    upgrade_schema(f"sqlite:///{hub_folder / DATABASE}")
    set_revision(hub_folder / DATABASE, "9999")
    said = refusal(run("db", step, folder=hub_folder))
    assert said.startswith("Renku's tables are of revision 9999, which is newer than this release knows")
    assert "pip install --upgrade renku-spawner" in said


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://root:hunter2@db/hub", "Renku stores its data in SQLite or PostgreSQL, not in mysql."),
        ("foo//root:hunter2", "This is not a database URL, such as sqlite:///jupyterhub.sqlite."),
        ("sqlite://", "Renku needs a database file: each connection would see its own database in memory."),
    ],
)
@pytest.mark.parametrize("step", ["check", "upgrade"])
def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path, step: str, url: str, sentence: str) -> None:
    assert refusal(run("db", step, "--url", url, folder=tmp_path)) == sentence


def test_tables_are_not_made_where_no_file_can_be(tmp_path: Path) -> None:
    said = refusal(run("db", "upgrade", "--url", "sqlite:////nowhere/hub.sqlite", folder=tmp_path))
    assert said == "The database cannot be opened: unable to open database file"


@pytest.mark.parametrize("url", ["sqlite:///typo.sqlite", "sqlite:////nowhere/typo.sqlite", "typo.sqlite"])
def test_looking_at_a_database_that_is_missing_makes_none(tmp_path: Path, url: str) -> None:
    file = url.removeprefix("sqlite:///")
    said = refusal(run("db", "check", "--url", url, folder=tmp_path))
    assert said == f"There is no database {file}. Give its URL with --url."
    assert list(tmp_path.iterdir()) == []


def test_a_database_server_that_is_away_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://root:hunter2@127.0.0.1:{free_port()}/hub"
    said = refusal(run("db", "check", "--url", url, folder=tmp_path))
    assert said.startswith("The database cannot be opened: ")
    assert "hunter2" not in said


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_text("Dear diary, " * 100)
    said = refusal(run("db", "check", folder=tmp_path))
    assert said == "The database cannot be opened: file is not a database"


def test_the_command_that_is_installed_does_the_same(tmp_path: Path) -> None:
    command = ["renku-spawner", "db", "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert refusal(Done(done.returncode, done.stdout, done.stderr)).startswith("There is no database jupyterhub.sqlite")


@pytest.mark.parametrize(
    "arguments", [(), ("db",), ("db", "downgrade"), ("db", "back"), ("demo", "now"), ("db", "check", "--force")]
)
def test_what_is_no_command_is_refused_with_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: renku-spawner")
    assert list(tmp_path.iterdir()) == []


# ---- the demo's data -------------------------------------------------------------------------------------


def demo(folder: Path, *arguments: str, **variables: str) -> Done:
    return run("demo", *arguments, folder=folder, DATA=str(folder / "data"), **variables)


def projects(folder: Path) -> dict[str, tuple[str, int, list[str]]]:
    """Title, version and addresses of the repositories, by path."""
    database = Database(f"sqlite:///{folder}/data/{DATABASE}")
    with database.read() as tx:
        found = [tx.projects.get_by_path(path) for path in ("alice/alpine-snow", "alice/lake-ice")]
    database.dispose()
    return {p.path: (p.title, p.version, [r.url for r in p.repositories]) for p in found if p}


def test_preparing_twice_changes_nothing_and_keeps_what_somebody_changed(tmp_path: Path) -> None:
    assert demo(tmp_path, "--prepare").returncode == 0
    made = projects(tmp_path)
    assert set(made) == {"alice/alpine-snow", "alice/lake-ice"}
    heads = {path: (path / "HEAD").stat().st_mtime_ns for path in (tmp_path / "data" / "repositories").glob("*.git")}
    assert len(heads) == 4
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection, connection:
        connection.execute("UPDATE renku_projects SET title = 'Mine' WHERE path = 'alice/lake-ice'")
    assert demo(tmp_path, "--prepare").returncode == 0
    again = projects(tmp_path)
    assert again["alice/alpine-snow"] == made["alice/alpine-snow"]
    assert again["alice/lake-ice"][0] == "Mine"
    assert {path: (path / "HEAD").stat().st_mtime_ns for path in heads} == heads


def test_the_repositories_follow_the_port(tmp_path: Path) -> None:
    demo(tmp_path, "--prepare", PORT="9100")
    before = projects(tmp_path)
    demo(tmp_path, "--prepare", PORT="9200")
    urls = {path: said[2] for path, said in projects(tmp_path).items()}
    assert {url for each in urls.values() for url in each if not url.startswith("http://127.0.0.1:9203/")} == set()
    assert urls == {path: [url.replace("9103", "9203") for url in said[2]] for path, said in before.items()}


def test_reset_starts_over(tmp_path: Path) -> None:
    demo(tmp_path, "--prepare")
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as connection, connection:
        connection.execute("UPDATE renku_projects SET title = 'Mine'")
    (tmp_path / "data" / "sessions").mkdir(exist_ok=True)
    (tmp_path / "data" / "sessions" / "work").touch()
    assert demo(tmp_path, "--reset", "--prepare").returncode == 0
    assert "Mine" not in {title for title, *_ in projects(tmp_path).values()}
    assert not (tmp_path / "data" / "sessions" / "work").exists()


def test_reset_without_data_just_begins(tmp_path: Path) -> None:
    assert demo(tmp_path, "--reset", "--prepare").returncode == 0
    assert len(projects(tmp_path)) == 2


@pytest.mark.parametrize("arguments", [("--prepare",), ("--reset", "--prepare")])
def test_a_folder_that_is_not_the_demos_is_left_alone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("years of work")
    done = demo(tmp_path, *arguments)
    assert done.returncode == 1
    assert str(tmp_path / "data") in done.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["thesis.tex"]


def test_an_empty_folder_may_become_the_demos(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert demo(tmp_path, "--prepare").returncode == 0


@pytest.mark.parametrize("port", ["x", "-1", "0", "65533", "1e3", "8000 ", "\N{ARABIC-INDIC DIGIT EIGHT}", "9" * 5000])
def test_a_port_that_cannot_be_is_one_sentence_and_nothing_is_made(tmp_path: Path, port: str) -> None:
    said = refusal(demo(tmp_path, "--prepare", PORT=port))
    assert said == f"PORT is {port[:20]!r}; please give a number from 1 to 65532."
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("below", range(4))
def test_a_port_that_is_taken_is_named(tmp_path: Path, taken: int, below: int) -> None:
    first = taken - below
    said = refusal(demo(tmp_path, PORT=str(first)))
    needed = f"The demo needs ports {first} to {first + 3}"
    assert re.fullmatch(
        rf"Port \d+ cannot be used \(Address already in use\)\. {needed} and leaves other programs alone;"
        r" to choose other ports: PORT=9000",
        said,
    )
