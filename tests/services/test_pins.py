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

from renku_spawner.domain.access import Person
from renku_spawner.domain.curation import NewReadyMade, ReadyMadeChange
from renku_spawner.domain.errors import Conflict, Invalid
from renku_spawner.domain.image_policy import ImagePolicy
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import NewProject
from renku_spawner.domain.resources import ResourceClass
from renku_spawner.domain.running import NewImage
from renku_spawner.domain.session import NewSession, Session
from renku_spawner.domain.verdict import Verdict
from renku_spawner.registry.client import Client
from renku_spawner.registry.guard import Guard
from renku_spawner.remote.cache import Cache
from renku_spawner.services import (
    admission,
    curation,
    environments,
    images,
    installed,
    instances,
    looks,
    pins,
    projects,
    revisions,
    sessions,
)
from renku_spawner.services.parts import Parts
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

    parts: Parts
    clients: list[Client]
    added: int = 0

    def later(self, **time: float) -> None:
        now = self.parts.now() + timedelta(**time)
        self.parts = replace(self.parts, now=lambda: now)

    def ask(self, registry: Registry | None, **client: Any) -> None:
        """Ask that registry, or nobody, from now on; nothing is remembered but what is stored."""
        made = Client(Guard(plain_http=[registry.host]), ("linux/amd64",), **client) if registry else None
        self.clients += [made] if made else []
        self.parts = replace(self.parts, registry=made)

    async def add(self, **what: Any) -> Session:
        self.added += 1
        path = f"ada/p{self.added}"
        project = await projects.create(self.parts, ADA, NewProject(path=path, title=path))
        return await sessions.add(self.parts, ADA, project.id, NewSession(**what))

    async def own(self, image: str) -> Session:
        return await self.add(image=NewImage(image=image))

    async def ready_made(self, image: str) -> Session:
        await environments.configure(self.parts, [environments.Configured(key="a", name="A", image=image)])
        ((environment, *_), _) = await environments.offered(self.parts, ADA)
        return await self.add(environment=environment.id)

    def stored(self, session: Session) -> Session:
        with self.parts.db.read() as tx:
            found = tx.sessions.get(session.id)
        assert found
        return found

    async def seen(self, session: Session) -> Verdict | None:
        tag = pins.tag_of(session.revision)
        assert tag
        found = await pins.seen(self.parts, tag, session.environment)
        return found and found.verdict


@pytest.fixture
async def house(parts: Parts) -> AsyncIterator[House]:
    made = House(parts=replace(parts, policy=Policy(classes=(CLASS,)), now=lambda: NOW), clients=[])
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
        await pins.look(house.parts, first, patience=10)
        await pins.look(house.parts, second, patience=10)
        assert await house.seen(own) is Verdict.DENIED
        assert await house.seen(ready_made) is Verdict.OK
        assert house.stored(own).revision.digest is None
        assert house.stored(ready_made).revision.digest == digest
        house.later(minutes=16)
    view = await looks.view(house.parts, ADA, own.project, own.id)
    assert view.update is None


async def test_one_answer_pins_all_environments_with_that_image(house: House, registry: Registry) -> None:
    image = f"{registry.host}/pins/all:1"
    first, second = await house.own(image), await house.own(image)
    digest = registry.push("pins/all", "1")
    house.ask(registry)
    for session in (first, second):
        assert await pins.look(house.parts, session, patience=10)
        assert house.stored(session).revision.digest == digest
    heads = [each for each in registry.requests("pins/all") if "HEAD /v2/pins/all/manifests/1" in each]
    assert len(heads) == 1


async def test_an_image_for_other_machines_stays_one_at_the_second_look(house: House, registry: Registry) -> None:
    registry.push("pins/arm", "1", platforms=("linux/arm64",))
    session = await house.own(f"{registry.host}/pins/arm:1")
    for _ in range(3):
        house.ask(registry)
        await pins.look(house.parts, session, patience=10)
        assert await house.seen(session) is Verdict.PLATFORM_MISMATCH
        assert house.stored(session).revision.digest is None
        house.later(minutes=16)


