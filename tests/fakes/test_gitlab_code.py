"""The fake GitLab's repositories, pipelines and images: real git, real tokens for the registry, real hooks."""

import asyncio
import os
import subprocess

import gitlab as python_gitlab
import httpx
import pytest
from aiohttp import web

from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_git import environment
from tests.fixtures.renku import until


@pytest.fixture
async def lab():
    async with FakeGitLab() as lab:
        for name in ("alice", "bob", "carol"):
            lab.user(name)
        yield lab


@pytest.fixture
def project(lab):
    """Owned by alice, with bob as a reporter."""
    made = lab.project("ada/climate", owner="alice")
    lab.member(made, "bob", 20)
    return made


def git(*arguments, folder=None):
    """Run git as somebody whose name and passwords are in the address."""
    who = {"GIT_AUTHOR_NAME": "Alice", "GIT_AUTHOR_EMAIL": "alice@example.com", "GIT_TERMINAL_PROMPT": "0"}
    who |= {"GIT_COMMITTER_NAME": "Alice", "GIT_COMMITTER_EMAIL": "alice@example.com", "HOME": os.devnull}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment() | who, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def address(lab, path, name=None, scopes=("write_repository", "read_repository")):
    login = f"oauth2:{lab.token(name, scopes)}@" if name else ""
    return lab.url.replace("://", f"://{login}") + f"/{path}.git"


def api(lab, name):
    return python_gitlab.Gitlab(lab.url, oauth_token=lab.token(name), timeout=300, keep_base_url=True)


async def test_commits_are_real_and_the_api_tells_of_them(lab, project):
    first = project.push("main", {"README.md": "one\n"}, message="Begin", author="alice")
    second = project.push("main", {"README.md": "two\n", "sub/a.py": "x = 1\n"}, message="Go on\n\nMore.")
    project.push("feature/x", {"b.py": "y = 2\n"})
    with api(lab, "alice") as client:
        found = client.projects.get("ada/climate")
        assert [one.id for one in found.commits.list(ref_name="main", get_all=False)] == [second, first]
        assert [one.name for one in found.branches.list(get_all=True)] == ["feature/x", "main"]
        assert found.branches.get("feature/x").commit["parent_ids"] == [second]
        assert found.commits.get("main").stats == {"additions": 2, "deletions": 1, "total": 3}
        assert found.files.get("sub/a.py", ref="main").decode() == b"x = 1\n"
        assert [one["path"] for one in found.repository_tree(get_all=True)] == ["sub", "README.md"]
        between = found.repository_compare(first, "main")
        assert [one["title"] for one in between["commits"]] == ["Go on"]
        assert [one["new_path"] for one in between["diffs"]] == ["README.md", "sub/a.py"]


async def test_pipelines_are_found_by_commit_and_branch(lab, project):
    sha = project.push("main", {"a": "1"})
    made = project.pipeline(
        sha, "running", jobs=["image_build", {"name": "test", "stage": "test", "status": "created"}]
    )
    with api(lab, "alice") as client:
        found = client.projects.get("ada/climate")
        assert [one.status for one in found.pipelines.list(sha=sha, get_all=False)] == ["running"]
        assert found.pipelines.list(sha=sha[:8], get_all=False) == []
        assert found.commits.get("main").last_pipeline["id"] == made.id
        made.becomes("failed", image_build="failed", test="skipped")
        assert found.pipelines.latest(ref="main").status == "failed"
        jobs = found.pipelines.get(made.id).jobs.list(get_all=True)
        assert {one.name: one.status for one in jobs} == {"image_build": "failed", "test": "skipped"}
        project.push("main", {"a": "2"})
        with pytest.raises(python_gitlab.GitlabError) as none:
            found.pipelines.latest(ref="main")
        assert none.value.response_code == 403


async def test_who_may_not_read_code_or_images_is_told_so(lab, project):
    project.push("main", {"a": "1"})
    lab.member(project, "carol", 10)
    paths = ("repository/commits", "repository/branches", "registry/repositories", "pipelines")
    async with httpx.AsyncClient(trust_env=False) as client:
        head = {"Authorization": f"Bearer {lab.token('carol')}"}
        asked = [(await client.get(f"{lab.url}/api/v4/projects/{project.id}/{path}", headers=head)) for path in paths]
        assert [answer.status_code for answer in asked] == [403, 403, 403, 200]
        project.more["public_jobs"] = False
        answer = await client.get(f"{lab.url}/api/v4/projects/{project.id}/pipelines", headers=head)
        assert answer.status_code == 403


