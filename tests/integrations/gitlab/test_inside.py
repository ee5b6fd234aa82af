"""Git that just works inside a session, with its user's own rights and no token on disk."""

import asyncio

from jupyterhub.utils import maybe_future

from renku_spawner.hub.scopes import GIT_SCOPE, SESSION_SCOPE
from renku_spawner.hub.tokens import build_server_token_scopes
from renku_spawner.spawners.local.process import read_process_environment
from tests.fixtures.gitlab import later
from tests.integrations.gitlab import inside as own
from tests.integrations.gitlab import logins
from tests.spawners import ways

inside, lab, renku_hub = own.inside, logins.lab, logins.renku_hub


def secrets_of(lab):
    return [value.encode() for pair in lab.world.tokens for value in (pair.access, pair.refresh)]


def places_with(folder, secrets):
    """Files below *folder*, and what its processes were given, that hold one of the secrets."""
    files = [path for path in folder.rglob("*") if path.is_file() and any(s in path.read_bytes() for s in secrets)]
    given = {pid: repr((ways.argv(pid), read_process_environment(pid))).encode() for pid in ways.marked(folder)}
    return [*files, *(pid for pid, text in given.items() if any(s in text for s in secrets))]


async def test_a_private_repository_is_cloned_changed_and_pushed_as_its_user_and_no_token_is_left(inside):
    it = await inside(Renku={"push": True})
    run = await it.start()
    work = run.folder / "work" / "spectra"
    assert (work / "README.md").read_text() == "# Spectra\n"
    assert (await it.hub.instance(it.session)).notices == ()
    (work / "result.txt").write_text("42\n")
    for command in (["add", "result.txt"], ["commit", "--quiet", "-m", "Find it"], ["push", "--quiet"]):
        assert await run.git(*command, at="spectra") == (0, "")
    it.theirs.push("main", {"more.txt": "from elsewhere"})
    assert (await run.git("pull", "--quiet", at="spectra"))[0] == 0
    assert (work / "more.txt").read_text() == "from elsewhere"
    said = it.theirs.repository.git("log", "-2", "--format=%an <%ae> %s", "main").decode().splitlines()
    assert said[1] == "Alice <alice@example.com> Find it"
    await it.it.expire("alice")  # two hours later
    before = it.lab.counted("/oauth/token")
    results = await asyncio.gather(*[run.git("fetch", "--quiet", at="spectra") for _ in range(3)])
    assert results == [(0, "")] * 3
    assert it.lab.counted("/oauth/token") - before == 1, "one refresh, however many gits ask"
    ssh = f"git@127.0.0.1:{it.theirs.path}.git"
    assert await run.git("clone", "--quiet", ssh, "again") == (0, "")
    assert (run.folder / "work" / "again" / "more.txt").exists()
    assert places_with(run.folder, secrets_of(it.lab)) == []
    assert places_with(run.folder, [run.token.encode()]), "the search finds what is there"
    await it.pause()
    assert places_with(run.folder, secrets_of(it.lab)) == []


async def test_rights_are_those_of_who_runs_it(inside):
    it = await inside(Renku={"push": True})
    run = await it.start("bob")  # who may read and not push
    assert (run.folder / "work" / "spectra" / "README.md").exists()
    await run.git("commit", "--quiet", "--allow-empty", "-m", "Try it", at="spectra")
    code, said = await run.git("push", at="spectra")
    assert (code != 0, "You are not allowed to push code to this project" in said) == (True, True)
    hidden = it.lab.project("secret/plans")
    hidden.push("main", {"plan": "B"})
    public = it.lab.project("open/data", visibility="public")
    public.push("main", {"data": "1"})
    it.lab.member(hidden, "alice", 20)
    urls = [f"{it.lab.url}/{each.path}.git" for each in (hidden, public)]
    second, session = await it.add("astro/second", *urls)
    it.lab.member(second, "bob", 20)
    run = await it.start("bob", session)
    assert sorted(path.name for path in (run.folder / "work").iterdir()) == ["data", "second"]
    (notice,) = (await it.hub.instance(session, "bob")).notices
    assert "plans" in notice["title"]


