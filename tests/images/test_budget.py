"""How rarely a registry is asked for what users do: counted at a real one, by hub and cluster."""

import asyncio

from renku_spawner.domain.instances import InstanceStatus
from tests.images.conftest import STACKS, WithImages, address

FIRST = ["GET tag", "GET config"]


def asked(it: WithImages, name: str, since: int = 0) -> list[str]:
    """What was asked of the repository since so many requests, as `HEAD tag`."""
    return [_kind(line) for line in it.registry.requests(name)[since:] if not line.startswith(("PUT", "POST", "PATCH"))]


def _kind(line: str) -> str:
    method, path, _ = line.split()
    what, _, which = path.rpartition("/")
    return f"{method} {'config' if what.endswith('blobs') else 'content' if ':' in which else 'tag'}"


async def pushed(it: WithImages, name: str, **more) -> tuple[str, int]:
    """The image's reference, and how many requests its push took."""
    it.registry.push(name, "1", config=STACKS | {"Labels": {"of": name}}, **more)  # what is known by digest is shared
    return f"{it.registry.host}/{name}:1", len(it.registry.requests(name))


async def test_adding_an_image_takes_at_most_three_requests_and_adding_it_again_none(with_images):
    it = await with_images()
    project = await it.hub.project()
    for name, more, expected in (
        ("budget/one", {}, FIRST),
        ("budget/several", {"platforms": ("linux/amd64", "linux/arm64")}, [FIRST[0], "GET content", FIRST[1]]),
    ):
        image, before = await pushed(it, name, **more)
        together = (it.add(project, image, title=f"{name} {number}") for number in range(8))
        await asyncio.gather(*together)
        assert asked(it, name, before) == expected
        await it.add(project, image, title=f"{name} later")
        assert asked(it, name, before) == expected


async def test_whether_an_image_is_still_there_is_asked_once_for_all_and_without_its_manifest(with_images):
    it = await with_images()
    image, before = await pushed(it, "budget/exists")
    project = await it.hub.project()
    added = [await it.add(project, image, title=f"{number}") for number in range(5)]
    for name in ("alice", "bob"):
        await it.page(added[0], name)
    seen = before + len(FIRST)
    assert asked(it, "budget/exists", seen) == [], "adding it has told"
    it.later(minutes=16)
    answers = await asyncio.gather(*(it.start(each, name) for each in added for name in ("alice", "bob")))
    assert all(answer.status_code in (200, 202, 409) for answer in answers)
    assert sum(answer.status_code != 409 for answer in answers) >= 5
    assert asked(it, "budget/exists", seen) == ["HEAD content"]


async def test_a_warm_start_asks_nothing(with_images):
    it = await with_images()
    image, before = await pushed(it, "budget/warm")
    added = await it.add(await it.hub.project(), image)
    await it.start(added)
    with it.hub.parts.db.read() as tx:
        session = tx.sessions.get(added["id"])
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    cold = asked(it, "budget/warm", before)
    assert cold == FIRST
    await it.hub.client("alice").post(f"{address(added)}/pause")
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    await it.start(added)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert asked(it, "budget/warm", before) == cold
