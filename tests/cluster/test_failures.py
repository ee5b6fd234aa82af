"""A start that cannot succeed ends with its reason, leaves no pod, and the hub lives on."""

import asyncio

import pytest

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository
from renku_spawner.spawners.kubernetes import spawner
from tests.fakes.kube import HEALING, Trouble
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import IMAGES, until

# The recorded life of the pod: the reason, and what its owner reads of it.
FINAL = {
    "image-invalid-name": ("image_invalid", "is not the name of an image"),
    "image-missing-tag": ("image_not_found", "does not exist or is not public"),
    "image-auth-none": ("image_denied", "refuses access"),
    "image-registry-refused": ("registry_unreachable", "does not answer"),
    "image-wrong-platform-index": ("image_platform_mismatch", "no variant"),
    "image-never-pull": ("image_never_pull", "does not download"),
    "nonroot-image-root": ("image_root", "wants to run as root"),
    "secret-missing-env": ("config_error", "not found"),
    "secret-missing-key": ("config_error", "couldn't find key"),
    "exit-1-onfailure": ("crash_exit", "ended with code 1"),
    "start-command-not-found": ("command_not_found", "does not exist"),
}


async def start(it, session):
    answer = await it.hub.client("alice").post(f"api/renku/projects/{session.project}/sessions/{session.id}/start")
    assert answer.status_code in (200, 202), answer.text


async def several(it, count):
    project = await it.hub.project()
    return [await it.hub.session(project, f"Session {number}") for number in range(count)]


def of(session):
    return lambda pod: pod["metadata"]["labels"]["renku.io/session"] == session.id


def creates(resource):
    return lambda request: (request.verb, request.resource) == ("create", resource)


CANARY = "canary-4711"
MANY = {"Renku": {"one_active_per_environment": False}}


async def test_each_failure_that_cannot_heal_ends_the_start_with_its_reason(on_cluster):
    """And no pod is left."""
    it = await on_cluster(**MANY)
    sessions = dict(zip(FINAL, await several(it, len(FINAL)), strict=True))
    for case, session in sessions.items():
        it.kubelet.plan(case, of(session), logs={"notebook": "a last word\n"})
    for session in sessions.values():
        await start(it, session)
    for case, session in sessions.items():
        failed = await it.hub.becomes(session, InstanceStatus.FAILED)
        code, said = FINAL[case]
        assert (case, failed.reason) == (case, code)
        assert said in failed.message, case
        assert failed.advice, case
    logs = await it.hub.client("alice").get(f"api/renku/sessions/{sessions['exit-1-onfailure'].id}/logs")
    assert "a last word" in logs.text
    assert it.pods() == []
    assert len(it.claims()) == len(FINAL)
    assert failures(it) == 0


PROGRAMS = [
    {"key": "none", "name": "No server", "image": "docker.io/library/alpine:3"},
    {"key": "other", "name": "Misspelt", "image": "docker.io/library/alpine:3", "command": ["start-me"]},
]


async def test_an_image_without_a_server_is_told_apart_from_one_without_the_program(on_cluster):
    it = await on_cluster(Renku={"environments": PROGRAMS}, RenkuSpawner={"cmd": ["jupyterhub-singleuser"]})
    project = await it.hub.project()
    none, other = [await it.hub.session(project, key, key=key) for key in ("none", "other")]
    await start(it, none)
    await start(it, other)
    failed = await it.hub.becomes(none, InstanceStatus.FAILED)
    told = "The image docker.io/library/alpine:3 has no JupyterHub server in it."
    assert (failed.reason, failed.message) == ("no_jupyter", told)
    failed = await it.hub.becomes(other, InstanceStatus.FAILED)
    assert (failed.reason, failed.message) == ("command_not_found", "The program start-me does not exist.")


