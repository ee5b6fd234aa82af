"""Looks at the images of sessions, and what is accepted of them: what may be asked, and what becomes of the answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from time import process_time
from typing import Any

import httpx
import pytest

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person
from renku_spawner.domain.environments import ManagedEnvironmentChange, NewManagedEnvironment, NewOwnImage
from renku_spawner.domain.errors import ConflictError, InvalidInputError
from renku_spawner.domain.image_checks import InspectionResult
from renku_spawner.domain.images import ImagePolicy
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject
from renku_spawner.domain.resource_classes import ResourceClass
from renku_spawner.domain.sessions import NewSession, Session
from renku_spawner.integrations.net.cache import TTLCache
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from renku_spawner.usecases.admission import admit_launch
from renku_spawner.usecases.environments import (
    ConfiguredEnvironment,
    add_managed_environment,
    apply_configured_environments,
    change_managed_environment,
    list_offered_environments,
)
from renku_spawner.usecases.images import (
    HUB_REVISION_AUTHOR,
    IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS,
    check_image,
    get_image_status,
    get_tag_image,
    refresh_image_status,
)
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.usecases.projects import create_project
from renku_spawner.usecases.session_queries import export_session_bom, load_session_view
from renku_spawner.usecases.sessions import add_session, choose_revision, list_session_revisions
from tests.fakes.registry import FakeRegistry
from tests.fixtures import images as images_of_tests
from tests.fixtures.fair import Stopwatch
from tests.fixtures.registry import Registry
from tests.fixtures.registry import run as run_registry

from .conftest import NOW

ADA = Person(name="ada")
SECRET = ("admin", "open sesame")
HTPASSWD = "admin:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"
CLASS = ResourceClass(name="small", cpu="4", memory="8Gi", disk="50Gi")


@dataclass
class House:
    """Parts whose time and registry a test changes."""

    parts: AppContext
    clients: list[RegistryClient]
    added: int = 0

    def later(self, **time: float) -> None:
        now = self.parts.now() + timedelta(**time)
        self.parts = replace(self.parts, now=lambda: now)

    def ask(self, registry: Registry | None, **client: Any) -> None:
        """Ask that registry, or nobody, from now on; nothing is remembered but what is stored."""
        made = RegistryClient(EgressGuard(plain_http=[registry.host]), ("linux/amd64",), **client) if registry else None
        self.clients += [made] if made else []
        self.parts = replace(self.parts, registry=made)

    async def add(self, **what: Any) -> Session:
        self.added += 1
        path = f"ada/p{self.added}"
        project = await create_project(self.parts, ADA, NewProject(path=path, title=path))
        return await add_session(self.parts, ADA, project.id, NewSession(**what))

    async def own(self, image: str) -> Session:
        return await self.add(image=NewOwnImage(image=image))

    async def ready_made(self, image: str) -> Session:
        await apply_configured_environments(self.parts, [ConfiguredEnvironment(key="a", name="A", image=image)])
        ((environment, *_), _) = await list_offered_environments(self.parts, ADA)
        return await self.add(environment=environment.id)

    def stored(self, session: Session) -> Session:
        with self.parts.db.read() as tx:
            found = tx.sessions.get(session.id)
        assert found
        return found

    async def seen(self, session: Session) -> InspectionResult | None:
        tag = get_tag_image(session.revision)
        assert tag
        found = await get_image_status(self.parts, tag, session.environment)
        return found and found.verdict


@pytest.fixture
async def house(parts: AppContext) -> AsyncIterator[House]:
    made = House(parts=replace(parts, policy=HubPolicy(classes=(CLASS,)), now=lambda: NOW), clients=[])
    yield made
    for client in made.clients:
        await client.close()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry that wants a password."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    with run_registry(folder, auth=auth, login=httpx.BasicAuth(*SECRET)) as registry:
        yield registry


async def test_what_an_admins_password_opens_is_seen_for_ready_made_environments_alone(
    house: House, locked: Registry
) -> None:
    digest = locked.push("apart", "1")
    image = f"{locked.host}/apart:1"
    own, ready_made = await house.own(image), await house.ready_made(image)
    house.ask(locked, credentials={locked.host: SECRET})
    for first, second in ((ready_made, own), (own, ready_made)):
        await refresh_image_status(house.parts, first, patience=10)
        await refresh_image_status(house.parts, second, patience=10)
        assert await house.seen(own) is InspectionResult.DENIED
        assert await house.seen(ready_made) is InspectionResult.OK
        assert house.stored(own).revision.digest is None
        assert house.stored(ready_made).revision.digest == digest
        house.later(minutes=16)
    view = await load_session_view(house.parts, ADA, own.project, own.id)
    assert view.update is None


async def test_one_answer_pins_all_environments_with_that_image(house: House, registry: Registry) -> None:
    image = f"{registry.host}/pins/all:1"
    first, second = await house.own(image), await house.own(image)
    digest = registry.push("pins/all", "1")
    house.ask(registry)
    for session in (first, second):
        assert await refresh_image_status(house.parts, session, patience=10)
        assert house.stored(session).revision.digest == digest
    heads = [each for each in registry.requests("pins/all") if "HEAD /v2/pins/all/manifests/1" in each]
    assert len(heads) == 1


async def test_an_image_for_other_machines_stays_one_at_the_second_look(house: House, registry: Registry) -> None:
    registry.push("pins/arm", "1", platforms=("linux/arm64",))
    session = await house.own(f"{registry.host}/pins/arm:1")
    for _ in range(3):
        house.ask(registry)
        await refresh_image_status(house.parts, session, patience=10)
        assert await house.seen(session) is InspectionResult.PLATFORM_MISMATCH
        assert house.stored(session).revision.digest is None
        house.later(minutes=16)


async def test_what_the_policy_forbids_by_now_is_not_asked_for(house: House, registry: Registry) -> None:
    registry.push("pins/forbidden", "1")
    session = await house.own(f"{registry.host}/pins/forbidden:1")
    house.ask(registry)
    before = registry.requests("pins/forbidden")
    policy = replace(house.parts.policy, images=ImagePolicy(denied=(registry.host,)))
    house.parts = replace(house.parts, policy=policy)
    assert not await refresh_image_status(house.parts, session, patience=10)
    assert registry.requests("pins/forbidden") == before


async def test_what_the_hub_has_pinned_is_still_the_choice_of_who_added_it(house: House, registry: Registry) -> None:
    registry.push("pins/outside", "1")
    policy = replace(house.parts.policy, images=ImagePolicy(allowed=("quay.io/*",), outside=("ada",)))
    house.parts = replace(house.parts, policy=policy)
    session = await house.own(f"{registry.host}/pins/outside:1")
    house.ask(registry)
    await refresh_image_status(house.parts, session, patience=10)
    assert house.stored(session).revision.created_by == HUB_REVISION_AUTHOR
    spec = await prepare_launch_spec(house.parts, ADA, session.id)
    bob = replace(spec, username="bob")
    assert await admit_launch(house.parts, Person(name="bob"), bob) == bob


@pytest.mark.parametrize("tag", ["", ":1"])
async def test_what_no_registry_has_called_public_is_unverified_whoever_typed_a_digest(
    house: House, registry: Registry, tag: str
) -> None:
    digest = registry.push(f"pins/typed{tag.replace(':', '')}", "1")
    session = await house.own(f"{registry.host}/pins/typed{tag.replace(':', '')}{tag}@{digest}")

    async def admitted() -> bool:
        spec = await prepare_launch_spec(house.parts, ADA, session.id)
        return (await admit_launch(house.parts, ADA, spec)).unverified

    assert await admitted()
    house.ask(registry)
    assert not await admitted()


# ---- accepting --------------------------------------------------------------------------------------


async def moved(house: House, registry: Registry, name: str) -> tuple[Session, str]:
    """A session whose tag has moved, which the hub knows, and the digest that it has now."""
    registry.push(name, "1")
    house.ask(registry)
    session = await house.own(f"{registry.host}/{name}:1")
    digest = registry.push(name, "1", config={"User": "1001"})
    house.later(minutes=16)
    house.ask(registry)
    await refresh_image_status(house.parts, session, patience=10)
    return session, digest


async def accept(house: House, session: Session, digest: str, person: Person = ADA) -> Session:
    return await choose_revision(house.parts, person, session.project, session.id, 2, digest)


async def test_two_who_accept_at_the_same_moment_both_have_what_they_looked_at(
    house: House, registry: Registry
) -> None:
    session, digest = await moved(house, registry, "pins/both")
    both = await asyncio.gather(*(accept(house, session, digest) for _ in range(2)))
    assert {(each.revision.number, each.revision.digest) for each in both} == {(2, digest)}
    assert len(await list_session_revisions(house.parts, ADA, session.project, session.id)) == 2


async def test_nobody_gets_another_content_than_the_one_that_they_looked_at(house: House, registry: Registry) -> None:
    session, digest = await moved(house, registry, "pins/other")
    await accept(house, session, digest)
    with pytest.raises(ConflictError) as refusal:
        await accept(house, session, "sha256:" + "0" * 64)
    assert refusal.value.code == "changed"
    assert house.stored(session).revision.digest == digest


async def test_what_the_policy_forbids_by_now_is_not_accepted(house: House, registry: Registry) -> None:
    session, digest = await moved(house, registry, "pins/stricter")
    policy = replace(house.parts.policy, images=ImagePolicy(allowed=("quay.io/*",)))
    house.parts = replace(house.parts, policy=policy)
    with pytest.raises(InvalidInputError) as refusal:
        await accept(house, session, digest)
    assert refusal.value.code == "registry_not_allowed"
    assert len(await list_session_revisions(house.parts, ADA, session.project, session.id)) == 1


async def test_a_newer_ready_made_image_of_a_closed_registry_is_accepted(house: House, locked: Registry) -> None:
    old, new = locked.push("newer", "1"), locked.push("newer", "2", config={"User": "1001"})
    session = await house.ready_made(f"{locked.host}/newer@{old}")
    configured = ConfiguredEnvironment(key="a", name="A", image=f"{locked.host}/newer@{new}")
    await apply_configured_environments(house.parts, [configured])
    house.ask(locked, credentials={locked.host: SECRET})
    assert (await accept(house, session, new)).revision.digest == new
    locked.delete("newer", old)
    with pytest.raises(ConflictError) as refusal:
        await choose_revision(house.parts, ADA, session.project, session.id, 1)
    assert refusal.value.code == "image_digest_gone"


async def test_a_registry_that_hangs_keeps_nobody_waiting_for_long(house: House) -> None:
    async with FakeRegistry() as hanging:
        answered = asyncio.Event()
        hanging.answer = lambda _: answered.wait()  # never in time
        image = f"127.0.0.1:{hanging.port}/hangs@sha256:{'1' * 64}"
        session = await house.own(image)
        client = RegistryClient(EgressGuard(plain_http=[f"127.0.0.1:{hanging.port}"]), ("linux/amd64",))
        house.clients.append(client)
        house.parts = replace(house.parts, registry=client)
        took = Stopwatch()
        await choose_revision(house.parts, ADA, session.project, session.id, 1)
        assert took() < IMAGE_CHECK_AT_LAUNCH_TIMEOUT_SECONDS + 1
        await client.close()


async def test_a_list_that_cannot_be_read_is_not_fetched_at_every_look(house: House, registry: Registry) -> None:
    house.ask(registry)
    passed = 0.0
    house.parts = replace(house.parts, unreadable_packages=TTLCache(10, lambda: passed))
    registry.push("pins/unread", "1", sbom={"spdxVersion": "SPDX-2.3", "packages": [None, {"name": 3}]})
    session = await house.own(f"{registry.host}/pins/unread:1")

    async def fetched() -> int:
        house.later(minutes=16)
        before = len(registry.requests("pins/unread"))
        await refresh_image_status(house.parts, session, patience=10)
        await asyncio.gather(*house.parts.registry_queries.list_tasks())
        return sum(each.startswith("GET") for each in registry.requests("pins/unread")[before:])

    assert await fetched() > 0
    assert await fetched() == 0
    passed = 86401
    assert await fetched() > 0


async def test_the_file_for_other_programs_is_made_once(house: House, registry: Registry) -> None:
    house.ask(registry)
    registry.push("pins/bill", "1", sbom=images_of_tests.spdx({f"package-{n}": "1.0" for n in range(1000)}))
    session = await house.own(f"{registry.host}/pins/bill:1")
    await refresh_image_status(house.parts, session, patience=10)
    await asyncio.gather(*house.parts.registry_queries.list_tasks())
    made, took = [], []
    for _ in range(2):
        began = process_time()
        made.append(await export_session_bom(house.parts, ADA, session.project, session.id))
        took.append(process_time() - began)
    assert len(json.loads(made[0])["components"]) == 1000
    assert made[0] == made[1]
    assert took[1] < took[0] / 2


async def test_what_the_hubs_credentials_open_admins_may_add_and_renew_and_nobody_else_learns_of(
    house: House, locked: Registry
) -> None:
    """Decision 8: the same image is refused to somebody who pastes it, before and after."""
    image, old = f"{locked.host}/pins/ours:1", locked.push("pins/ours", "1")
    house.ask(locked, credentials={locked.host: SECRET})
    new = NewManagedEnvironment(name="Ours", image=image)
    for _ in range(2):
        with pytest.raises(InvalidInputError) as refused:
            await house.own(image)
        assert refused.value.fields.keys() == {"image"}
        assert (await check_image(house.parts, ADA, image)).verdict is InspectionResult.DENIED
        made = await add_managed_environment(house.parts, ADA, new)
        assert made.revision.digest == old
    moved = locked.push("pins/ours", "1", config={"User": "1001"})
    house.ask(locked, credentials={locked.host: SECRET})
    kept = await change_managed_environment(house.parts, ADA, made.id, ManagedEnvironmentChange(version=1, image=image))
    assert (kept.revision.number, kept.revision.digest) == (1, old), "a tag that moves changes nothing by itself"
    renewed = await change_managed_environment(
        house.parts, ADA, made.id, ManagedEnvironmentChange(version=2, renew=True)
    )
    assert (renewed.revision.number, renewed.revision.digest) == (2, moved)
    again = await change_managed_environment(house.parts, ADA, made.id, ManagedEnvironmentChange(version=3, renew=True))
    assert again.revision == renewed.revision, "it has not moved since"
    house.ask(None)
    with pytest.raises(InvalidInputError):
        await change_managed_environment(house.parts, ADA, made.id, ManagedEnvironmentChange(version=4, renew=True))
