"""Before somebody deletes their data, a pod that only reads them tells what would be lost."""

import re
from pathlib import Path

import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository
from renku_spawner.spawners.kubernetes import pvc_reader
from tests.fixtures.renku import until
from tests.spawners.local.conftest import git
from tests.spawners.local.test_unsaved import VECTORS, trap

from .test_probe import programs
from .test_rights import asked, become, refused, rights, with_the_role

__all__ = ["trap"]
HOSTILE = ("fsmonitor", "clean filter", "process filter", "external diff", "textconv", "include", "lazy fetch")
UNKNOWN, LATER, KNOWN = "We do not know what is in it", "Look again", "files outside of repositories"
DASH = "\N{EN DASH}"


class Page:
    """The page that deletes alice's data of a session."""

    def __init__(self, it, session):
        self.it, self.session, self.visitor = it, session, None

    async def load(self) -> str:
        self.visitor = self.visitor or await self.it.hub.visitor("alice")
        answer = await self.visitor.get(f"renku/sessions/{self.session.id}/data")
        assert answer.status_code == 200
        return answer.text

    async def known(self) -> str:
        """As it is in the end: a busy machine may need more than the moment that somebody waits."""

        async def there() -> str:
            page = await self.load()
            return "" if LATER in page else page

        return str(await until(there, why="the look has ended"))


def rows(page: str) -> dict[str, list[str]]:
    """The table's cells as text, by the first one."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("</tr>") if "<th" in row]
    name, *cells = zip(*[[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in found], strict=True)
    return {key: list(rest) for key, *rest in zip(name, *cells, strict=True)}


@pytest.fixture
async def running(on_cluster):
    """A function that starts a session; its page and the cluster."""

    async def make(title="Explore", **changes):
        it = await on_cluster(**changes)
        session = await it.hub.session(await it.hub.project(), title)
        await become(it, session, "start", InstanceStatus.RUNNING)
        return it, session, Page(it, session)

    return make


async def delete(it, session):
    answer = await it.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
    assert answer.status_code in (200, 202, 204), answer.text


async def test_what_would_be_lost_is_shown_whether_it_runs_or_rests_and_nothing_of_it_is_run(
    on_cluster, upstream, trap
):
    upstream.commit("code", a="1\n", b="1\n")
    host = upstream.server.url.removeprefix("http://")
    it = await on_cluster(Renku={"repository_hosts": {host}})
    with_the_role(it.cluster)
    project = await it.hub.project(repositories=(NewRepository(url=upstream.url("code")),))
    session = await it.hub.session(project)
    page = Page(it, session)
    await become(it, session, "start", InstanceStatus.RUNNING)
    work = it.kubelet.claim_of(it.pods()[0])
    spoil(work / "code", trap)
    (work / "note.txt").write_text("loose")
    shown = await page.known()
    assert "as it is now" in shown
    assert rows(shown) == {"code": ["would be lost", "2", "1", "main"], KNOWN: ["would be lost", "1", DASH, DASH]}
    await become(it, session, "pause", InstanceStatus.PAUSED)
    (work / "note.txt").unlink()
    shown = await page.known()
    assert "as it is now" in shown
    assert rows(shown) == {"code": ["would be lost", "2", "1", "main"], KNOWN: ["none", "0", DASH, DASH]}
    assert not trap["canary"].exists()
    assert (it.pods(), it.looks()) == ([], [])
    first, second = [r.body["spec"] for r in it.cluster.requests if r.verb == "create" and "renku-look" in str(r.body)]
    assert (it.cluster.node in str(first["affinity"]), second.get("affinity")) == (True, None)
    await page.known()
    await delete(it, session)
    await until(lambda: it.claims() == [], why="the claim is gone")
    assert refused(it.cluster) == set()
    assert asked(it.cluster) <= {(verb, resource) for resource, verbs in rights().items() for verb in verbs}


def spoil(code: Path, trap) -> None:
    """A commit that is nowhere else, a change, a new file, and what makes ordinary git run a program."""
    git(code, "commit", "--quiet", "--allow-empty", "--message", "mine")
    (code / "a").write_text("2\n")
    (code / ".gitattributes").write_text("a filter=evil diff=evil\n")
    with (code / ".git" / "config").open("a") as file:
        file.write("\n".join(VECTORS[vector].format(**trap) for vector in HOSTILE))


async def test_a_look_that_takes_long_goes_on_beside_and_ends_when_somebody_needs_the_claim(
    running, tmp_path, monkeypatch
):
    monkeypatch.setattr(pvc_reader, "INSPECTION_WAIT_SECONDS", 0.5)
    it, session, page = await running()
    await become(it, session, "pause", InstanceStatus.PAUSED)
    go = tmp_path / "go"
    programs(
        it, tmp_path, f'while [ ! -e {go} ]; do sleep 0.1; done; exec /usr/bin/env -S PATH=/usr/bin:/bin python3 "$@"'
    )
    assert LATER in await page.load()
    assert LATER in await page.load()
    (first,) = await until(it.looks)
    go.touch()
    assert KNOWN in await page.known()
    go.unlink()
    await become(it, session, "start", InstanceStatus.RUNNING)
    assert LATER in await page.load()
    await become(it, session, "pause", InstanceStatus.PAUSED)
    (second,) = await until(it.looks)
    await become(it, session, "start", InstanceStatus.RUNNING)
    assert it.looks() == []
    assert LATER in await page.load()
    (third,) = await until(it.looks)
    await delete(it, session)
    await until(lambda: (it.looks(), it.claims()) == ([], []), why="nothing holds the claim")
    assert len({look["metadata"]["uid"] for look in (first, second, third)}) == 3


# What the python3 of the image that looks does instead.
BROKEN = {"fails": "exit 3", "prints garbage": "echo '{}'", "hangs": "exec sleep 1000"}


async def test_where_it_cannot_be_looked_at_the_page_says_that_nobody_knows(running, tmp_path, monkeypatch):
    monkeypatch.setattr(pvc_reader, "INSPECTION_TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(pvc_reader, "ACTIVE_INSPECTION_TTL_SECONDS", 0)
    it, session, page = await running()
    for how, program in BROKEN.items():
        programs(it, tmp_path, program)
        assert f"{UNKNOWN}: it cannot be looked at from here. Open it to see for yourself." in await page.known(), how
        assert (len(it.pods()), it.looks()) == (1, []), how
    it.kubelet.programs.clear()
    fault = it.cluster.fault(lambda r: r.verb == "create" and "renku-look" in str(r.body), times=99, status=403)
    assert UNKNOWN in await page.known()
    assert fault.seen
    it.cluster.faults.clear()
    assert KNOWN in await page.known()
    it.hub.user("alice").spawners[session.id].show_unsaved = False
    assert UNKNOWN in await page.known()
    assert await it.hub.status(session) is InstanceStatus.RUNNING