async def test_a_full_disk_is_told_and_a_larger_one_lets_the_session_start(on_cluster):
    it = await on_cluster(RenkuSpawner={"storage_class": "growing"})
    session = await it.hub.session(await it.hub.project(), variables={"TINY_FULL": "1"})
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, failed.message) == ("crash_disk_full", "The disk is full.")
    assert "larger disk" in failed.advice
    assert (it.pods(), len(it.claims())) == ([], 1)
    path = f"api/renku/projects/{session.project}/sessions/{session.id}"
    body = {"version": session.version, "configuration": {"disk": "5Gi", "variables": {}}}
    assert (await it.hub.client("alice").patch(path, json=body)).status_code == 200
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert [claim["spec"]["resources"]["requests"]["storage"] for claim in it.claims()] == ["5Gi"]


async def test_a_secret_of_that_name_that_somebody_else_has_made_is_not_used(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    added = asyncio.Event()
    it.cluster.fault(creates("secrets"), held=added)
    await start(it, session)
    (pod,) = await until(it.pods)
    run = pod["metadata"]["labels"]["renku.io/launch"]
    name = f"{pod['metadata']['name']}-{run}"
    foreign = it.cluster.add("secrets", "sessions", name, data={"JUPYTERHUB_API_TOKEN": "Zm9yZWlnbg=="})
    added.set()
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, name in failed.message) == ("in_the_way", True)
    assert it.pods() == []
    assert [each["metadata"]["uid"] for each in it.cluster.objects("secrets", "sessions")] == [
        foreign["metadata"]["uid"]
    ]


async def test_a_secret_that_was_made_unseen_is_this_starts_own(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.cluster.fault(creates("secrets"), reset=True)
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert [r.status for r in it.cluster.requests if creates("secrets")(r)][-1] == 409


async def test_a_container_that_cannot_clone_is_no_fault_of_the_sessions_image(on_cluster):
    it = await on_cluster()
    repositories = (NewRepository(url="https://git.example.org/alice/data.git"),)
    session = await it.hub.session(await it.hub.project(repositories=repositories))
    it.kubelet.plan("image-missing-init-container")
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, "clone" in failed.message) == ("setup_broken", True)
    assert (it.pods(), failures(it)) == ([], 0)


def failures(it):
    """How many failed starts the hub has counted as its own."""
    return it.hub.app.tornado_settings.get("failure_count", 0)


async def test_twenty_bad_images_in_a_row_leave_the_hub_as_it_was(on_cluster):
    it = await on_cluster(**MANY)
    sessions = await several(it, 5)
    it.kubelet.plan("image-invalid-name")
    for session in sessions * 4:
        took = Stopwatch()
        await start(it, session)
        await it.hub.becomes(session, InstanceStatus.FAILED)
        assert took() < 5
    assert failures(it) == 0
    assert (await it.hub.client("alice").get("health")).status_code == 200
    assert it.pods() == []


@pytest.mark.parametrize("full", ["pods", "persistentvolumeclaims"])
async def test_a_full_quota_is_told_in_its_own_words_and_no_log_has_a_token(on_cluster, full, caplog):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project(), variables={"MY_TOKEN": CANARY})
    it.cluster.add("resourcequotas", "sessions", "full", spec={"hard": {full: "0"}})
    took = Stopwatch()
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert took() < 5
    assert (failed.reason, "quota full, " in failed.message) == ("quota_pool", True)
    assert (it.pods(), failures(it)) == ([], 0)
    assert "JUPYTERHUB_API_TOKEN" not in caplog.text
    assert CANARY not in caplog.text


async def test_a_quota_that_is_full_of_its_own_claim_does_not_stop_a_session(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("image-invalid-name")
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.FAILED)
    it.cluster.add("resourcequotas", "sessions", "full", spec={"hard": {"persistentvolumeclaims": "1"}})
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert (failed.reason, len(it.claims())) == ("image_invalid", 1)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (403, 'admission webhook "rules.example" denied the request: no pods on Sundays', "rejected_by_policy"),
        (422, 'Pod "jupyter" is invalid: spec.tolerations: Forbidden: none here', "rejected_by_policy"),
    ],
)
async def test_what_the_clusters_rules_refuse_is_told(on_cluster, status, message, code):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.cluster.fault(creates("pods"), status=status, message=message)
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert failed.reason == code
    assert message.partition(": ")[2] in failed.message
    assert (it.pods(), failures(it)) == ([], 0)


