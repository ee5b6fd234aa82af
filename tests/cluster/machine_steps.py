"""The steps of the machine: what somebody does, what must be the answer, and what may come of it."""

import asyncio
from contextlib import suppress

import httpx

from renku_spawner.domain.instances import Instance
from tests.cluster import machine_model as model
from tests.cluster.machine_model import Key
from tests.cluster.machine_world import ROLES, Answer, Known, World, owner

NOTHING = object()  # the step had nothing to act on


def expect(world: World, key: Key, effect: model.Effect) -> None:
    world.expected[key] = effect(world.of(key))


# ---- sessions -----------------------------------------------------------------------------------------


async def add(world: World, who: str, environment: str) -> None:
    body = {"environment": world.template.environments[environment]}
    answer = await world.ask(who, "POST", f"api/renku/projects/{world.project}/sessions", json=body)
    if who not in world.members:
        assert answer.status == 404, answer
    elif environment not in world.hub.offered:
        assert 400 <= answer.status < 500, answer
    else:
        assert answer.status == 201, answer
        world.sessions.append(Known(answer.body["id"], environment, answer.body["version"]))


async def edit(world: World, key: Key, memory: str) -> None:
    who, known = key[0], world.known(key[1])
    path = f"api/renku/projects/{world.project}/sessions/{known.id}"
    answer = await world.ask(who, "PATCH", path, json={"version": known.version, "configuration": {"memory": memory}})
    if who not in world.members or known.deleted:
        assert answer.status == 404, answer
    elif who == "carol":
        assert answer.status == 403, answer
    elif memory == "20Gi":
        assert answer.status == 422, answer
    else:
        assert answer.status == 200, answer
        known.version = answer.body["version"]
        for each in ((name, known.id) for name in ROLES):
            if world.shown(each) == "launching":  # by a class that may be too small now; a next hub looks again
                world.expected[each] = world.of(each) | {"failed:class_too_small"}


async def delete_session(world: World, key: Key) -> None:
    known = world.known(key[1])
    answer = await world.ask("alice", "DELETE", f"api/renku/projects/{world.project}/sessions/{known.id}", json={})
    assert answer.status == (404 if known.deleted else 204), answer
    known.deleted = True
    for who in ROLES:
        may_be_refused(world, (who, known.id))


# ---- instances ----------------------------------------------------------------------------------------


async def start(world: World, key: Key) -> None:
    before, effect = world.record(key), world.starts(key)
    answer = await world.act(key[0], key[1], "start")
    if hindrance := no_start(world, key, before):
        assert answer.status in hindrance, (answer, hindrance)
    elif answer.status not in (200, 202):
        may_refuse(world, key, answer)
    if answer.status in (200, 202):
        expect(world, key, effect)


def no_start(world: World, key: Key, before: Instance | None) -> set[int]:
    """The answers that whoever may not start gets; *before* is what was on record when they asked.

    What has data can be resumed for some days after its environment was archived, and what runs is not refused.
    """
    known = world.known(key[1])
    if key[0] not in world.members or known.deleted:
        return {404}
    offered = known.environment in world.hub.offered
    return set() if offered or (before and (before.claim or before.is_active)) else {409}


def may_refuse(world: World, key: Key, answer: Answer) -> None:
    """A start is refused where another session of that environment may run, or this one still stops,
    which without a cluster it cannot."""
    mates = [k for k in world.pairs() if k[0] == key[0] and k != key]
    same = [k for k in mates if world.known(k[1]).environment == world.known(key[1]).environment]
    if answer.code == "already_running":
        assert any(world.active(mate) for mate in same), (answer, world.expected)
    else:
        why = (503, "cluster_unavailable") if world.blind and answer.status == 503 else (409, "stopping")
        assert (answer.status, answer.code) == why, answer


async def resume(world: World, key: Key) -> None:
    """By the form of one's own page, which answers a refusal with a page too."""
    before, effect = world.record(key), world.starts(key)
    answer = await world.fill(key[0], f"renku/sessions/{key[1]}/resume")
    after = world.record(key)
    if no_start(world, key, before):
        assert answer.status in (302, 404, 409), answer
        assert (before and before.run) == (after and after.run), "it has started"
    elif after is not None and (before is None or after.run != before.run or after.status in ("launching", "running")):
        expect(world, key, effect)


