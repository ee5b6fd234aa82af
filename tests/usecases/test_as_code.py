"""A project's sessions as a document: exported, looked at, and applied all at once or not at all."""

import asyncio
import gc
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person, Role, Visibility
from renku_spawner.domain.environments import (
    Environment,
    EnvironmentState,
    ManagedEnvironmentChange,
    NewManagedEnvironment,
    NewOwnImage,
    RunOverrides,
)
from renku_spawner.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject, NewRepository, Project, ProjectChange, ProjectMember
from renku_spawner.domain.resource_classes import ResourceClass, ResourceRequirements
from renku_spawner.domain.session_files import (
    SessionsDocument,
    build_sessions_document,
    parse_yaml,
    render_document_yaml,
)
from renku_spawner.domain.sessions import NewSession, Session, SessionChange, SessionConfiguration
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from renku_spawner.lifecycle.runs import record_stopped, request_start, request_stop
from renku_spawner.usecases.environments import add_managed_environment, change_managed_environment
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.usecases.projects import change_project, create_project, get_project
from renku_spawner.usecases.session_files import (
    PlanStepKind,
    SessionFilePlan,
    apply_session_file,
    export_session_file,
    plan_session_file,
)
from renku_spawner.usecases.sessions import add_session, change_session, choose_revision
from renku_spawner.web.session_files import read_session_file_body, render_session_file
from tests.fixtures import fair
from tests.fixtures.registry import Registry, registry

__all__ = ["registry"]
T = TypeVar("T")
ROOT, ADA, BOB, EVE = Person(name="root", admin=True), Person(name="ada"), Person(name="bob"), Person(name="eve")
CLASS = ResourceClass(name="small", cpu="4", memory="8Gi", disk="50Gi")
PYTHON = NewManagedEnvironment(name="Python", image="quay.io/a/python:1", state=EnvironmentState.ACTIVE)
ADD, CHANGE, SAME, REMOVE, LEAVE = (
    PlanStepKind.ADD,
    PlanStepKind.CHANGE,
    PlanStepKind.SAME,
    PlanStepKind.REMOVE,
    PlanStepKind.LEAVE,
)


@pytest.fixture
def house(parts: AppContext) -> AppContext:
    return replace(parts, policy=HubPolicy(classes=(CLASS,)))


async def project(house: AppContext, **more: Any) -> Project:
    said = {"path": "ada/climate", "title": "Climate", "visibility": Visibility.PUBLIC} | more
    made = await create_project(house, ADA, NewProject(**said))
    members = (
        ProjectMember(kind="user", name="ada", role=Role.OWNER),
        ProjectMember(kind="user", name="bob", role=Role.EDITOR),
    )
    return await change_project(house, ADA, made.id, ProjectChange(version=made.version, members=members))


async def python(house: AppContext) -> Environment:
    return await add_managed_environment(house, ROOT, PYTHON)


def described(text: str) -> SessionsDocument:
    return build_sessions_document(parse_yaml(f"version: 1\nsessions:\n{text}".encode()))


def one(title: str = "Analysis", environment: str = "ready_made: Python", more: str = "") -> str:
    return f"- title: {title}\n  environment: {{{environment}}}\n{more}"


def kinds(plan: SessionFilePlan) -> list[tuple[str, PlanStepKind]]:
    return [(step.title, step.kind) for step in plan.steps]


def said(plan: SessionFilePlan) -> dict[str, tuple[str, str]]:
    return {each.field: (each.old, each.new) for step in plan.steps for each in step.differences}


async def there(house: AppContext, where: Project) -> list[Session]:
    with house.db.read() as tx:
        return tx.sessions.list_for_project(where.id)[0]


async def exported(house: AppContext, where: Project) -> str:
    return render_document_yaml((await export_session_file(house, EVE, where.id))[1])


def of_file(text: str) -> SessionsDocument:
    return build_sessions_document(parse_yaml(text.encode()))


async def look(house: AppContext, where: Project, wanted: SessionsDocument, **more: Any) -> SessionFilePlan:
    return await plan_session_file(house, ADA, where.id, wanted, **more)


async def do(house: AppContext, where: Project, wanted: SessionsDocument, **more: Any) -> SessionFilePlan:
    return await apply_session_file(house, ADA, where.id, wanted, **more)


