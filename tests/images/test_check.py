"""Somebody's own image is asked about before it is saved: by the API and on the page."""

from tests.fixtures.fair import Stopwatch
from tests.images.conftest import STACKS, silent
from tests.spawners import ways

CHECK = "api/renku/images/check"


async def check(it, image, name="alice", **more):
    return await it.hub.client(name).post(CHECK, json={"image": image, **more})


async def test_a_look_at_an_image_says_what_it_is_and_saves_nothing(with_images):
    it = await with_images()
    digest = it.registry.push("check/stacks", "2026-11-02", config=STACKS, platforms=("linux/amd64", "linux/arm64"))
    image = f"{it.registry.host}/check/stacks:2026-11-02"
    said = (await check(it, image)).json()
    assert (said["verdict"], said["usable"], said["image"], said["digest"]) == ("ok", True, image, digest)
    assert (said["code"], said["message"]) == (None, "")
    assert said["likely"] == "docker_stacks"
    assert said["facts"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert (said["suggested"]["port"], said["suggested"]["working_directory"]) == (8888, "/work")
    assert said["facts"]["size"] > 0
    with it.hub.parts.db.read() as tx:
        assert tx.images.get_many([image]) == {}


async def test_what_cannot_be_pulled_or_run_is_told_with_a_code(with_images):
    it = await with_images()
    it.registry.push("check/arm", "1", config=STACKS, platforms=("linux/arm64",))
    host, project = it.registry.host, await it.hub.project()
    for image, verdict, code in (
        (f"{host}/check/none:1", "not_found", "image_not_found"),
        (f"{host}/check/arm:1", "platform_mismatch", "image_platform_mismatch"),
        (f"{silent()}/a/b:1", "not_allowed", "registry_not_allowed"),
        ("10.0.0.1/a/b:1", "not_allowed", "registry_not_allowed"),
    ):
        said = (await check(it, image)).json()
        assert (said["verdict"], said["code"], said["usable"]) == (verdict, code, False), said
        assert image in said["message"]
        answer = await it.hub.client("alice").post(f"api/renku/projects/{project.id}/sessions", json={"image": image})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert image in answer.json()["fields"]["image"]


async def test_a_name_that_is_none_is_refused_at_its_field(with_images):
    it = await with_images()
    answer = await check(it, "https://quay.io/a/b")
    assert answer.status_code == 422
    assert "https://" in answer.json()["fields"]["image"]


async def test_a_registry_that_does_not_answer_is_no_refusal(with_images):
    host = silent()
    it = await with_images(host)
    said = (await check(it, f"{host}/a/b:1")).json()
    assert (said["verdict"], said["code"], said["usable"], said["digest"]) == (
        "unverified", "image_unverified", True, None,
    )  # fmt: skip


async def test_a_registry_that_hangs_keeps_nobody_waiting(with_images):
    async with ways.hanging_host() as repository:
        it = await with_images(repository.host)
        took = Stopwatch()
        said = (await check(it, f"{repository.host}/a/b:1")).json()
        assert took() < 5
        assert (said["verdict"], said["usable"]) == ("unverified", True)


async def test_an_admin_says_which_images_people_may_bring(with_images, registry):
    policy = {"allowed": [f"{registry.host}/policy/good*"], "denied": [f"{registry.host}/policy/good-but-old"]}
    it = await with_images(image_policy=policy | {"outside": ["bob"]})
    for name in ("good", "good-but-old", "bad"):
        registry.push(f"policy/{name}", "1", config=STACKS)
    said = {
        (person, name): (await check(it, f"{registry.host}/policy/{name}:1", person)).json()["verdict"]
        for person in ("alice", "bob")
        for name in ("good", "good-but-old", "bad")
    }
    assert said == {
        ("alice", "good"): "ok", ("alice", "good-but-old"): "not_allowed", ("alice", "bad"): "not_allowed",
        ("bob", "good"): "ok", ("bob", "good-but-old"): "not_allowed", ("bob", "bad"): "ok",
    }  # fmt: skip
    assert not [each for each in registry.requests("policy/good-but-old") if "GET" in each]


async def test_checks_are_limited_for_each_user(with_images):
    it = await with_images(image_checks_per_minute=3)
    codes = [(await check(it, f"{it.registry.host}/limit/none:{n}")).status_code for n in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    said = (await check(it, f"{it.registry.host}/limit/none:1")).json()["message"]
    assert said.startswith("Each user may have 3 images checked a minute on this hub. Please try again in ")
    assert (await check(it, f"{it.registry.host}/limit/none:1", "bob")).status_code == 200
    project = await it.hub.project()
    answer = await it.hub.client("alice").post(
        f"api/renku/projects/{project.id}/sessions", json={"image": f"{it.registry.host}/limit/none:9"}
    )
    assert answer.status_code == 429


async def test_a_hub_that_runs_no_images_says_so(renku_hub):
    hub = await renku_hub()
    answer = await hub.client("alice").post(CHECK, json={"image": "nginx"})
    assert answer.status_code == 422
    assert "does not support images" in answer.json()["fields"]["image"]
    project = await hub.project()
    page = await (await hub.visitor("alice")).get(f"renku/projects/{project.path}/-/sessions/new?kind=external")
    assert page.status_code == 200
    assert "Your own image" not in page.text


WRONG = [
    ({"port": 0}, "port"), ({"port": 70000}, "port"), ({"uid": 0}, "uid"), ({"uid": 999}, "uid"), ({"gid": 0}, "gid"),
    ({"uid": 1000, "image_user": True}, "uid"),
    ({"default_url": "lab"}, "default_url"), ({"default_url": "//evil.example"}, "default_url"),
    ({"working_directory": "/home/jovyan"}, "working_directory"),
    ({"working_directory": "/work/.."}, "working_directory"),
    ({"command": ["a\0b"]}, "command"), ({"command": ["x"] * 51}, "command"),
]  # fmt: skip


async def test_a_way_to_run_it_that_cannot_be_is_refused_at_its_field(with_images):
    it = await with_images(image_checks_per_minute=100)
    sessions = f"api/renku/projects/{(await it.hub.project()).id}/sessions"
    for said, field in WRONG:
        answer = await it.hub.client("alice").post(sessions, json={"image": "quay.io/a/b", "run": said})
        assert (answer.status_code, list(answer.json()["fields"])) == (422, [field]), answer.text


async def test_either_an_environment_or_an_image_is_added(with_images):
    it = await with_images()
    sessions = f"api/renku/projects/{(await it.hub.project()).id}/sessions"
    for said in ({}, {"image": "nginx", "environment": "a" * 12}):
        answer = await it.hub.client("alice").post(sessions, json=said)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["environment"])