async def test_what_the_policy_forbids_by_now_is_not_asked_for(house: House, registry: Registry) -> None:
    registry.push("pins/forbidden", "1")
    session = await house.own(f"{registry.host}/pins/forbidden:1")
    house.ask(registry)
    before = registry.requests("pins/forbidden")
    policy = replace(house.parts.policy, images=ImagePolicy(denied=(registry.host,)))
    house.parts = replace(house.parts, policy=policy)
    assert not await pins.look(house.parts, session, patience=10)
    assert registry.requests("pins/forbidden") == before


async def test_what_the_hub_has_pinned_is_still_the_choice_of_who_added_it(house: House, registry: Registry) -> None:
    registry.push("pins/outside", "1")
    policy = replace(house.parts.policy, images=ImagePolicy(allowed=("quay.io/*",), outside=("ada",)))
    house.parts = replace(house.parts, policy=policy)
    session = await house.own(f"{registry.host}/pins/outside:1")
    house.ask(registry)
    await pins.look(house.parts, session, patience=10)
    assert house.stored(session).revision.created_by == pins.HUB
    spec = await instances.prepare(house.parts, ADA, session.id)
    bob = replace(spec, username="bob")
    assert await admission.admit(house.parts, Person(name="bob"), bob) == bob


@pytest.mark.parametrize("tag", ["", ":1"])
async def test_what_no_registry_has_called_public_is_unverified_whoever_typed_a_digest(
    house: House, registry: Registry, tag: str
) -> None:
    digest = registry.push(f"pins/typed{tag.replace(':', '')}", "1")
    session = await house.own(f"{registry.host}/pins/typed{tag.replace(':', '')}{tag}@{digest}")

    async def admitted() -> bool:
        spec = await instances.prepare(house.parts, ADA, session.id)
        return (await admission.admit(house.parts, ADA, spec)).unverified

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
    await pins.look(house.parts, session, patience=10)
    return session, digest


async def accept(house: House, session: Session, digest: str, person: Person = ADA) -> Session:
    return await revisions.choose(house.parts, person, session.project, session.id, 2, digest)


async def test_two_who_accept_at_the_same_moment_both_have_what_they_looked_at(
    house: House, registry: Registry
) -> None:
    session, digest = await moved(house, registry, "pins/both")
    both = await asyncio.gather(*(accept(house, session, digest) for _ in range(2)))
    assert {(each.revision.number, each.revision.digest) for each in both} == {(2, digest)}
    assert len(await revisions.history(house.parts, ADA, session.project, session.id)) == 2


async def test_nobody_gets_another_content_than_the_one_that_they_looked_at(house: House, registry: Registry) -> None:
    session, digest = await moved(house, registry, "pins/other")
    await accept(house, session, digest)
    with pytest.raises(Conflict) as refusal:
        await accept(house, session, "sha256:" + "0" * 64)
    assert refusal.value.code == "changed"
    assert house.stored(session).revision.digest == digest


async def test_what_the_policy_forbids_by_now_is_not_accepted(house: House, registry: Registry) -> None:
    session, digest = await moved(house, registry, "pins/stricter")
    policy = replace(house.parts.policy, images=ImagePolicy(allowed=("quay.io/*",)))
    house.parts = replace(house.parts, policy=policy)
    with pytest.raises(Invalid) as refusal:
        await accept(house, session, digest)
    assert refusal.value.code == "registry_not_allowed"
    assert len(await revisions.history(house.parts, ADA, session.project, session.id)) == 1