async def test_what_is_exported_makes_the_same_project_and_then_changes_nothing(house: AppContext) -> None:
    await python(house)
    clones = (NewRepository(url="https://example.org/code.git"), NewRepository(url="https://example.org/data.git"))
    first = await project(house, repositories=clones)
    needs = ResourceRequirements(cpu="2", memory="4Gi", disk="5Gi")
    wanted = SessionConfiguration(needs=needs, repositories=("code",), variables={"MODE": "yes", "A": ""})
    with house.db.read() as tx:
        offered = tx.environments.list_offered()[0].id
    await add_session(house, ADA, first.id, NewSession(environment=offered, title="One", description="Two\n\nlines"))
    run = RunOverrides(port=9000, command=("jupyter", "lab"), default_url="/x")
    own = NewOwnImage(image="quay.io/x/y:3", name="Mine", run=run)
    await add_session(house, ADA, first.id, NewSession(image=own, title="Two", configuration=wanted, default=True))
    text = await exported(house, first)
    second = await project(house, path="ada/copy", repositories=clones)
    done = await apply_session_file(house, BOB, second.id, of_file(text))
    assert kinds(done) == [("One", ADD), ("Two", ADD)]
    assert await exported(house, second) == text.replace("project: ada/climate", "project: ada/copy")
    for where in (first, second):
        again = await apply_session_file(house, BOB, where.id, of_file(text))
        assert (kinds(again), again.has_changes) == ([("One", SAME), ("Two", SAME)], False)
    _, two = await there(house, second)
    assert (two.configuration, two.environment.name, two.revision.run.port) == (wanted, "Mine", 9000)
    assert (await get_project(house, ADA, second.id)).default_session == two.id


async def test_the_first_of_several_becomes_the_default_where_there_is_none(house: AppContext) -> None:
    await python(house)
    where = await project(house)
    await do(house, where, described(one("A") + one("B")))
    assert (await get_project(house, ADA, where.id)).default_session == (await there(house, where))[0].id


async def test_only_what_is_said_changes_and_a_look_changes_nothing(house: AppContext) -> None:
    made = await python(house)
    where = await project(house)
    old = NewSession(
        environment=made.id,
        title="Analysis",
        description="Old",
        configuration=SessionConfiguration(variables={"A": "1"}),
    )
    before = await add_session(house, ADA, where.id, old)
    wanted = described(one("ANALYSIS", more="  configuration: {cpu: 2, variables: {B: 2}}\n") + one("New"))
    planned = await look(house, where, wanted)
    assert await there(house, where) == [before]
    assert kinds(planned) == [("ANALYSIS", CHANGE), ("New", ADD)]
    changed = {
        "title": ("Analysis", "ANALYSIS"),
        "cpu": ("500m", "2"),
        "variables.A": ("1", ""),
        "variables.B": ("", "2"),
    }
    assert said(planned) == changed | {
        "environment": ("", "Python"),
        "needs": ("", "0.5 CPU, 1 GiB memory, 1 GiB disk"),
    }
    await do(house, where, wanted)
    after, _ = await there(house, where)
    assert (after.title, after.description, after.configuration.variables) == ("ANALYSIS", "Old", {"B": "2"})
    assert after.version == before.version + 1


async def test_a_session_that_was_called_otherwise_is_renamed_once(house: AppContext) -> None:
    await python(house)
    where = await project(house)
    await do(house, where, described(one("Old")))
    (before,) = await there(house, where)
    renamed = described(one("New", more="  was: old\n"))
    assert said(await do(house, where, renamed)) == {"title": ("Old", "New")}
    assert kinds(await do(house, where, renamed)) == [("New", SAME)]
    assert [each.id for each in await there(house, where)] == [before.id]
    twice = await plan_session_file(
        house, ADA, where.id, described(one("A", more="  was: New\n") + one("B", more="  was: New\n"))
    )
    assert list(twice.refusals) == ["sessions.1"]


async def test_what_is_not_named_stays_and_goes_only_when_nobody_else_has_data_in_it(house: AppContext) -> None:
    await python(house)
    where = await project(house)
    await do(house, where, described(one("A") + one("B") + one("C")))
    _, used, own = await there(house, where)
    for person, session in ((EVE, used), (ADA, own)):
        await request_start(house, await prepare_launch_spec(house, person, session.id))
        await request_stop(house, person.name, session.id, ended_reason="stopped_by_user")
        await record_stopped(house, person.name, session.id)
    kept = described(one("D"))
    assert kinds(await look(house, where, kept)) == [
        ("D", ADD),
        ("A", LEAVE),
        ("B", LEAVE),
        ("C", LEAVE),
    ]
    done = await do(house, where, kept, prune=True)
    assert kinds(done) == [("D", ADD), ("A", REMOVE), ("B", LEAVE), ("C", REMOVE)]
    assert "Other people have data in it" in done.steps[2].notes[0]
    assert [each.title for each in await there(house, where)] == ["B", "D"]
    assert (await get_project(house, ADA, where.id)).default_session == used.id


