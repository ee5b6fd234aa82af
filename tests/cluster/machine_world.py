"""The hub, its cluster and its people, and what is known of both: what the rules of the machine act on."""

import asyncio
import base64
import logging
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from renku_spawner.config.renku import Renku
from renku_spawner.domain.instances import Instance
from renku_spawner.hub.adapter import HubServerDirectory
from renku_spawner.lifecycle.decide import ActualState, RecordedState, Step, decide, get_recorded_state
from tests.cluster import machine_model as model
from tests.cluster.machine_clock import within
from tests.cluster.machine_cluster import Cluster, runs
from tests.cluster.machine_hub import ENVIRONMENTS, Hub
from tests.cluster.machine_model import Key, Outcomes
from tests.fakes.kube_store import Change
from tests.fixtures.ports import free_port
from tests.fixtures.renku import xsrf

PEOPLE = ("alice", "bob", "carol", "mallory")  # an owner, an editor, a viewer and a stranger
ROLES = {"alice": "owner", "bob": "editor", "carol": "viewer"}
QUIET = 60.0  # seconds in which all that was begun comes to its end
ANSWERED = 3.0  # seconds
NEVER = 120.0  # seconds, so that a request that hangs ends the test
BLIND = 10.0  # seconds after the cluster is back, or after another trouble with it, until all is right
CANARY = "canary-4711-in-a-variable"
RESTING = {  # what a hub with a watch and no session does
    "ObjectReflector.run",
    "run_startup_jobs",
    "run_periodic_job",
    "shared_client.<locals>.close_client_task",
}
PASSING = {"HTTP1ServerConnection._server_request_loop", "Handler.prepare"}


@dataclass
class Known:
    """A session of the project, as last changed."""

    id: str
    environment: str
    version: int
    deleted: bool = False


@dataclass
class Answer:
    status: int
    body: Any
    text: str

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass
class Template:
    """A hub's folder with people and a project in it, made once and copied for every run."""

    folder: Path
    hub_port: int
    pod_port: int  # stands in the environments of the sessions
    tokens: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    project: str = ""
    environments: dict[str, str] = field(default_factory=dict)
    sessions: list[Known] = field(default_factory=list)


