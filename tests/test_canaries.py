"""Every kind of secret is planted and comes out nowhere; and wherever one does, it is found."""

import json
import logging
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import prometheus_client
import pytest
from tornado.web import RequestHandler

from renku_spawner.domain.instances import InstanceStatus
from tests.cluster.conftest import on_cluster, renku_hub
from tests.fakes.conftest import client, cluster
from tests.fixtures import canaries, canary_places
from tests.fixtures.renku import xsrf

__all__ = ["client", "cluster", "on_cluster", "renku_hub"]

SECRET = "canary-of-the-self-test"
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STATES = {"Authenticator": {"enable_auth_state": True}}


# ---- planted ---------------------------------------------------------------------------------------------


async def test_secrets_of_every_kind_pass_through_a_hub_and_a_cluster(postgresql_url, on_cluster, tmp_path):
    file = tmp_path / "pull.json"
    entry = b64encode(f"robot:{canaries.planted('registry')}".encode()).decode()
    canaries.plant("registry", entry)
    file.write_text(json.dumps({"auths": {"registry.example.org": {"auth": entry}}}))
    it = await on_cluster(JupyterHub={"db_url": postgresql_url}, Renku={"registry_credentials": str(file)}, **STATES)
    hub, kept = it.hub, {"access_token": canaries.planted("git")}
    await hub.user("alice").save_auth_state(kept)
    secrets = {"S3_SECRET_ACCESS_KEY": canaries.planted("storage")}
    project = await hub.project()
    works = await hub.session(project, "Works", variables=secrets)
    fails = await hub.session(project, "Fails", key="r", variables={**secrets, "TINY_EXIT": "3"})
    alice = hub.client("alice")
    for session, status in [(works, InstanceStatus.RUNNING), (fails, InstanceStatus.FAILED)]:
        await alice.post(f"api/renku/projects/{project.id}/sessions/{session.id}/start")
        await hub.becomes(session, status)
        logs = await alice.get(f"api/renku/sessions/{session.id}/logs")
        assert "tiny server starts with token [hidden]" in logs.text
    assert await hub.user("alice").get_auth_state() == kept
    hub.app.log.info("Pods: %s", it.pods())
    for page in ("metrics", "home", f"renku/projects/{project.path}", "renku/sessions", "api/user", "api/users/alice"):
        await alice.get(page)


async def test_credentials_in_what_is_typed_are_refused_and_not_echoed(renku_hub):
    hub = await renku_hub()
    project, alice, visitor = await hub.project(), hub.client("alice"), await hub.visitor("alice")
    api, page = f"api/renku/projects/{project.id}", f"renku/projects/{project.path}/-/repositories"
    secret = canaries.planted("git")
    for url in (f"https://alice:{secret}@git.example.org/a/b", f"https://{secret}@git.example.org/a/b.git"):
        body = {"version": project.version, "repositories": [{"url": url}]}
        answer = await alice.patch(api, json=body)
        assert (answer.status_code, secret in answer.text) == (422, False)
        answer = await visitor.post(page, data={"url": url, "_xsrf": xsrf(visitor)})
        assert (answer.status_code, secret in answer.text) == (422, False)
    image = f"robot:{canaries.planted('registry')}@registry.example.org/a/b"
    answer = await alice.post(f"{api}/sessions", json={"image": image})
    assert (answer.status_code, image in answer.text) == (422, False)


# ---- found -----------------------------------------------------------------------------------------------


@pytest.fixture
def own():
    """Somebody who listens beside the run's own, and knows a secret that nobody else does."""
    with canaries.listening() as listener:
        listener.plant("git", SECRET, lasting=True)
        yield listener


def places(listener):
    """Where that secret was found."""
    return {leak.partition(" in ")[2].partition(":")[0] for leak in listener.search()}


class Leak(RequestHandler):
    """A page that tells it, in its head or in its body, at once or later."""

    async def get(self, how):
        if how == "head":
            self.set_header("X-Told", SECRET)
        elif how == "later":
            self.write("first")
            await self.flush()
        self.write(SECRET if how != "head" else "nothing")


@pytest.mark.parametrize("how", ["head", "body", "later"])
async def test_what_a_page_tells_is_found(renku_hub, own, how):
    hub = await renku_hub()
    hub.app.tornado_application.add_handlers(".*", [(r".*/leak/(\w+)", Leak)])
    assert places(own) == set()
    await hub.client("alice").get(f"leak/{how}")
    assert places(own) == {"page"}


async def test_what_a_hub_leaves_is_found(database_url, renku_hub, own, tmp_path):
    hub = await renku_hub(JupyterHub={"db_url": database_url})
    assert found_in(hub, own, tmp_path) == set()
    await hub.project(description=f"It is {SECRET}.")
    assert found_in(hub, own, tmp_path) == {"database"}
    gauge = prometheus_client.Gauge("leak", "A metric that tells it.", ["what"])
    gauge.labels(SECRET).set(1)
    config = tmp_path / "sessions" / "x" / ".git" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(f"url = https://{SECRET}@git.example.org")
    try:
        assert found_in(hub, own, tmp_path) == {"database", "metrics", "git config"}
    finally:
        prometheus_client.REGISTRY.unregister(gauge)