async def test_a_variable_that_looks_secret_is_in_no_file_and_survives_an_apply(house: AppContext) -> None:
    made = await python(house)
    where = await project(house)
    configuration = SessionConfiguration(variables={"API_TOKEN": "hunter2", "A": "1"})
    new = NewSession(environment=made.id, title="S", configuration=configuration, allow_secret=True)
    await add_session(house, ADA, where.id, new)
    text = await exported(house, where)
    assert "hunter2" not in text
    assert "API_TOKEN of session 1" in text
    assert not (await do(house, where, of_file(text))).has_changes
    other = text.replace("A: '1'", "A: '2'")
    assert said(await do(house, where, of_file(other))) == {"variables.A": ("1", "2")}
    assert (await there(house, where))[0].configuration.variables == {"API_TOKEN": "hunter2", "A": "2"}
    new = described(one("S", more="  configuration: {variables: {API_TOKEN: hunter3}}\n"))
    planned = await look(house, where, new)
    assert said(planned)["variables.API_TOKEN"] == ("•••", "•••")
    assert "API_TOKEN: all people in the project can read" in planned.steps[0].notes[0]


async def test_which_storages_a_session_gets_is_kept_and_said(house: AppContext) -> None:
    made = await python(house)
    where = await project(house)
    none = SessionConfiguration(storages=())
    before = await add_session(house, ADA, where.id, NewSession(environment=made.id, title="S", configuration=none))
    assert "storages: []" in await exported(house, where)
    await do(house, where, described(one("S", more="  configuration: {cpu: 2}\n")))
    (after,) = await there(house, where)
    assert (after.configuration.storages, after.version) == ((), before.version + 1)
    everything = described(one("S", more="  configuration: {storages: all}\n"))
    assert said(await do(house, where, everything)) == {"storages": ("none", "all")}
    assert (await there(house, where))[0].configuration.storages is None


async def test_who_may_not_change_the_project_is_told_and_changes_nothing(house: AppContext) -> None:
    await python(house)
    where, hidden = await project(house), await project(house, path="ada/hidden", visibility=Visibility.PRIVATE)
    wanted = described(one())
    planned = await plan_session_file(house, EVE, where.id, wanted)
    assert planned.forbidden
    assert kinds(planned) == [("Analysis", ADD)]
    with pytest.raises(ForbiddenError):
        await apply_session_file(house, EVE, where.id, wanted)
    for call in (plan_session_file, apply_session_file):
        with pytest.raises(NotFoundError):
            await call(house, EVE, hidden.id, wanted)
    with pytest.raises(NotFoundError):
        await export_session_file(house, EVE, hidden.id)
    assert await there(house, where) == []


NO_DIGEST = f"'sha256:{'0' * 64}'"
REFUSED = {
    "an environment that is not offered": (one(environment="ready_made: R"), "environment.ready_made"),
    "a content that it never had": (one(environment=f"ready_made: Python, digest: {NO_DIGEST}"), "environment.digest"),
    "an image that is none": (one(environment="image: A B"), "environment.image"),
    "a port": (one(environment="image: quay.io/a/b, run: {port: 0}"), "environment.run.port"),
    "CI where there is none": (one(environment="repository: {directory: x}"), "environment.repository"),
    "too much": (one(more="  configuration: {memory: 64Gi}\n"), "configuration.memory"),
    "an odd size": (one(more="  configuration: {disk: 1Gib}\n"), "configuration.disk"),
    "a directory": (one(more="  configuration: {repositories: [x]}\n"), "configuration.repositories"),
    "a storage": (one(more="  configuration: {storages: [x]}\n"), "configuration.storages"),
    "a storage for one that is there": (
        one("There", more="  configuration: {storages: [x]}\n"),
        "configuration.storages",
    ),
    "a variable": (one(more="  configuration: {variables: {PATH: x}}\n"), "configuration.variables"),
    "a session that runs something else": (one("There", "image: quay.io/a/b"), "environment.image"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "path"), REFUSED.values(), ids=REFUSED)
