"""A session from the project's private registry starts for who may pull it, with their own token and nobody else's."""

import base64
import json
import re

import httpx
import pytest

from renku_spawner.domain.ci_images import CiImageOrigin
from renku_spawner.domain.environments import EnvironmentKind, NewEnvironment, NewRevision
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.sessions import SessionConfiguration
from renku_spawner.spawners.errors import LaunchFailed
from renku_spawner.spawners.kubernetes.api import KubernetesAPI
from renku_spawner.spawners.kubernetes.secrets import PodPullSecret
from renku_spawner.usecases.image_pull_credentials import resolve_pull_registry
from renku_spawner.usecases.instances import prepare_launch_spec
from tests.cluster.conftest import on_cluster
from tests.cluster.test_rights import FOR_PRIVATE_IMAGES, asked, refused, with_the_role
from tests.fakes.conftest import client, cluster
from tests.fixtures.renku import until
from tests.integrations.gitlab import inside as own
from tests.integrations.gitlab import logins
from tests.spawners import ways

__all__ = ["client", "cluster", "on_cluster"]
lab, pods, renku_hub = logins.lab, own.pods, logins.renku_hub
PRIVATE = {"Renku": {"private_images": True}}


def built(it, *, project=None, registry=None, repositories=None):
    """A session of an image that the project's own CI has built; *registry* is another place for it to be."""
    digest = it.theirs.image("abcdef12")
    image = NewRevision(
        image=f"{it.theirs.image_prefix}:abcdef12", repository=registry or it.theirs.image_prefix, tag="abcdef12",
        digest=digest, commit="abcdef12" * 5,
        built=CiImageOrigin(url=it.url, source=str(it.theirs.id), ref="main", pipeline=1),
    )  # fmt: skip
    said = NewEnvironment(name="Spectra", kind=EnvironmentKind.REPOSITORY, project=project or it.session.project)
    with it.hub.parts.db.write() as tx:
        environment = tx.environments.add(said, image, by="alice", now=it.hub.parts.now())
        return tx.sessions.add(
            id=create_id(),
            project=said.project,
            environment=environment,
            revision=environment.revision,
            title=create_id(),
            description="",
            configuration=SessionConfiguration(repositories=repositories),
            by="alice",
            now=it.hub.parts.now(),
        )


def secrets(on):
    found = on.cluster.objects("secrets", "sessions")
    return [secret for secret in found if secret["type"] == "kubernetes.io/dockerconfigjson"]


def told(secret):
    """What the kubelet reads."""
    return json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]


async def download(image, auths):
    """Ask for a manifest as a kubelet does; the status of the answer."""
    host, _, rest = image.partition("/")
    path, _, digest = rest.partition("@")
    async with httpx.AsyncClient(trust_env=False, timeout=300) as client:
        url = f"http://{host}/v2/{path}/manifests/{digest}"
        first = await client.get(url)
        realm, service, scope = re.findall('"([^"]*)"', first.headers["WWW-Authenticate"])[:3]
        basic = {"Authorization": f"Basic {auths[host]['auth']}"}
        token = await client.get(realm, params={"service": service, "scope": scope}, headers=basic)
        if token.status_code != 200:
            return token.status_code
        bearer = {"Authorization": f"Bearer {token.json()['token']}", "Accept": "*/*"}
        return (await client.get(url, headers=bearer)).status_code


async def started(it, session, name="alice"):
    answer = await ways.start(it.hub, session, name)
    assert answer.status_code in (200, 202), answer.text
    return await it.hub.becomes(session, InstanceStatus.RUNNING, name, seconds=60)


@pytest.mark.parametrize("repositories", [None, ()])
async def test_the_pod_downloads_it_with_its_users_own_token_and_the_secret_goes_with_the_pod(pods, repositories):
    it, on = await pods(**PRIVATE)
    session = built(it, repositories=repositories)
    await started(it, session)
    (pod,), (secret,) = on.pods(), secrets(on)
    spec = pod["spec"]
    notebook = spec["containers"][0]
    assert spec["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]
    assert notebook["imagePullPolicy"] == "Always"
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Pod", pod["metadata"]["uid"])
    assert told(secret)[it.lab.registry_host]["password"] == it.lab.tokens("alice")[-1].access
    assert it.lab.tokens("alice")[-1].access not in json.dumps(pod)
    assert await download(notebook["image"], told(secret)) == 200
    mounted = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
    assert set(mounted) == {secret["metadata"]["name"].removesuffix("-pull")}, "it waits for what is made last"
    await ways.pause(it.hub, session)
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    assert secrets(on) == []


async def test_what_is_given_lasts_and_is_renewed_while_the_image_comes(pods):
    it, on = await pods(**PRIVATE)
    with_the_role(on.cluster)
    session = built(it)
    await it.it.change_state("alice", renku_expires_at=it.lab.tokens("alice")[-1].created + 600)  # ten minutes are left
    await started(it, session)
    (secret,) = secrets(on)
    assert told(secret)[it.lab.registry_host]["password"] == it.lab.tokens("alice")[-1].access
    assert len(it.lab.tokens("alice")) == 2, "less than fifteen minutes are too few"
    spawner = it.it.user("alice").spawners[session.id]
    pull = PodPullSecret(
        context=it.hub.parts, calls=KubernetesAPI(spawner.api, "sessions"), spec=spawner.spec,
        secret=secret["metadata"]["name"].removesuffix("-pull"), given="whatever an earlier hub gave",
    )  # fmt: skip
    async with pull.keep_refreshed():
        await until(lambda: pull.given != "whatever an earlier hub gave", seconds=30)
        await it.it.expire("alice")

        def renewed():
            (now,) = secrets(on)
            return told(now)[it.lab.registry_host]["password"] == it.lab.tokens("alice")[-1].access

        await until(lambda: len(it.lab.tokens("alice")) == 3 and renewed(), seconds=30)
    (pod,), (secret,) = on.pods(), secrets(on)
    assert await download(pod["spec"]["containers"][0]["image"], told(secret)) == 200
    assert refused(on.cluster) == set()
    assert asked(on.cluster) >= FOR_PRIVATE_IMAGES
    it.lab.revoke("alice")
    await it.it.change_state("alice", renku_expires_at=0.0)
    with pytest.raises(LaunchFailed, match="image_denied"):
        await pull.fetch_login()


async def test_who_may_not_reads_why_and_no_other_registry_gets_a_token(pods):
    it, on = await pods(**PRIVATE)
    _, public = await it.add("open/tool", visibility="public")
    session = built(it, project=public.project)  # an image of astro/spectra, which carol does not see
    answer = await ways.start(it.hub, session, "carol")
    assert (answer.status_code, answer.json()["code"]) == (409, "image_denied")
    alice = it.hub.person("alice")
    elsewhere = built(it, registry=f"evil.example.org/{it.theirs.path}")
    beside = built(it, registry=f"{it.theirs.image_prefix}2")
    for other in (elsewhere, beside, it.session):
        spec = await prepare_launch_spec(it.hub.parts, alice, other.id)
        assert await resolve_pull_registry(it.hub.parts, alice, spec) is None
    own.change_policy(it.hub, private_images=False)
    await started(it, session)
    (pod,) = on.pods()
    assert "imagePullSecrets" not in pod["spec"]
    assert secrets(on) == []