async def test_who_only_passes_by_gives_no_token_away_unless_an_admin_says_so(inside):
    it = await inside()
    _, session = await it.add("open/tool", visibility="public")
    url = f"{it.lab.url}/open/tool.git"
    run = await it.start("carol", session)
    assert (run.folder / "work" / "tool" / "README.md").exists(), "it is public"
    assert not [name for name, value in run.variables.items() if "renku_credential" in value]
    refused = await run.ask(url)
    assert (refused.status_code, refused.json()["code"]) == (403, "git_no_member")
    assert refused.json()["message"].startswith("You are not a member of this session's project")
    await it.pause("carol", session)
    own.change_policy(it.hub, git_credentials="all")
    run = await it.start("carol", session)
    assert (await run.ask(url)).json()["password"] in {token.access for token in it.lab.tokens("carol")}
    own.change_policy(it.hub, git_credentials="off")
    refused = await run.ask(url)
    assert (refused.status_code, refused.json()["code"]) == (403, "git_off")
    await it.pause("carol", session)
    run = await it.start("carol", session)
    assert not [name for name, value in run.variables.items() if "renku_credential" in value]
    assert run.variables["GIT_CONFIG_VALUE_0"] == "Carol"
    assert (await run.ask(url)).json()["code"] == "scope_missing"


def hostile(base, path):
    """What is not the repository of the session, in protocol, host and path."""
    host = base.removeprefix("http://")
    name, _, port = host.partition(":")
    yield from [
        {"protocol": "https"}, {"protocol": "ssh"}, {"protocol": "http\nhost=x"}, {"protocol": ""},
        {"host": name}, {"host": f"{name}:80"}, {"host": f"{host}0"}, {"host": f"user@{host}"}, {"host": f"a:b@{host}"},
        {"host": f"{host}@evil.example"}, {"host": f"{name}.evil.example:{port}"}, {"host": f"{host}\n"},
        {"host": "localhost:" + port}, {"host": f"{host}/astro"}, {"host": ""},
        {"path": ""}, {"path": "astro"}, {"path": f"/{path}"}, {"path": f"{path}/.."}, {"path": f"x/../{path}"},
        {"path": f"{path}/more"}, {"path": f"{path}2"}, {"path": f"{path}.wiki.git"}, {"path": f"{path}//"},
        {"path": path.upper()}, {"path": f"{path}\nhost=evil"}, {"path": f"{path}\n"}, {"path": f"{path}?a"},
        {"path": path.replace("/", "%2F")}, {"path": f"{path}.git.git"}, {"path": "secret/plans.git"},
    ]  # fmt: skip


async def test_nothing_but_the_projects_own_repositories_is_given_a_password(inside):
    it = await inside()
    it.lab.member(it.lab.project("secret/plans"), "alice", 30)  # hers, and not this project's
    run = await it.start()
    for url in (it.url, it.url.removesuffix(".git"), f"{it.url}/"):
        answer = await run.ask(url)
        assert (answer.status_code, answer.json()["username"]) == (200, "oauth2")
    rows = list(hostile(it.lab.url, it.theirs.path))
    for row in rows:
        answer = await run.ask(it.url, **row)
        assert (answer.status_code, answer.json().get("code")) == (403, "git_foreign"), row
        assert "password" not in answer.json()
    code, said = await run.git("ls-remote", f"{it.lab.url}/secret/plans.git")
    assert code != 0
    assert "renku: The hub gives git credentials for the repositories of this session's project only." in said
    with it.hub.parts.db.read() as tx:
        events = tx.audit.list_recent(100)
    assert {(event.actor, event.action, event.subject) for event in events} == {
        ("alice", "git credentials refused", it.session.id)
    }
    assert len(events) == len(rows) + 1
    assert not [event for event in events if "a:b@" in str(event.detail)]


async def test_what_was_cloned_before_a_project_moved_is_still_pushed_until_another_takes_its_path(inside):
    it = await inside(Renku={"push": True})
    old, run = it.url, await it.start()
    it.theirs.move("astro/lines")
    assert (await it.hub.client("alice").get("api/renku/projects/astro%2Flines")).json()["path"] == "astro/lines"
    await run.git("commit", "--quiet", "--allow-empty", "-m", "After the move", at="spectra")
    assert (await run.git("push", "--quiet", at="spectra"))[0] == 0
    assert (await run.ask(it.url)).status_code == 200
    taken = it.lab.project("astro/spectra")
    it.lab.member(taken, "alice", 40)
    answer = await run.ask(old)
    assert (answer.status_code, answer.json()["code"]) == (403, "git_foreign")