async def end(world: World, key: Key, what: str) -> None:
    """Always allowed, to whoever has something to pause or delete, members or not."""
    before = world.record(key)
    answer = await world.act(key[0], key[1], what)
    if before is None:
        assert answer.status == 404, answer
    elif what == "pause":
        assert answer.status == 202, answer
        expect(world, key, pausing(before) if before.is_active else model.ended)
    else:
        assert answer.status in (202, 204, 503) or (answer.status, answer.code) == (409, "stopping"), answer
        expect(world, key, model.deleted if answer.status == 204 else model.still_deleting)


def pausing(before: Instance | None) -> model.Effect:
    """What a pause may come to: a start without data, such as one in the queue, leaves no trace."""
    traceless = before is not None and before.is_active and before.claim is None
    return lambda outcomes: model.paused(outcomes) | (model.INACTIVE if traceless else frozenset())


async def at_once(world: World, key: Key, what: list[str]) -> None:
    """Requests that meet."""
    before = world.record(key)
    there = before is not None
    effects = {"start": world.starts(key), "pause": pausing(before), "delete": model.deleted}
    answers = await asyncio.gather(*(world.act(key[0], key[1], each) for each in what))
    for answer, each in zip(answers, what, strict=True):
        assert answer.status < 500 or answer.status == 503, (each, answer)
        assert there or each == "start" or answer.status in (404, 202, 204, 409), (each, answer)
    done = [each for each, answer in zip(what, answers, strict=True) if answer.status in (200, 202, 204)]
    half = [
        model.still_deleting
        for each, answer in zip(what, answers, strict=True)
        if each == "delete" and answer.status in (409, 503)
    ]
    world.expected[key] = model.in_some_order([*(effects[each] for each in done), *half], world.of(key))


# ---- the hub -------------------------------------------------------------------------------------------


async def end_amid(world: World, key: Key, amid: str, after: float, *, kill: bool) -> None:
    """End the hub by SIGKILL or by SIGTERM, some time after it was asked for something."""
    effects = {"start": world.starts(key), "pause": model.paused, "delete": model.deleted, "": model.ended}
    request = asyncio.ensure_future(cut(world, key, amid) if amid else asyncio.sleep(0))
    await asyncio.sleep(after if amid else 0)
    world.hub_goes()
    if amid:
        before = world.of(key)
        world.expected[key] = before | effects[amid](before) | model.paused(before) | model.CUT
    await (world.hub.kill() if kill else world.hub.stop())
    await request


async def cut(world: World, key: Key, what: str) -> None:
    with suppress(httpx.TransportError):
        await world.act(key[0], key[1], what)


async def restart(world: World, offered: set[str]) -> None:
    world.hub_goes()
    await world.hub.stop()
    world.hub.offered = offered
    await world.hub.start()


# ---- the cluster ---------------------------------------------------------------------------------------


async def go_or_come(world: World) -> None:
    world.away = not world.away
    world.blinks()
    if not world.away:
        await world.cluster.come_back()
        return
    await world.cluster.go_away()
    for key in world.pairs():
        if world.up and world.shown(key) == "launching":
            world.expected[key] = world.of(key) | model.NO_ANSWER


async def watch_fault(world: World, how: str) -> None:
    world.blinks()
    if how == "410":
        world.cluster.expire_watches()
    elif how == "broken":
        world.cluster.break_connections()
    else:
        world.cluster.watch_fault(how, times=3, seconds=2.0)


async def die(world: World, which: int, case: str) -> object:
    pods = world.cluster.ready()
    if not pods:
        return NOTHING
    pod = pods[which % len(pods)]
    key, reason = owner(pod), model.ENDS[case]
    calm = world.of(key) == {"running"} and world.up and world.shown(key) == "running" and not world.away
    early = {"exit 0": {"failed:exited_clean"}}.get(case, set())  # before it was ready
    hidden = frozenset() if calm else frozenset({"failed:pod_removed", *early}) | world.of(key)
    if not (world.of(key) <= {"paused", "inactive"}):
        world.expected[key] = hidden | {reason}
    world.dying[key] = {reason, *hidden}
    world.cluster.tells(pod, "its last words")
    world.cluster.dies(pod, case)
    return None


