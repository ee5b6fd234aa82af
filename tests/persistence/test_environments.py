"""Environments have immutable revisions; what is offered is what may be chosen."""

import pytest

from renku_spawner.domain.environments import (
    EnvironmentKind,
    EnvironmentState,
    NewEnvironment,
    NewRevision,
    RunConfiguration,
)
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import UniqueConflict

from .made import NOW, environment, later, project, revision

RUN = RunConfiguration(command=("jupyter", "lab"), arguments=("--x",), port=9999, uid=1000)


def test_an_environment_is_read_as_it_was_added(db: Database) -> None:
    new = NewEnvironment(
        name="Python ☃", description="two\nlines", keywords=("ML", "été"), icon="py", position=3, key="p"
    )
    with db.write() as tx:
        made = tx.environments.add(new, revision(run=RUN, commit="abc"), by="admin", now=NOW)
    assert (made.revision.number, made.revision.run, made.state) == (1, RUN, EnvironmentState.ACTIVE)
    with db.read() as tx:
        assert tx.environments.get(made.id) == made
        assert tx.environments.get_configured_by_key() == {"p": made}
        assert tx.environments.get("unknown") is None


def test_another_hub_reads_the_same(db: Database, tables_url: str) -> None:
    with db.write() as tx:
        made = environment(tx, keywords=("ML",))
    other = Database(tables_url)
    with other.read() as tx:
        assert tx.environments.get(made.id) == made
    other.dispose()


def test_a_revision_follows_and_the_earlier_one_stays(db: Database) -> None:
    with db.write() as tx:
        made = environment(tx)
        second = tx.environments.add_revision(made.id, NewRevision(image="b", repository="b"), by="bob", now=later(1))
    with db.read() as tx:
        assert tx.environments.get(made.id).revision == second
        assert tx.environments.list_revisions(made.id) == [second, made.revision]
        assert tx.environments.get_revision(made.revision.id) == made.revision
        assert tx.environments.get_revision("unknown") is None
    assert (second.number, second.created_by, second.digest, second.facts) == (2, "bob", None, {})


def test_a_description_changes_without_a_revision(db: Database) -> None:
    with db.write() as tx:
        made = environment(tx, keywords=("old",))
        tx.environments.update_description(
            made.id, NewEnvironment(name="R", description="new", keywords=("new",), position=9)
        )
        found = tx.environments.get(made.id)
        assert (found.name, found.description, found.keywords, found.position) == ("R", "new", ("new",), 9)
        assert found.revision == made.revision
        assert tx.environments.list_offered(keyword="new") == [found]
        assert tx.environments.list_offered(keyword="old") == []


def test_only_living_ones_for_everybody_are_offered_in_the_order_of_admins(db: Database) -> None:
    with db.write() as tx:
        last = environment(tx, "b", position=2)
        second = environment(tx, "B", position=1)
        first = environment(tx, "a", position=1, state=EnvironmentState.DEPRECATED)
        environment(tx, "draft", state=EnvironmentState.DRAFT)
        environment(tx, "gone", state=EnvironmentState.ARCHIVED)
        environment(tx, "own", kind=EnvironmentKind.EXTERNAL, project=project(tx).id)
        assert tx.environments.list_offered() == [first, second, last]


def test_keywords_are_of_what_is_offered_each_once(db: Database) -> None:
    with db.write() as tx:
        environment(tx, keywords=("ml", "Été"))
        environment(tx, keywords=("ml", "bio"))
        environment(tx, keywords=("hidden",), state=EnvironmentState.DRAFT)
        assert tx.environments.list_keywords() == ["bio", "ml", "Été"]


@pytest.mark.parametrize(
    ("keyword", "search", "found"),
    [
        ("ml", "", ["a", "b"]),
        ("ML", "", ["a", "b"]),
        ("m", "", []),
        ("m_", "", []),
        ("%", "", []),
        ("100%", "", ["b"]),
        (None, "DEEP", ["a"]),
        (None, "100%", ["b"]),
        ("ml", "learn", ["a", "b"]),
        ("deep learning", "b", []),
        ("ml\x1f100%", "", []),
    ],
)
def test_keywords_are_matched_whole_and_searches_in_part(
    db: Database, keyword: str | None, search: str, found: list[str]
) -> None:
    with db.write() as tx:
        environment(tx, "a", description="learn", keywords=("deep learning", "ml"))
        environment(tx, "b", description="learn", keywords=("ml", "100%"))
        environment(tx, "c", description="nothing")
        assert [e.name for e in tx.environments.list_offered(keyword, search)] == found


def test_a_state_says_what_comes_instead(db: Database) -> None:
    with db.write() as tx:
        old, new = environment(tx, "old"), environment(tx, "new")
        tx.environments.set_state(old.id, EnvironmentState.DEPRECATED, new.id, "Please move.", now=NOW)
        found = tx.environments.get(old.id)
    assert (found.state, found.successor, found.message) == (EnvironmentState.DEPRECATED, new.id, "Please move.")


def test_a_key_of_the_configuration_stands_for_one_environment(db: Database) -> None:
    with pytest.raises(UniqueConflict) as clash, db.write() as tx:
        environment(tx, key="python")
        environment(tx, key="python")
    assert clash.value.what == "key"


def test_only_so_many_revisions_are_remembered(db: Database) -> None:
    with db.write() as tx:
        made = environment(tx)
        for number in range(300):
            tx.environments.add_revision(made.id, revision(tag=str(number)), by="a", now=NOW)
        ids = [one.id for one in tx.environments.list_revisions(made.id)]
        assert [tx.environments.get_revision(id).tag for id in ids] == [*map(str, reversed(range(300))), "7"]
        assert [tx.environments.get_revision(id).tag for id in ids] == [*map(str, reversed(range(300))), "7"]
    assert len(db._known._found) == 256