class World:
    def __init__(self, folder: Path, template: Template, lines: list[str]) -> None:
        self.folder, self.template, self.lines = folder, template, lines
        shutil.copytree(template.folder, folder)
        self.project = template.project
        self.sessions = [Known(**vars(known)) for known in template.sessions]
        self.members = dict(ROLES)
        self.cluster = Cluster(template.pod_port)
        self.hub = Hub(folder, self.cluster, hub_port=template.hub_port, pod_port=template.pod_port)
        self.expected: dict[Key, Outcomes] = {}
        self.fates: dict[Key, str] = {}
        self.plans: dict[Key, Any] = {}
        self.dying: dict[Key, set[str]] = {}  # what is about to end the pods
        self.away = False
        self.blinked = -BLIND
        self.lost: set[Key] = set()  # whose claim was removed by hand
        self.may_go: set[str] = set()  # claims by name
        self.deleting: Counter[Key] = Counter()  # requests that are under way
        self.violations: list[str] = []
        self.secrets: set[str] = set()
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.cluster.store.listeners.append(self.heard)

    # ---- life -----------------------------------------------------------------------------------------

    async def begin(self) -> None:
        asyncio.get_running_loop().set_task_factory(self.hub.note)
        await self.cluster.__aenter__()
        await self.hub.start()
        for name in self.template.tokens:
            self.come(name)

    def come(self, name: str) -> None:
        """Somebody with a token, and somebody with a browser."""
        more: dict[str, Any] = {
            "base_url": self.hub.url, "timeout": None, "trust_env": False,
            "limits": httpx.Limits(max_keepalive_connections=0),
        }  # fmt: skip
        token = {"Authorization": f"token {self.template.tokens[name]}"}
        self.clients[name] = httpx.AsyncClient(headers=token, **more)
        self.clients[f"{name} browses"] = httpx.AsyncClient(cookies=self.template.cookies.get(name), **more)

    async def end(self) -> None:
        for client in self.clients.values():
            await client.aclose()
        if self.hub.app:
            await self.hub.stop()
        await self.cluster.__aexit__()

    # ---- what the cluster does is heard at once --------------------------------------------------------

    def heard(self, change: Change) -> None:
        hear = {
            ("secrets", "ADDED"): self.secret_made,
            ("pods", "ADDED"): self.pod_made,
            ("pods", "DELETED"): self.pod_gone,
            ("persistentvolumeclaims", "ADDED"): self.claim_made,
            ("persistentvolumeclaims", "DELETED"): self.claim_gone,
        }.get((change.resource, change.type))
        if hear:
            hear(change.object)

    def secret_made(self, secret: dict[str, Any]) -> None:
        self.secrets.add(base64.b64decode(secret["data"]["JUPYTERHUB_API_TOKEN"]).decode())

    def pod_made(self, pod: dict[str, Any]) -> None:
        key = owner(pod)
        self.fates.pop(key, None)
        if sum(owner(each) == key for each in self.cluster.pods()) > 1:
            self.violations.append(f"I1: a second pod of {key}")

    def pod_gone(self, pod: dict[str, Any]) -> None:
        self.dying.pop(owner(pod), None)

    def claim_made(self, claim: dict[str, Any]) -> None:
        self.lost.discard(owner(claim))
        if self.deleting[owner(claim)]:
            self.may_go.add(claim["metadata"]["name"])

    def claim_gone(self, claim: dict[str, Any]) -> None:
        if claim["metadata"]["name"] not in self.may_go:
            self.violations.append(f"I3: the claim of {owner(claim)} went, and nobody had said so")

    # ---- what people do --------------------------------------------------------------------------------

    async def ask(self, who: str, method: str, path: str, **more: Any) -> Answer:
        """Ask the hub; every answer is in time and has no secret in it."""
        clock = asyncio.get_running_loop()
        began, life = clock.time(), self.hub.name
        try:
            async with asyncio.timeout(NEVER):
                said = await self.clients[who].request(method, path, **more)
        except TimeoutError:
            raise AssertionError(f"I9: {method} {path} was never answered") from None
        if life in self.hub.dead:
            return Answer(0, None, "")  # what a dying hub says reaches nobody
        if (took := clock.time() - began) > ANSWERED:
            self.violations.append(
                f"I9: {method} {path} was answered {said.status_code} after {took:.1f} s: {said.text[:200]}"
            )
        if said.status_code >= 500 and said.status_code != 503:
            self.violations.append(f"{method} {path} was answered {said.status_code}: {said.text[:300]}")
        self.violations += [f"I6: {path} shows a token" for secret in self.secrets if secret in said.text]
        isjson = said.headers.get("content-type", "").startswith("application/json") and said.text
        return Answer(said.status_code, said.json() if isjson else None, said.text)

    async def act(self, who: str, session: str, what: str) -> Answer:
        path = f"api/renku/sessions/{session}"
        if what == "start":
            return await self.ask(who, "POST", f"api/renku/projects/{self.project}/sessions/{session}/start", json={})
        if what == "delete":
            return await self.delete((who, session), f"{path}/instance")
        return await self.ask(who, "POST", f"{path}/{what}")

    async def delete(self, key: Key, path: str) -> Answer:
        """Only a deletion that is confirmed takes a claim with it, and only one that is there by then."""
        self.deleting[key] += 1
        names = {claim["metadata"]["name"] for claim in self.cluster.claims() if owner(claim) == key}
        self.may_go |= names
        answer = await self.ask(key[0], "DELETE", path)
        self.deleting[key] -= 1
        if answer.status == 204:
            self.lost.discard(key)
        elif answer.status == 404:
            self.may_go -= names
        return answer

    async def fill(self, who: str, path: str, **fields: str) -> Answer:
        """Send a form of a page."""
        browser = self.clients[f"{who} browses"]
        return await self.ask(f"{who} browses", "POST", path, data={"_xsrf": xsrf(browser), **fields})

    # ---- what is known ---------------------------------------------------------------------------------

    def of(self, key: Key) -> Outcomes:
        return self.expected.get(key, model.INACTIVE)

    def record(self, key: Key) -> Instance | None:
        """What the hub has stored."""
        assert self.hub.app is not None
        with Renku.instance().context.db.read() as tx:
            return tx.instances.get(key[1], key[0])

    def shown(self, key: Key) -> str:
        found = self.record(key)
        return str(found.status) if found else "inactive"

    def pairs(self) -> list[Key]:
        return [(who, known.id) for who in ROLES for known in self.sessions]

    def known(self, session: str) -> Known:
        return next(known for known in self.sessions if known.id == session)

    @property
    def up(self) -> bool:
        return self.hub.app is not None

    def active(self, key: Key) -> bool:
        record = self.record(key)
        return (record is not None and record.is_active) or bool(self.of(key) & {"running", "launching"})

    def starts(self, key: Key) -> model.Effect:
        """What becomes of it when a start of it is accepted now."""
        coming, record = frozenset(self.comes_to(key)), self.record(key)
        if record is not None and record.is_active:  # it goes on as it was about to
            return lambda before: before | coming
        return model.started(coming)

    def doom(self, key: Key, case: str) -> None:
        """Let its next pod have that life."""
        plans = self.cluster.scripted.plans
        plans[:] = [plan for plan in plans if plan.match is not self.plans.get(key)]
        self.plans[key] = lambda pod: owner(pod) == key
        self.cluster.scripted.plan(case, self.plans[key], times=1)
        self.fates[key] = case
        if self.of(key) & {"running", "launching"} and key not in map(owner, self.cluster.pods()):
            self.expected[key] = self.of(key) | {model.FATES[case]}

    def blinks(self) -> None:
        """Whoever looks away may find that a pod has gone, and not why."""
        self.blinked = asyncio.get_running_loop().time()
        for key in self.dying:
            if any(one.startswith("failed") for one in self.of(key)):
                self.expected[key] = self.of(key) | {"failed:pod_removed"}

    @property
    def blind(self) -> bool:
        """Whether the hub may say that the cluster does not answer."""
        return self.away or asyncio.get_running_loop().time() - self.blinked < BLIND

    def hub_goes(self) -> None:
        """A start that is under way goes on with the next hub, or is cleaned away."""
        self.blinks()
        for key in self.pairs():
            if self.shown(key) == "launching":
                self.expected[key] = self.of(key) | model.CUT | model.REFUSED

    def comes_to(self, key: Key) -> set[str]:
        """What a start of it that is accepted now may come to."""
        found = {model.FATES[self.fates[key]] if key in self.fates else "running"}
        found |= self.dying.get(key, set())
        found |= model.NO_ANSWER if self.away else frozenset()
        return found | ({"failed:volume_lost"} if key in self.lost else set())

    # ---- invariants -------------------------------------------------------------------------------------

    def always(self) -> None:
        assert not self.violations, self.violations
        if self.hub.app:
            assert self.hub.app.tornado_settings.get("failure_count", 0) == 0, "I7"

    async def heal(self) -> None:
        self.cluster.faults.clear()
        if self.away:
            await self.cluster.come_back()
            self.away = False
        if self.hub.app is None:
            await self.hub.start()

    async def quiet(self) -> None:
        """Without further trouble all comes to rest, as expected and as the cluster has it; and stays so."""
        await self.heal()
        await within(QUIET, lambda: not self.strange(self.stored()))
        await asyncio.sleep(5)
        told = await self.told()
        assert not (strange := self.strange(told)), strange
        self.expected = {key: frozenset({said}) for key, said in told.items()}
        self.always()
        assert (await self.ask("alice", "GET", "health")).status == 200, "I7"

    def stored(self) -> dict[Key, str]:
        """The status of each, as the hub has it."""
        found = {}
        for key in self.pairs():
            record = self.record(key)
            reason = f":{record.reason}" if record and record.status == "failed" else ""
            found[key] = f"{record.status}{reason}" if record else "inactive"
        return found

    async def told(self) -> dict[Key, str]:
        """The status of each, as its owner sees it."""
        found = dict.fromkeys(self.pairs(), "inactive")
        for who in ROLES:
            answer = await self.ask(who, "GET", "api/renku/sessions?limit=100")
            for item in answer.body["items"]:
                instance = item["instance"]
                said = instance["status"]
                reason = f":{instance['reason']}" if said == "failed" else ""
                found[who, item["session"]] = f"{said}{reason}"
        return found

    def strange(self, shown: dict[Key, str]) -> list[str]:
        """What is not as it should be when all is quiet."""
        found = [f"{key} is {said}, not {set(self.of(key))}" for key, said in shown.items() if said not in self.of(key)]
        pods = Counter(owner(pod) for pod in self.cluster.pods())
        for pod in self.cluster.pods():
            found += self.wrong_pod(pod, shown.get(owner(pod), "nothing"))
        for key, said in shown.items():
            found += (
                [f"{key} is {said} and has {pods[key]} pods"]
                if (said in {"running", "launching"}) != (pods[key] == 1)
                else []
            )
        secrets = len(self.cluster.objects("secrets", "sessions"))
        found += (
            [f"{secrets} secrets for {len(self.cluster.pods())} pods"] if secrets != len(self.cluster.pods()) else []
        )
        found += [f"{key} is still being deleted" for key in Renku.instance().reconciler.tasks]
        return found + self.steps_left() + self.wrong_claims(shown) + self.wrong_routes(shown)

    def steps_left(self) -> list[str]:
        """Steps that the table still asks for: what is quiet needs none."""
        assert self.hub.app is not None
        servers = HubServerDirectory(self.hub.app)
        running = {owner(pod) for pod in self.cluster.pods() if "deletionTimestamp" not in pod["metadata"]}
        found = []
        for key in self.pairs():
            recorded, server = get_recorded_state(self.record(key)), servers.get_state(*key)
            step = decide(recorded, ActualState.RUNNING if key in running else ActualState.ENDED, server)
            # A start that the cluster finds no place for goes on after a restart in the hub's check of its server.
            goes_on = step is Step.RESUME_LAUNCH and "launching" in self.of(key)
            waits = goes_on or (step is Step.WAIT and recorded in (RecordedState.QUEUED, RecordedState.LAUNCHING))
            if not waits and step not in (Step.NOTHING, Step.RECORD_SEEN):
                found.append(f"{key} is {recorded} with a server that is {server}, and needs {step}")
        return found

    def wrong_pod(self, pod: dict[str, Any], said: str) -> list[str]:
        record = self.record(owner(pod))
        labels = pod["metadata"]["labels"]
        if record is None or record.run != labels["renku.io/launch"]:
            return [f"I2: the pod of {owner(pod)} is of no run that is recorded"]
        if said == "running" and not (runs(pod) and "deletionTimestamp" not in pod["metadata"]):
            return [f"I4: {owner(pod)} is shown as running: {pod['status']}"]
        return []

    def wrong_claims(self, shown: dict[Key, str]) -> list[str]:
        there = {owner(claim): claim["metadata"]["name"] for claim in self.cluster.claims()}
        found = []
        for key, said in shown.items():
            record = self.record(key)
            name = f"work-{record.claim}" if record and record.claim else None
            if key in there and name != there[key]:
                found.append(f"I3: {key} is {said}, its claim is {there[key]} and not {name}")
            if said == "running" and key not in there:
                found.append(f"I3: {key} runs without a claim")
        return found

    def wrong_routes(self, shown: dict[Key, str]) -> list[str]:
        assert self.hub.app is not None
        there = {
            (r["data"]["user"], r["data"]["server_name"])
            for r in self.hub.app.proxy.table.values()
            if "user" in r["data"]
        }
        running = {key for key, said in shown.items() if said == "running"}
        found = [f"routes of {there}, while {running} run"] if there != running else []
        addresses = {
            owner(pod): f"http://{pod['status'].get('podIP')}:{self.template.pod_port}" for pod in self.cluster.pods()
        }
        for route in self.hub.app.proxy.table.values():
            key = route["data"].get("user"), route["data"].get("server_name")
            if key in running and route["target"] != addresses.get(key):
                found.append(f"the route of {key} leads to {route['target']}, not to {addresses.get(key)}")
        return found

    # ---- at the end --------------------------------------------------------------------------------------

    async def assert_idle(self) -> None:
        """Nothing goes on in a hub without sessions but what goes on for ever; a job's read may be just under way."""
        idle = await within(10, lambda: not {name for name in self.hub.doing() if name not in RESTING | PASSING})
        assert idle, self.hub.doing()
        assert self.hub.doing()["ObjectReflector.run"] <= 2, self.hub.doing()

    def assert_no_secret(self) -> None:
        """Neither in the database, whatever the column, nor in a log."""
        stored = b"".join(file.read_bytes() for file in self.folder.glob("hub.sqlite*"))
        logged = "\n".join(self.lines)
        for secret in self.secrets:
            assert secret.encode() not in stored, "I6: a token stands in the database"
            assert secret not in logged, "I6: a token stands in the log"
        assert CANARY not in logged, "I6: a variable stands in the log"