def found_in(hub, listener, folder):
    listener.heard.clear()
    for place, text in canary_places.of_hub(hub.app, folder):
        listener.collect(place, text)
    return places(listener)


def test_what_is_logged_is_found_also_as_an_exception(own):
    logging.getLogger("JupyterHub").warning("started with %s", [SECRET])
    assert places(own) == {"log"}
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("tornado").warning("refused", exc_info=True)
    assert places(own) == {"log"}


@pytest.mark.parametrize("resource", ["pods", "secrets"])
async def test_what_the_cluster_is_sent_is_found_but_for_secrets(client, own, resource):
    labels = {f"{canary_places.RENKU_LABEL_PREFIX}session": "abc"}
    container = {"name": "a", "image": "a", "env": [{"name": "A", "value": SECRET}]}
    pod = {"kind": "Pod", "metadata": {"name": "a", "labels": labels}, "spec": {"containers": [container]}}
    secret = {"kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": SECRET}}
    body = {"apiVersion": "v1", **(pod if resource == "pods" else secret)}
    await client.send("POST", f"/api/v1/namespaces/sessions/{resource}", body)
    assert places(own) == ({"pod"} if resource == "pods" else set())


def test_what_a_command_line_or_a_session_is_given_is_found(own):
    subprocess.run(["true", SECRET], check=True)
    assert places(own) == {"command line"}
    subprocess.run(["true"], check=True, env={"RENKU_SESSION_ID": "abc", "KEPT": SECRET})
    assert places(own) == {"environment"}


def test_what_a_running_process_was_given_is_found(own):
    process = subprocess.Popen([*SLEEP, SECRET])
    try:
        own.heard.clear()
        end = time.monotonic() + 20
        while SECRET not in Path(f"/proc/{process.pid}/cmdline").read_text():
            assert time.monotonic() < end
        canaries.look_at_processes()
        assert places(own) == {"command line"}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("form", [SECRET.encode().hex(), "Y2FuYXJ5LW9mLXRoZS1zZWxmLXRlc3Q", SECRET])
def test_a_secret_is_found_in_other_clothes(own, form):
    own.collect("page", f'{{"a": "{form}"}}')
    assert own.search() == ['git in page: {"a": "<git>"}']


def test_what_belongs_there_is_no_leak_and_what_was_searched_is_forgotten(own):
    own.plant("storage", "S3-credential-of-somebody")
    own.collect("database", "S3-credential-of-somebody")
    own.collect("log", "nothing")
    assert own.search() == []
    own.collect("log", "S3-credential-of-somebody")
    assert own.search() == []  # no hub runs that could still tell it


# ---- a run -----------------------------------------------------------------------------------------------

LEAKS = """
from tests.fixtures import canaries

def test_nothing():
    pass

def test_tells():
    canaries.LISTENING[-1].plant("git", "canary-of-a-run-within-a-run")
    print("It is canary-of-a-run-within-a-run.")
"""


def test_a_run_fails_for_a_secret_that_came_out_and_for_what_it_has_not_shown(pytester):
    pytester.makepyfile(LEAKS)
    options = ["-p", canaries.__name__, "--canaries", "-o", "asyncio_default_fixture_loop_scope=function"]
    run = pytester.runpytest_inprocess(*options)
    run.assert_outcomes(passed=2, errors=1)
    said = run.stdout.str()
    assert "git in output: It is <git>." in said
    assert ("'git' was planted" in said, "'output' was searched" in said) == (False, False)
    assert "No secret of the kind 'storage' was planted." in said
    assert "No place of the kind 'pod' was searched." in said
    alone = pytester.runpytest_inprocess(*options, "-k", "nothing")
    alone.assert_outcomes(passed=1, deselected=1)
    assert alone.ret == 1


def test_what_workers_have_shown_is_added_up(pytestconfig, monkeypatch):
    sums = {name: Counter() for name in ("planted", "searched", "milliseconds")}
    monkeypatch.setitem(pytestconfig.stash._storage, canaries.SUMS, sums)
    for counted in (3, 4):
        output = {"canaries": {"planted": {"git": counted}, "searched": {"log": 1}}}
        canaries.pytest_testnodedown(SimpleNamespace(config=pytestconfig, workeroutput=output))
    canaries.pytest_testnodedown(SimpleNamespace(config=pytestconfig))  # one that broke down
    assert (sums["planted"], sums["searched"]) == ({"git": 7}, {"log": 2})


def test_a_run_that_shows_everything_says_so():
    full = Counter((*canaries.KINDS, *canary_places.PLACES))
    assert canaries.unproved(full, full) == []