async def notice(it, session, code, seconds=60):
    """The notice of that code, told within so many fair seconds while the start goes on."""

    async def there():
        instance = await it.hub.instance(session)
        assert instance.status is InstanceStatus.LAUNCHING, instance
        return next((notice for notice in instance.notices if notice["code"] == code), None)

    return await until(there, seconds=seconds, why=code)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("unschedulable-cpu", "unschedulable_resources"),
        ("unschedulable-gpu", "unschedulable_gpu"),
        ("unschedulable-node-selector", "unschedulable_other"),
    ],
)
async def test_a_pod_without_a_place_says_so_and_goes_on_waiting(on_cluster, case, code):
    it = await on_cluster(Renku={"start_timeout": 2})
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan(case)
    await start(it, session)
    told = await notice(it, session, code)
    assert "nodes are available" in told["title"]
    await asyncio.sleep(3)
    assert await it.hub.status(session) is InstanceStatus.LAUNCHING, "it waits longer than a start without progress"


async def test_a_disk_that_cannot_be_made_is_told_in_the_words_of_who_should_make_it(on_cluster):
    it = await on_cluster(RenkuSpawner={"storage_class": "nowhere"})
    session = await it.hub.session(await it.hub.project())
    await start(it, session)

    async def said():
        return (
            'storageclass.storage.k8s.io "nowhere" not found' in (await notice(it, session, "volume_pending"))["title"]
        )

    await until(said)
    asked = [r for r in it.cluster.requests if r.verb == "list" and "PersistentVolumeClaim" in str(r.query)]
    assert 1 <= len(asked) <= 3


async def test_a_secret_of_ours_that_comes_late_is_waited_for(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.cluster.fault(creates("secrets"), delay=4)
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)


# What the program does: the reason, and what its owner reads of it.
UNANSWERED = {
    "silent": ({"TINY_SILENT": "1"}, "port_not_open", "Nothing answered on port 8888."),
    "500": ({"TINY_STATUS": "500"}, "app_error", "The program answers with errors."),
    "404": ({"TINY_STATUS": "404"}, "base_url_wrong", "does not answer below its address /"),
    "elsewhere": ({"TINY_STATUS": "302", "TINY_LOCATION": "/login"}, "base_url_wrong", "does not answer below"),
    "round and round": ({"TINY_STATUS": "302", "TINY_LOCATION": "?again"}, "auth_loop", "(unknown / "),
    "old": ({"TINY_VERSION": "1.5.0"}, "auth_loop", "(1.5.0 / "),
}


async def test_a_program_that_never_answers_well_ends_the_start_with_what_it_did(on_cluster):
    it = await on_cluster(Renku={"start_timeout": 2, **MANY["Renku"]})
    project = await it.hub.project()
    sessions = {case: await it.hub.session(project, case, variables=UNANSWERED[case][0]) for case in UNANSWERED}
    for session in sessions.values():
        await start(it, session)
    for case, session in sessions.items():
        failed = await it.hub.becomes(session, InstanceStatus.FAILED)
        _, code, said = UNANSWERED[case]
        assert (case, failed.reason) == (case, code)
        assert said in failed.message
    assert (it.pods(), failures(it)) == ([], 0)


async def test_a_program_that_sends_people_to_the_hubs_login_answers_well(on_cluster):
    it = await on_cluster()
    login = f"https://hub.example.org{it.hub.app.hub.base_url}api/oauth2/authorize?client_id=x"
    session = await it.hub.session(await it.hub.project(), variables={"TINY_STATUS": "302", "TINY_LOCATION": login})
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING)


async def test_a_download_that_takes_longer_than_any_start_may_is_told_as_that(on_cluster):
    it = await on_cluster(Renku={"start_timeout": 2, "start_timeout_max": 4})
    it.cluster.speed = 0.2
    session = await it.hub.session(await it.hub.project())
    it.kubelet.plan("image-large-pull")
    await start(it, session)
    failed = await it.hub.becomes(session, InstanceStatus.FAILED)
    assert failed.reason == "image_pull_timeout"
    assert f"{IMAGES['python']} took longer than 4 s" in failed.message
    assert (it.pods(), failures(it)) == ([], 0)