async def test_a_newer_ready_made_image_of_a_closed_registry_is_accepted(house: House, locked: Registry) -> None:
    old, new = locked.push("newer", "1"), locked.push("newer", "2", config={"User": "1001"})
    session = await house.ready_made(f"{locked.host}/newer@{old}")
    configured = environments.Configured(key="a", name="A", image=f"{locked.host}/newer@{new}")
    await environments.configure(house.parts, [configured])
    house.ask(locked, credentials={locked.host: SECRET})
    assert (await accept(house, session, new)).revision.digest == new
    locked.delete("newer", old)
    with pytest.raises(Conflict) as refusal:
        await revisions.choose(house.parts, ADA, session.project, session.id, 1)
    assert refusal.value.code == "image_digest_gone"


async def test_a_registry_that_hangs_keeps_nobody_waiting_for_long(house: House) -> None:
    async with FakeRegistry() as hanging:
        answered = asyncio.Event()
        hanging.answer = lambda _: answered.wait()  # never in time
        image = f"127.0.0.1:{hanging.port}/hangs@sha256:{'1' * 64}"
        session = await house.own(image)
        client = Client(Guard(plain_http=[f"127.0.0.1:{hanging.port}"]), ("linux/amd64",))
        house.clients.append(client)
        house.parts = replace(house.parts, registry=client)
        took = Stopwatch()
        await revisions.choose(house.parts, ADA, session.project, session.id, 1)
        assert took() < images.PATIENCE + 1
        await client.close()


async def test_a_list_that_cannot_be_read_is_not_fetched_at_every_look(house: House, registry: Registry) -> None:
    house.ask(registry)
    passed = 0.0
    house.parts = replace(house.parts, unread=Cache(10, lambda: passed))
    registry.push("pins/unread", "1", sbom={"spdxVersion": "SPDX-2.3", "packages": [None, {"name": 3}]})
    session = await house.own(f"{registry.host}/pins/unread:1")

    async def fetched() -> int:
        house.later(minutes=16)
        before = len(registry.requests("pins/unread"))
        await pins.look(house.parts, session, patience=10)
        await asyncio.gather(*house.parts.looks.values())
        return sum(each.startswith("GET") for each in registry.requests("pins/unread")[before:])

    assert await fetched() > 0
    assert await fetched() == 0
    passed = 86401
    assert await fetched() > 0


async def test_the_file_for_other_programs_is_made_once(house: House, registry: Registry) -> None:
    house.ask(registry)
    registry.push("pins/bill", "1", sbom=images_of_tests.spdx({f"package-{n}": "1.0" for n in range(1000)}))
    session = await house.own(f"{registry.host}/pins/bill:1")
    await pins.look(house.parts, session, patience=10)
    await asyncio.gather(*house.parts.looks.values())
    made, took = [], []
    for _ in range(2):
        began = process_time()
        made.append(await installed.bill(house.parts, ADA, session.project, session.id))
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
    new = NewReadyMade(name="Ours", image=image)
    for _ in range(2):
        with pytest.raises(Invalid) as refused:
            await house.own(image)
        assert refused.value.fields.keys() == {"image"}
        assert (await images.check(house.parts, ADA, image)).verdict is Verdict.DENIED
        made = await curation.add(house.parts, ADA, new)
        assert made.revision.digest == old
    moved = locked.push("pins/ours", "1", config={"User": "1001"})
    house.ask(locked, credentials={locked.host: SECRET})
    kept = await curation.change(house.parts, ADA, made.id, ReadyMadeChange(version=1, image=image))
    assert (kept.revision.number, kept.revision.digest) == (1, old), "a tag that moves changes nothing by itself"
    renewed = await curation.change(house.parts, ADA, made.id, ReadyMadeChange(version=2, renew=True))
    assert (renewed.revision.number, renewed.revision.digest) == (2, moved)
    again = await curation.change(house.parts, ADA, made.id, ReadyMadeChange(version=3, renew=True))
    assert again.revision == renewed.revision, "it has not moved since"
    house.ask(None)
    with pytest.raises(Invalid):
        await curation.change(house.parts, ADA, made.id, ReadyMadeChange(version=4, renew=True))