async def test_git_fetches_and_pushes_by_role_and_scope(lab, project, tmp_path):
    project.push("main", {"README.md": "one\n"})
    copy = tmp_path / "copy"
    assert (await asyncio.to_thread(git, "clone", "-q", address(lab, "ada/climate", "alice"), str(copy)))[0] == 0
    (copy / "b.txt").write_text("b")
    git("add", "b.txt", folder=copy)
    git("commit", "-qm", "Add b", folder=copy)
    refusals = {"bob": "403", "carol": "not found"}
    for name, said in refusals.items():
        code, text = await asyncio.to_thread(git, "push", "-q", address(lab, "ada/climate", name), "main", folder=copy)
        assert code and said in text
    narrow = address(lab, "ada/climate", "alice", ("read_repository",))
    assert "403" in (await asyncio.to_thread(git, "push", "-q", narrow, "main", folder=copy))[1]
    project.protected = {"main"}
    lab.member(project, "bob", 30)
    text = (await asyncio.to_thread(git, "push", "-q", address(lab, "ada/climate", "bob"), "main", folder=copy))[1]
    assert "protected branches" in text
    assert (await asyncio.to_thread(git, "push", "-q", "origin", "main", folder=copy))[0] == 0
    assert project.repository.one("main")["title"] == "Add b"
    project.archive()
    text = (await asyncio.to_thread(git, "push", "-q", "origin", "main:other", folder=copy))[1]
    assert "403" in text


async def test_git_follows_old_paths_and_hides_what_is_private(lab, project, tmp_path):
    project.push("main", {"README.md": "one\n"})
    old = address(lab, "ada/climate", "bob")
    project.move("ada/weather")
    assert (await asyncio.to_thread(git, "ls-remote", old))[0] == 0
    for path in ("ada/weather", "ada/nothing"):
        assert "could not read Username" in (await asyncio.to_thread(git, "ls-remote", address(lab, path)))[1]
        assert "not found" in (await asyncio.to_thread(git, "ls-remote", address(lab, path, "carol")))[1]
    project.visibility = "public"
    assert "HEAD" in (await asyncio.to_thread(git, "ls-remote", address(lab, "ada/weather")))[1]


async def test_expired_logins_of_git_are_refused_and_ban_in_the_end(lab, project):
    project.push("main", {"README.md": "one\n"})
    token = lab.token("alice")
    lab.expire("alice")
    path = f"{lab.url}/ada/climate.git/info/refs?service=git-upload-pack"
    async with httpx.AsyncClient(auth=("oauth2", token), trust_env=False) as client:
        codes = [(await client.get(path)).status_code for _ in range(31)]
    assert codes == [401] * 30 + [403]


async def pull(lab, name, path="ada/climate", reference="latest"):
    """Ask for a manifest as a client of registries does; return the status."""
    place = f"http://{lab.registry_host}/v2/{path}/manifests/{reference}"
    async with httpx.AsyncClient(trust_env=False) as client:
        first = await client.get(place)
        assert (first.status_code, lab.url in first.headers["WWW-Authenticate"]) == (401, True)
        asked = {"service": "container_registry", "scope": f"repository:{path}:pull"}
        login = ("oauth2", lab.token(name)) if name else None
        token = (await client.get(f"{lab.url}/jwt/auth", params=asked, auth=login)).json()["token"]
        return await client.get(place, headers={"Authorization": f"Bearer {token}"})


async def test_images_are_pulled_with_a_token_of_who_may(lab, project):
    digest = project.image("latest")
    answers = {name: await pull(lab, name) for name in ("bob", "carol", None)}
    assert {name: answer.status_code for name, answer in answers.items()} == {"bob": 200, "carol": 401, None: 401}
    assert answers["bob"].headers["Docker-Content-Digest"] == digest
    assert 'error="insufficient_scope"' in answers["carol"].headers["WWW-Authenticate"]
    assert (await pull(lab, "bob", reference="nope")).json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    project.visibility = "public"
    assert (await pull(lab, None)).status_code == 200


async def test_tags_are_listed_by_name_and_shown_with_their_digest(lab, project):
    digest = project.image("0123abcd", created="2026-11-24T08:20:41.000+00:00")
    project.image("main", digest="sha256:" + "a" * 64, name="gpu")
    with api(lab, "bob") as client:
        found = {one.name: one for one in client.projects.get("ada/climate").repositories.list(tags=True, get_all=True)}
        assert {name: [tag["name"] for tag in one.attributes["tags"]] for name, one in found.items()} == {
            "": ["0123abcd"],
            "gpu": ["main"],
        }
        shown = found[""].tags.get("0123abcd")
        assert (shown.digest, shown.created_at) == (digest, "2026-11-24T08:20:41.000+00:00")
        with pytest.raises(python_gitlab.GitlabGetError, match="Tag Not Found"):
            found[""].tags.get("other")


async def test_hooks_tell_of_pushes_and_pipelines(lab, project):
    heard = []

    async def hear(request):
        heard.append((request.headers["X-Gitlab-Event"], request.headers["X-Gitlab-Token"], await request.json()))
        return web.Response()

    runner = web.ServerRunner(web.Server(hear))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    project.hook(f"http://127.0.0.1:{runner.addresses[0][1]}/", "secret")
    sha = project.push("main", {"a": "1"}, author="alice")
    project.pipeline(sha, "success")
    await until(lambda: len(lab.hooks.sent) == 2, seconds=30)
    await runner.cleanup()
    found = {event: body for event, token, body in heard if token == "secret"}
    assert (found["Push Hook"]["after"], found["Push Hook"]["user_username"]) == (sha, "alice")
    assert found["Pipeline Hook"]["object_attributes"]["status"] == "success"
    assert [one.status for one in lab.hooks.sent] == [200, 200]