@pytest.mark.parametrize("seen_before", [False, True], ids=["from the first", "gone since"])
async def test_a_start_while_the_cluster_is_away_says_so_and_goes_on_when_it_is_back(on_cluster, seen_before):
    it = await on_cluster(**MANY)
    first, second = await several(it, 2)
    if seen_before:
        await start(it, first)
        await it.hub.becomes(first, InstanceStatus.RUNNING)
    async with it.cluster.outage():
        await start(it, second)
        told = await notice(it, second, "cluster_unavailable", seconds=3)
        assert told["title"] == "The cluster does not answer."
        page = await (await it.hub.visitor("alice")).get(f"renku/projects/alice/climate/-/sessions/{second.id}")
        assert "The cluster does not answer." in page.text
    running = await it.hub.becomes(second, InstanceStatus.RUNNING, seconds=10 + 15)
    assert running.notices == ()


async def test_a_start_that_the_cluster_leaves_unanswered_fails_and_loses_nothing(on_cluster, monkeypatch):
    monkeypatch.setattr(spawner, "API_RETRY_TIMEOUT_SECONDS", 3.0)
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    async with it.cluster.outage():
        await start(it, session)
        failed = await it.hub.becomes(session, InstanceStatus.FAILED, seconds=10)
        assert (failed.reason, failed.notices) == ("cluster_unavailable", ())
        assert failed.advice.startswith("Nothing is lost")
    await start(it, session)
    await it.hub.becomes(session, InstanceStatus.RUNNING, seconds=10 + 15)
    assert (len(it.pods()), failures(it)) == (1, 0)


async def test_a_cluster_that_is_slow_to_make_the_pod_is_told_and_waited_for(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    answered = asyncio.Event()
    it.cluster.fault(creates("pods"), held=answered)
    await start(it, session)
    await notice(it, session, "cluster_unavailable")
    answered.set()
    running = await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert running.notices == ()


# What heals by itself: the words of progress that its owner reads meanwhile.
PROGRESS = {
    "node authoriser": ("disk_mounting", "The disk is being mounted."),
    "secret cache": ("setting_up", "The machine is preparing the session."),
    "attach": ("disk_attaching", "The disk is being brought to the session's machine."),
    "sandbox": ("setting_up", "The machine is preparing the session."),
}


@pytest.mark.parametrize("case", sorted(PROGRESS))
async def test_what_heals_by_itself_is_told_as_progress_and_the_session_runs(on_cluster, case):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    trouble = Trouble(HEALING[case].reason, HEALING[case].message)
    it.cluster.troubles.append(trouble)
    await start(it, session)
    code, title = PROGRESS[case]
    told = await notice(it, session, code)
    instance = await it.hub.instance(session)
    assert (told["title"], [each["code"] for each in instance.notices]) == (title, [code])
    trouble.healed.set()
    running = await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert running.notices == ()


async def test_a_provisioner_at_work_is_told_as_progress_and_one_that_failed_in_its_own_words(on_cluster):
    it = await on_cluster()
    session = await it.hub.session(await it.hub.project())
    it.cluster.provisioning = asyncio.Event()
    await start(it, session)
    told = await notice(it, session, "disk_creating")
    assert told["title"] == "The disk is being created."
    (claim,) = it.claims()
    said = "failed to provision volume: rpc error: code = ResourceExhausted desc = no room in the pool"
    it.cluster.controllers.event(claim, "ProvisioningFailed", said, "Warning", component="csi")
    told = await notice(it, session, "volume_pending")
    assert "no room in the pool" in told["title"]
    assert [each["code"] for each in (await it.hub.instance(session)).notices] == ["volume_pending"]
    it.cluster.provisioning.set()
    running = await it.hub.becomes(session, InstanceStatus.RUNNING)
    assert running.notices == ()