async def test_nothing_is_done_where_one_thing_cannot_be(house: AppContext, text: str, path: str) -> None:
    await python(house)
    where = await project(house)
    await do(house, where, described(one("There")))
    wanted = described(one("Good") + text)
    planned = await look(house, where, wanted)
    assert list(planned.refusals) == [f"sessions.1.{path}"]
    with pytest.raises(InvalidInputError) as refusal:
        await do(house, where, wanted)
    assert refusal.value.fields == planned.refusals
    assert [each.title for each in await there(house, where)] == ["There"]


async def test_an_admins_limit_is_seen_before_anything_is_written(house: AppContext) -> None:
    await python(house)
    where = await project(house)
    house = replace(house, policy=replace(house.policy, sessions_per_project=2))
    await do(house, where, described(one("A")))
    three = described(one("B") + one("C"))
    planned = await look(house, where, three)
    assert planned.refusals == {"sessions.1": "An admin allows 2 sessions in a project."}
    assert (await do(house, where, three, prune=True)).has_changes
    assert [each.title for each in await there(house, where)] == ["B", "C"]


async def test_whoever_was_faster_wins_and_nothing_is_half_done(house: AppContext) -> None:
    await python(house)
    where = await project(house)
    await do(house, where, described(one("A") + one("B")))
    _, second = await there(house, where)

    async def meanwhile(_: SessionFilePlan) -> None:
        await change_session(house, BOB, where.id, second.id, SessionChange(version=second.version, description="mine"))

    both = described(one("A", more="  description: x\n") + one("B", more="  description: x\n") + one("C"))
    with pytest.raises(ConflictError) as told:
        await do(house, where, both, before=meanwhile)
    assert told.value.code == "changed"
    assert [(each.title, each.description) for each in await there(house, where)] == [("A", ""), ("B", "mine")]


async def test_an_image_is_pinned_to_its_content_and_goes_back(house: AppContext, registry: Registry) -> None:
    client = RegistryClient(EgressGuard(plain_http=[registry.host]), ("linux/amd64",))
    house, asked = replace(house, registry=client), []
    try:
        where, name = await project(house), f"{registry.host}/as-code/own"
        old = registry.push("as-code/own", "1", config={"User": "1000"})
        await apply_session_file(
            house, ADA, where.id, described(one("S", f"image: '{name}:1'")), count=lambda: asked.append(1)
        )
        (session,) = await there(house, where)
        assert (session.revision.digest, len(asked)) == (old, 1)
        new = registry.push("as-code/own", "1", config={"User": "1001"})
        assert not (await look(house, where, described(one("S", f"image: '{name}:1'")))).has_changes
        for digest, number in ((new, 2), (old, 1), (new, 2)):
            wanted = described(one("S", f"image: '{name}:1', digest: '{digest}'"))
            assert (await do(house, where, wanted)).has_changes
            assert not (await do(house, where, wanted)).has_changes
            (session,) = await there(house, where)
            assert (session.revision.digest, session.revision.number) == (digest, number)
        text = await exported(house, where)
        assert f"image: {name}:1\n    digest: {new}" in text
        assert not (await do(house, where, of_file(text))).has_changes
        other = described(one("S", f"image: '{name}:1', digest: '{new}', run: {{port: 9000}}"))
        assert said(await do(house, where, other)) == {"run.port": ("as the image says", "9000")}

        def enough() -> None:
            raise TooManyRequestsError("Enough.")

        with pytest.raises(TooManyRequestsError):
            await look(house, where, described(one("T", f"image: '{name}:1'")), count=enough)
    finally:
        await client.close()


async def test_a_ready_made_environment_is_taken_at_the_content_that_is_named(house: AppContext) -> None:
    made = await python(house)
    digests = [f"sha256:{n * 64}" for n in "ab"]
    for version, digest in enumerate(digests, 1):
        await change_managed_environment(
            house, ROOT, made.id, ManagedEnvironmentChange(version=version, image=f"quay.io/a/python@{digest}")
        )
    where = await project(house)
    older = described(one("S", f"ready_made: python, digest: '{digests[0]}'"))
    await do(house, where, older)
    (session,) = await there(house, where)
    assert session.revision.digest == digests[0]
    newer = described(one("S", f"ready_made: {made.id}, digest: '{digests[1]}'"))
    assert [*said(await do(house, where, newer))] == ["image"]
    await choose_revision(house, ADA, where.id, session.id, 2)
    assert not (await look(house, where, older)).has_changes
    assert not (await look(house, where, described(one("S")))).has_changes, "never updated by itself"