async def test_no_token_but_that_of_a_running_session_asks_also_after_a_restart_of_the_hub(inside):
    it = await inside()
    alice, bob = await it.start(), await it.start("bob")
    assert (await bob.ask(it.url)).json()["password"] in {token.access for token in it.lab.tokens("bob")}
    others = {
        "all her rights": it.it.user("alice").new_api_token(),
        "narrowed to it": it.it.user("alice").new_api_token(scopes=["custom:renku:git"]),
    }
    for what, token in others.items():
        answer = await alice.ask(it.url, token=token)
        assert (answer.status_code, answer.json()["code"]) == (403, "git_no_session"), what
    narrow = it.it.user("alice").new_api_token(scopes=["custom:renku:launch"])
    assert (await alice.ask(it.url, token=narrow)).json()["code"] == "scope_missing"
    assert (await alice.ask(it.url, token="nonsense-nonsense")).status_code == 403
    # What the session's token opens beside it: nothing of ours.
    answer = await it.hub.client("alice").get("api/renku/projects", headers={"Authorization": f"token {alice.token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    for user in ("alice", "bob"):
        it.it.user(user).spawners.pop(it.session.id)  # as a hub that begins anew
    await it.hub.app.init_spawners()
    assert (await alice.ask(it.url)).status_code == 200
    assert (await bob.ask(it.url)).status_code == 200
    await it.pause()
    answer = await alice.ask(it.url)
    assert (answer.status_code, answer.json()["code"]) == (403, "credentials")
    assert (await bob.ask(it.url)).status_code == 200


async def test_an_admins_own_scopes_of_servers_stay(inside):
    it = await inside()
    await it.start()
    session, plain = it.it.user("alice").spawners[it.session.id], it.it.user("alice").spawners[""]
    mine = "users:activity!user"

    async def ask(theirs, spawner):
        return await maybe_future(build_server_token_scopes(theirs, GIT_SCOPE, SESSION_SCOPE)(spawner))

    for theirs in ([mine], lambda spawner: [mine]):
        assert await ask(theirs, session) == [mine, SESSION_SCOPE, GIT_SCOPE]
        assert await ask(theirs, plain) == [mine]
    of_role = [mine, "access:servers!server"]
    assert await ask([], session) == [*of_role, SESSION_SCOPE, GIT_SCOPE]
    assert await ask([], plain) == [], "JupyterHub takes those of its role then"
    own.change_policy(it.hub, git_credentials="off")
    assert await ask([mine], session) == [mine, SESSION_SCOPE]


async def test_what_a_start_has_written_stays_while_an_admins_function_is_asked_for_scopes(inside):
    """The end of any request rolls back what is not committed, for one that waits with us."""
    it = await inside()
    await it.start()
    session, db = it.it.user("alice").spawners[it.session.id], it.hub.app.db
    for theirs, kept in (([], False), (lambda spawner: [], True)):
        session.orm_spawner.state = {"unsaved": str(kept)}
        db.flush()
        scopes = build_server_token_scopes(theirs, GIT_SCOPE, SESSION_SCOPE)(session)
        db.rollback()
        await maybe_future(scopes)
        assert (session.orm_spawner.state == {"unsaved": str(kept)}) is kept


async def test_a_gitlab_that_is_away_is_told_and_access_that_ended_ends_it(inside):
    it = await inside()
    run, clock = await it.start(), later(it.hub)
    assert (await run.ask(it.url)).status_code == 200
    it.lab.calls.clear()
    it.lab.mode = "500"
    assert ((await run.ask(it.url)).status_code, it.lab.counted("/api/v4/")) == (200, 0), "within a minute"
    clock.seconds = 61
    answer = await run.ask(it.url)
    assert (answer.status_code, answer.json()["code"]) == (503, "gitlab_unavailable")
    it.lab.mode, clock.seconds = "ok", 90
    it.lab.remove_member(it.theirs, "alice")
    answer = await run.ask(it.url)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    it.lab.revoke("alice")
    own.change_policy(it.hub, git_credentials="all")
    await it.it.change_state("alice", renku_expires_at=0.0)
    answer = await run.ask(it.url)
    assert (answer.status_code, answer.json()["code"]) == (403, "log_in_again")