async def move(world: World, which: int) -> object:
    """Let a pod have another address."""
    pods = [pod for pod in world.cluster.ready() if pod["metadata"]["uid"] not in world.cluster.moving]
    if not pods:
        return NOTHING
    world.cluster.spawn(world.cluster.moves(pods[which % len(pods)]))
    return None


async def remove_claim(world: World, which: int) -> object:
    claims = [claim for claim in world.cluster.claims() if "deletionTimestamp" not in claim["metadata"]]
    if not claims:
        return NOTHING
    claim = claims[which % len(claims)]
    world.may_go.add(claim["metadata"]["name"])
    key = owner(claim)
    world.lost.add(key)
    if world.of(key) & {"running", "launching"} and key not in map(owner, world.cluster.ready()):  # just when it starts
        world.expected[key] = world.of(key) | {"failed:volume_lost"}
    world.cluster.api.delete("persistentvolumeclaims", claim, {})
    return None


# ---- people --------------------------------------------------------------------------------------------


async def change_member(world: World, who: str) -> None:
    path = f"api/renku/projects/{world.project}"
    present = await world.ask("alice", "GET", path)
    members = [m for m in present.body["members"] if m["name"] != who]
    if who not in world.members:
        members.append({"kind": "user", "name": who, "role": ROLES[who]})
    answer = await world.ask("alice", "PATCH", path, json={"version": present.body["version"], "members": members})
    assert answer.status == 200, answer
    if world.members.pop(who, None) is None:
        world.members[who] = ROLES[who]
    else:
        for key in world.pairs():
            if key[0] == who:
                may_be_refused(world, key)


def may_be_refused(world: World, key: Key) -> None:
    """A start that was answered and has not passed the gate yet meets what has changed since."""
    if world.shown(key) in {"launching", "inactive"} and world.of(key) & {"running", "launching"}:
        world.expected[key] = world.of(key) | {"failed:not_found"}


async def look(world: World, key: Key) -> None:
    """Somebody looks at a session, and a stranger at the same."""
    who, session = key
    hidden = [
        f"api/renku/projects/{world.project}", f"api/renku/projects/{world.project}/sessions/{session}",
        f"api/renku/projects/{world.project}/sessions/{session}/logs", f"api/renku/sessions/{session}/logs",
        f"api/users/{who}/servers/{session}/progress", f"api/users/{who}",
    ]  # fmt: skip
    for path in hidden:
        answer = await world.ask("mallory", "GET", path)
        assert answer.status in (403, 404), (path, answer)
        assert session not in answer.text.replace(path, ""), (path, answer)
    mine = await world.ask("mallory", "GET", "api/renku/sessions")
    assert mine.body["items"] == []
    page = await world.ask("mallory browses", "GET", f"renku/projects/alice/climate/-/sessions/{session}")
    assert page.status == 404, page
    seen = who in world.members and not world.known(session).deleted
    page = await world.ask(f"{who} browses", "GET", f"renku/projects/alice/climate/-/sessions/{session}")
    assert page.status == (200 if seen else 404), page
    own = await world.ask(who, "GET", f"api/renku/projects/{world.project}/sessions/{session}")
    assert own.status == (200 if seen else 404), own
    if seen:
        assert own.body["instance"]["status"] == world.shown(key), own
        log = await world.ask(who, "GET", f"api/renku/projects/{world.project}/sessions/{session}/logs")
        assert log.status == 200, log


async def finish(world: World) -> None:
    """Whoever has something left deletes it; then nothing is left of anything."""
    await world.quiet()
    for key in world.pairs():
        if world.record(key) is not None:
            answer = await world.act(*key, "delete")
            assert answer.status == 204, (key, answer)
            world.expected[key] = model.deleted(world.of(key))
    await world.quiet()
    assert (world.cluster.pods(), world.cluster.claims()) == ([], [])
    await asyncio.sleep(20)
    await world.assert_idle()
    world.assert_no_secret()