STORAGES = """\
version: 1
storages:
- directory: gauges
  kind: webdav
  settings: {url: "https://dav.example.org/gauges"}
  credentials: user
- directory: public
  kind: webdav
  settings: {url: " https://dav.example.org/public "}
  path: /2026//daily/
sessions:
- title: S
  environment: {ready_made: Python}
  configuration: {storages: [public]}
"""


async def test_storages_come_with_the_sessions_that_choose_them_and_without_credentials(house: AppContext) -> None:
    await python(house)
    where, other = await project(house), await project(house, path="ada/copy")
    done = await do(house, where, of_file(STORAGES))
    assert kinds(done) == [("gauges", ADD), ("public", ADD), ("S", ADD)]
    assert not (await do(house, where, of_file(STORAGES))).has_changes
    text = await exported(house, where)
    assert "path: 2026/daily" in text
    await do(house, other, of_file(text))
    assert await exported(house, other) == text.replace("project: ada/climate", "project: ada/copy")
    changed = of_file(text.replace("read_only: true", "read_only: false").replace("2026/daily", "2025"))
    assert said(await do(house, where, changed)) == {"read_only": ("yes", "no"), "path": ("2026/daily", "2025")}
    assert kinds(await look(house, where, of_file("version: 1"), prune=True)) == [("S", REMOVE)], "storages stay"

    sure = text.replace("credentials: none", "credentials: project")
    for wrong, path, words in (
        (sure, "storages.1.credentials", "cannot be in a file"),
        (sure.replace("directory: public", "directory: new"), "storages.1.credentials", "cannot be in a file"),
        (text.replace("kind: webdav", "kind: sftp"), "storages.0.kind", "another kind"),
        (text.replace("kind: webdav", "kind: tape").replace("gauges", "g"), "storages.0.kind", "cannot be added"),
        (text.replace("2026/daily", "../daily"), "storages.1.path", "leads down"),
    ):
        assert words in (await look(house, where, of_file(wrong))).refusals[path]


class LoopProbe:
    """Another task of the same event loop: how often it ran, and how much processor time the loop's thread took at most
    between two times; that does not count what a busy machine makes it wait, nor a collection of all garbage."""

    def __init__(self) -> None:
        self.turns, self.longest = 0, 0.0

    async def __aenter__(self) -> "LoopProbe":
        gc.collect()
        gc.disable()
        self._task = asyncio.ensure_future(self._run())
        await asyncio.sleep(0)
        self.turns, self.longest = 0, 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        gc.enable()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.turns += 1
            self.longest = max(self.longest, time.thread_time() - before)


def many(cpu: int, title: str = "Session") -> bytes:
    entry = "- title: {title} {n}\n  environment: {{ready_made: Python}}\n  configuration: {{cpu: {cpu}}}\n"
    return ("version: 1\nsessions:\n" + "".join(entry.format(title=title, n=n, cpu=cpu) for n in range(450))).encode()


async def test_documents_of_hundreds_of_sessions_let_others_run_in_between(house: AppContext) -> None:
    where = await project(house)
    await python(house)
    stalls, turns = {}, {}

    async def probed(name: str, work: Awaitable[T]) -> T:
        async with LoopProbe() as probe:
            done = await work
        stalls[name], turns[name] = probe.longest, probe.turns
        return done

    wanted = await probed("parse", read_session_file_body("application/yaml", many(1)))
    assert len(wanted.sessions) == 450
    planned = await probed("plan", plan_session_file(house, ADA, where.id, wanted))
    assert len(planned.steps) == 450 and not planned.refusals
    done = await probed("apply", apply_session_file(house, ADA, where.id, wanted))
    assert all(step.session for step in done.steps)
    other = await read_session_file_body("application/yaml", many(2))
    await probed("change", apply_session_file(house, ADA, where.id, other))
    renamed = await read_session_file_body("application/yaml", many(1, "Other"))
    pruned = await probed("prune", plan_session_file(house, ADA, where.id, renamed, prune=True))
    assert [step.kind for step in pruned.steps].count(REMOVE) == 450
    _, document = await probed("export", export_session_file(house, EVE, where.id))
    for accept in ("application/yaml", "application/json"):
        await probed(f"write {accept}", render_session_file(document, accept))
    assert {name: seconds for name, seconds in stalls.items() if seconds > 0.05 * fair.slower()} == {}
    assert min(turns.values()) > 0, turns  # work on the loop itself leaves no turn to others
    assert min(turns["plan"], turns["apply"], turns["change"], turns["prune"]) > 100