def owner(thing: dict[str, Any]) -> Key:
    """Whose pod or claim it is, and of which session."""
    metadata = thing["metadata"]
    return metadata["annotations"]["renku.io/username"], metadata["labels"]["renku.io/session"]


class Lines(logging.Handler):
    """Everything that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


async def prepare(folder: Path) -> Template:
    """Make the folder that every run begins with."""
    folder.mkdir()
    template = Template(folder, free_port(), free_port())
    world = World(folder.with_name("first"), template, [])
    await world.begin()
    for name in PEOPLE:
        template.tokens[name] = world.hub.person(name)
        world.come(name)
        template.cookies[name] = await log_in(world, name)
    members = [{"name": name, "role": role} for name, role in ROLES.items()]
    made = await world.ask("alice", "POST", "api/renku/projects", json={"path": "alice/climate", "title": "Climate"})
    template.project = world.project = made.body["id"]
    change = {"version": made.body["version"], "members": members}
    await world.ask("alice", "PATCH", f"api/renku/projects/{world.project}", json=change)
    await within(10, lambda: environments(world))
    template.environments = await environments(world)
    for name, id in template.environments.items():
        body = {
            "environment": id,
            "title": f"Session in {name}",
            "configuration": {"variables": {"MY_TOKEN": CANARY}},
            "allow_secret": True,
        }
        made = await world.ask("bob", "POST", f"api/renku/projects/{world.project}/sessions", json=body)
        template.sessions.append(Known(made.body["id"], name, made.body["version"]))
    await world.end()
    for file in world.folder.glob("hub.sqlite*"):
        shutil.copy(file, folder)
    return template


async def environments(world: World) -> dict[str, str]:
    answer = await world.ask("alice", "GET", "api/renku/environments")
    names = {entry["name"]: key for key, entry in ENVIRONMENTS.items()}
    return {names[item["name"]]: item["id"] for item in answer.body["items"]}


async def log_in(world: World, name: str) -> dict[str, str]:
    browser = world.clients[f"{name} browses"]
    await browser.get("login")
    await browser.post("login", data={"username": name, "password": "", "_xsrf": xsrf(browser)})
    await browser.get("home", follow_redirects=True)
    return {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}
