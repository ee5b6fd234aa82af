"""Storages of a project: who may add them, what is looked into, and where credentials are and are not."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.crypto import CryptKeeper

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.access import Person, Role
from renku_spawner.domain.environments import NewEnvironment
from renku_spawner.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LaunchRefusedError,
    NotFoundError,
)
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject, NewRepository, ProjectChange, ProjectMember
from renku_spawner.domain.resource_classes import ResourceClass
from renku_spawner.domain.sessions import NewSession, SessionChange, SessionConfiguration
from renku_spawner.domain.storages import (
    NewStorage,
    OwnStorageCredentials,
    SharedVolume,
    Storage,
    StorageChange,
    StorageCredentials,
    StorageProbeOutcome,
)
from renku_spawner.hub.services import HubSecretStore
from renku_spawner.integrations.net.egress_proxy import EgressProxyFactory
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.jobs.housekeeping import delete_old_records
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.usecases.projects import change_project, create_project, delete_project, get_project
from renku_spawner.usecases.sessions import add_session, change_session
from renku_spawner.usecases.storages import (
    add_storage,
    change_storage,
    delete_my_storage_credentials,
    enter_credentials,
    list_my_storage_credentials,
    list_session_storages,
    list_storages,
    prepare_mounted_storages,
    recheck_storage,
    remove_storage,
)
from tests.fixtures.remotes import PASSWORD, USER, make_host_key, served
from tests.persistence.made import revision

ADA, BOB, CAROL, DAVE = (Person(name=name) for name in ("ada", "bob", "carol", "dave"))
PATH = "ada/climate"
KEYS = {"user": USER, "pass": PASSWORD}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sub").mkdir()
    with served("webdav", folder) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def keys() -> Iterator[CryptKeeper]:
    yield CryptKeeper.instance(keys=[os.urandom(32)])
    CryptKeeper.clear_instance()


@pytest.fixture
async def parts(parts: AppContext, keys: CryptKeeper) -> AsyncIterator[AppContext]:
    policy = HubPolicy(
        classes=(ResourceClass(name="small", cpu="1", memory="2Gi", disk="10Gi"),),
        storage_check=True,
        volumes=(
            SharedVolume(name="gauges", claim="gauges", groups=frozenset({"klima"})),
            SharedVolume(name="all", claim="all", read_only=False),
        ),
    )
    relay = EgressProxyFactory(EgressGuard(hosts=["127.0.0.1"], plain_http=["127.0.0.1"], ports=[22]))
    made = replace(parts, policy=policy, egress_proxies=relay, secret_store=HubSecretStore())
    new = NewProject(path=PATH, title="Climate", repositories=(NewRepository(url="https://git.example.org/a/Code"),))
    project = await create_project(made, ADA, new)
    people = [("ada", Role.OWNER), ("bob", Role.EDITOR), ("carol", Role.VIEWER)]
    members = tuple(ProjectMember(kind="user", name=name, role=role) for name, role in people)
    await change_project(made, ADA, PATH, ProjectChange(version=project.version, members=members))
    yield made
    await relay.close()


def dav(url: str, **more: Any) -> NewStorage:
    usual = {"kind": "webdav", "directory": "era5", "settings": {"url": url}, "credentials": StorageCredentials.PROJECT}
    return NewStorage(**usual | {"secrets": KEYS} | more)


def typed(storage: Storage, **more: str) -> dict[str, OwnStorageCredentials]:
    return {storage.id: OwnStorageCredentials(version=storage.version, secrets={**KEYS, **more})}


async def refused(call: Any, what: type[Exception] = InvalidInputError) -> Any:
    with pytest.raises(what) as refusal:
        await call
    return refusal.value


def stored(parts: AppContext) -> str:
    """Everything in the database, as bytes would be found in it."""
    with parts.db.engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return str([connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall() for (name,) in tables])


async def test_an_editor_adds_a_storage_that_opens_and_nobody_sees_what_opens_it(parts: AppContext, url: str) -> None:
    made = await add_storage(parts, BOB, PATH, dav(url, path="sub"))
    assert made.checked and made.checked.outcome is StorageProbeOutcome.FINE
    assert (made.kept, made.version, made.summary) == (True, 1, "WebDAV, read only")
    assert await list_storages(parts, CAROL, PATH) == [made]
    assert PASSWORD not in stored(parts) + repr(made)
    with parts.db.read() as tx:
        [event] = tx.audit.list_recent(1)
    assert (event.actor, event.action, event.subject) == ("bob", "storage added", "ada/climate/era5")


async def test_others_may_not(parts: AppContext, url: str) -> None:
    await refused(add_storage(parts, CAROL, PATH, dav(url)), ForbiddenError)
    await refused(add_storage(parts, DAVE, PATH, dav(url)), NotFoundError)
    await refused(list_storages(parts, DAVE, PATH), NotFoundError)
    made = await add_storage(parts, ADA, PATH, dav(url))
    await refused(remove_storage(parts, CAROL, PATH, made.id), ForbiddenError)
    await refused(change_storage(parts, CAROL, PATH, made.id, StorageChange(version=1)), ForbiddenError)
    await refused(recheck_storage(parts, CAROL, PATH, made.id), ForbiddenError)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"secrets": {**KEYS, "pass": "guessed"}}, "secrets"),
        ({"path": "gone"}, "path"),
        ({"settings": {"url": "http://169.254.169.254/latest"}}, "settings.url"),
        ({"settings": {"url": "https://10.96.0.1/"}}, "settings.url"),
        ({"settings": {"url": "https://kubernetes.default.svc/"}}, "settings.url"),
        ({"directory": "code"}, "directory"),
        (
            {"kind": "volume", "settings": {"volume": "gauges"}, "credentials": StorageCredentials.NONE},
            "settings.volume",
        ),
    ],
)
async def test_what_surely_cannot_be_had_is_not_stored(
    parts: AppContext, url: str, more: dict[str, Any], field: str
) -> None:
    secrets = {} if more.get("kind") == "volume" else KEYS
    assert field in (await refused(add_storage(parts, ADA, PATH, dav(url, **{"secrets": secrets} | more)))).fields
    assert await list_storages(parts, ADA, PATH) == []


async def test_a_volume_is_had_by_those_whom_an_admin_lists(parts: AppContext) -> None:
    klima = replace(ADA, groups=frozenset({"klima"}))
    new = NewStorage(kind="volume", directory="gauges", settings={"volume": "gauges"}, read_only=False)
    assert "read_only" in (await refused(add_storage(parts, klima, PATH, new))).fields
    made = await add_storage(parts, klima, PATH, replace(new, read_only=True))
    assert made.checked and made.checked.outcome is StorageProbeOutcome.NOT_CHECKED


async def test_repositories_and_storages_never_share_a_directory(parts: AppContext, url: str) -> None:
    await add_storage(parts, ADA, PATH, dav(url))
    project = await get_project(parts, ADA, PATH)
    more = (NewRepository(url="https://git.example.org/a/ERA5"),)
    change = ProjectChange(version=project.version, repositories=more)
    assert list((await refused(change_project(parts, ADA, PATH, change))).fields) == ["repositories.0.directory"]
    assert "directory" in (await refused(add_storage(parts, ADA, PATH, dav(url, directory="ERA5")))).fields


async def test_credentials_stay_where_they_were_entered_for(parts: AppContext, url: str) -> None:
    made = await add_storage(parts, ADA, PATH, dav(url))
    elsewhere = StorageChange(version=1, settings={"url": f"{url}/sub"})
    assert "secrets" in (await refused(change_storage(parts, BOB, PATH, "era5", elsewhere))).fields
    moved = await change_storage(parts, BOB, PATH, "era5", replace(elsewhere, secrets=KEYS))
    kept = await change_storage(parts, BOB, PATH, "era5", StorageChange(version=2, path="", read_only=False))
    assert (moved.version, kept.version, kept.read_only, kept.kept) == (2, 3, False, True)
    stale = await refused(change_storage(parts, BOB, PATH, made.id, StorageChange(version=1)), ConflictError)
    assert stale.details["version"] == 3


async def test_a_hub_without_a_key_keeps_no_credentials(parts: AppContext, url: str, keys: CryptKeeper) -> None:
    keys.keys = []
    assert "credentials" in (await refused(add_storage(parts, ADA, PATH, dav(url)))).fields


async def session(parts: AppContext, **configuration: Any) -> str:
    with parts.db.write() as tx:
        environment = tx.environments.add(NewEnvironment(name="Python"), revision(), by="admin", now=parts.now())
    new = NewSession(environment=environment.id, configuration=SessionConfiguration(**configuration))
    return (await add_session(parts, ADA, PATH, new)).id


async def test_a_start_mounts_what_the_session_gets_with_what_opens_it(parts: AppContext, url: str) -> None:
    await add_storage(parts, ADA, PATH, dav(url, path="sub"))
    await add_storage(parts, ADA, PATH, NewStorage(kind="volume", directory="all", settings={"volume": "all"}))
    spec = await prepare_launch_spec(parts, CAROL, await session(parts))
    assert [(m.storage.directory, m.storage.path) for m in spec.storages] == [("era5", "sub"), ("all", "")]
    options = spec.storages[0].options
    assert (options["type"], options["url"], options["user"]) == ("webdav", url, USER)
    assert PASSWORD not in repr(spec) + str(options)
    chosen = await session(parts, storages=("all", "all"))
    assert [m.storage.directory for m in (await prepare_launch_spec(parts, CAROL, chosen)).storages] == ["all"]
    change = SessionChange(version=1, configuration=SessionConfiguration(storages=("gone",)))
    assert list((await refused(change_session(parts, ADA, PATH, chosen, change))).fields) == ["storages"]


async def test_what_cannot_be_had_any_more_is_named_and_can_be_left_out(parts: AppContext, keys: CryptKeeper) -> None:
    await add_storage(parts, ADA, PATH, NewStorage(kind="volume", directory="all", settings={"volume": "all"}))
    id = await session(parts)
    gone = replace(parts, policy=replace(parts.policy, volumes=()))
    refusal = await refused(prepare_launch_spec(gone, CAROL, id), LaunchRefusedError)
    assert (refusal.code, refusal.details) == ("storage_unavailable", {"storages": ["all"]})
    with parts.db.read() as tx:
        there = tx.sessions.get(id)
    assert there
    assert (
        await prepare_mounted_storages(gone, CAROL, there, await list_session_storages(gone, there), without=["all"])
        == ()
    )


async def test_a_host_that_is_listed_no_more_is_mounted_no_more(parts: AppContext, url: str) -> None:
    await add_storage(parts, ADA, PATH, dav(url))
    id = await session(parts)
    unlisted = replace(parts, egress_proxies=EgressProxyFactory(EgressGuard()))
    refusal = await refused(prepare_launch_spec(unlisted, CAROL, id), LaunchRefusedError)
    assert (refusal.code, refusal.details) == ("storage_unavailable", {"storages": ["era5"]})


async def test_an_sftp_server_is_known_by_the_host_key_that_an_editor_has_confirmed(
    parts: AppContext, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("old", "new", "data")]
    for folder in folders:
        folder.mkdir()
    old, new = make_host_key(folders[0]), make_host_key(folders[1])

    def sftp(**settings: str) -> NewStorage:
        where = {"host": "127.0.0.1", "port": str(port), **settings}
        return dav("", kind="sftp", settings=where)

    with served("sftp", folders[2], f"--key={old}") as port:
        problem = await refused(add_storage(parts, BOB, PATH, sftp()))
        shown = problem.details["host_key"]
        assert shown["key"] == " ".join(Path(f"{old}.pub").read_text().split()[:2])
        assert list(problem.fields) == ["settings.host_key"]
        assert shown["fingerprint"] in problem.fields["settings.host_key"]
        made = await add_storage(parts, BOB, PATH, sftp(host_key=shown["key"]))
        assert made.checked and made.checked.outcome is StorageProbeOutcome.FINE
        same = StorageChange(version=1, settings={"host": "127.0.0.1", "port": str(port)}, path="")
        made = await change_storage(parts, BOB, PATH, made.id, same)
        assert made.settings["host_key"] == shown["key"], "it is kept as long as the server is the same"
        id = await session(parts)
        (mounted,) = (await prepare_launch_spec(parts, CAROL, id)).storages
        assert mounted.storage.known_hosts_text == f"[*]:{port} {shown['key']}\n"
    with served("sftp", folders[2], f"--key={new}", port=port):
        refusal = await refused(prepare_launch_spec(parts, CAROL, id), LaunchRefusedError)
        assert (refusal.code, refusal.details) == ("storage_host_key", {"storages": ["era5"]})
        looked = await recheck_storage(parts, BOB, PATH, made.id)
        assert looked.checked and looked.checked.outcome is StorageProbeOutcome.HOST_KEY
        problem = await refused(change_storage(parts, BOB, PATH, made.id, StorageChange(version=2, read_only=True)))
        newer = {**made.settings, "host_key": problem.details["host_key"]["key"]}
        problem = await refused(change_storage(parts, BOB, PATH, made.id, StorageChange(version=2, settings=newer)))
        assert list(problem.fields) == ["secrets"], "they were entered for the server with the other key"
        confirmed = StorageChange(version=2, settings=newer, secrets=KEYS)
        made = await change_storage(parts, BOB, PATH, made.id, confirmed)
        assert made.checked and made.checked.outcome is StorageProbeOutcome.FINE
        assert len((await prepare_launch_spec(parts, CAROL, id)).storages) == 1


async def test_each_user_enters_their_own_which_are_kept_if_they_want(
    parts: AppContext, url: str, keys: CryptKeeper
) -> None:
    made = await add_storage(parts, ADA, PATH, dav(url, credentials=StorageCredentials.USER, secrets={}))
    id = await session(parts)
    refusal = await refused(prepare_launch_spec(parts, CAROL, id), LaunchRefusedError)
    assert (refusal.code, refusal.details["storages"], refusal.details["session"]) == (
        "storage_credentials",
        ["era5"],
        id,
    )

    wrong = enter_credentials(parts, CAROL, PATH, id, typed(made, **{"pass": "guessed"}), keep=True)
    assert list((await refused(wrong)).fields) == [f"{made.id}.secrets"]
    short = enter_credentials(
        parts, CAROL, PATH, id, {made.id: OwnStorageCredentials(version=1, secrets={"user": "ada"})}, keep=True
    )
    assert list((await refused(short)).fields) == [f"{made.id}.pass"]
    done = await enter_credentials(parts, CAROL, PATH, id, typed(made), keep=True)
    assert (len(done.storages), done.missing) == (1, [])
    assert (await prepare_launch_spec(parts, CAROL, id)).storages[0].options["user"] == USER
    await refused(prepare_launch_spec(parts, BOB, id), LaunchRefusedError)
    assert PASSWORD not in stored(parts)

    [kept] = await list_my_storage_credentials(parts, CAROL)
    await refused(delete_my_storage_credentials(parts, BOB, kept.storage), NotFoundError)
    await delete_my_storage_credentials(parts, CAROL, kept.storage)
    await refused(prepare_launch_spec(parts, CAROL, id), LaunchRefusedError)

    await enter_credentials(parts, CAROL, PATH, id, typed(made), keep=False)
    assert await list_my_storage_credentials(parts, CAROL) == []
    assert (await prepare_launch_spec(parts, CAROL, id)).storages
    keys.keys = []
    unkept = enter_credentials(parts, CAROL, PATH, id, typed(made), keep=True)
    assert list((await refused(unkept)).fields) == ["keep"]


async def test_what_people_keep_goes_with_the_address_the_project_and_the_person(parts: AppContext, url: str) -> None:
    made = await add_storage(parts, ADA, PATH, dav(url, credentials=StorageCredentials.USER, secrets={}))
    id = await session(parts)

    async def kept_by(person: Person) -> int:
        return len(await list_my_storage_credentials(parts, person))

    def there() -> Storage:
        with parts.db.read() as tx:
            found: Storage | None = tx.storages.get(made.id)
        assert found
        return found

    async def enter(person: Person, *, keep: bool = True) -> None:
        await enter_credentials(parts, person, PATH, id, typed(there()), keep=keep)
        assert (await prepare_launch_spec(parts, person, id)).storages

    for keep in (True, False):
        await enter(CAROL, keep=keep)
        away = {"url": f"{url}/sub"} if keep else {"url": url}
        await change_storage(parts, BOB, PATH, made.id, StorageChange(version=there().version, settings=away))
        await refused(prepare_launch_spec(parts, CAROL, id), LaunchRefusedError)
    await enter(CAROL)
    with parts.db.write() as tx:
        tx.known_users.record_user("carol", parts.now())
        tx.known_users.record_user("carol", parts.now().replace(year=2027))
    assert await kept_by(CAROL) == 0
    await enter(BOB)
    assert (
        await delete_old_records(
            replace(parts, find_missing_users=lambda names: set(names) - {"bob"}), timedelta(days=30)
        )
        == 0
    )
    assert await kept_by(BOB) == 1
    assert await delete_old_records(replace(parts, find_missing_users=set), timedelta(days=30)) == 1
    await enter(BOB)
    await delete_project(parts, ADA, PATH)
    assert await kept_by(BOB) == 0


async def test_a_sealed_secret_is_for_its_own_storage(parts: AppContext, url: str) -> None:
    first = await add_storage(parts, ADA, PATH, dav(url))
    second = await add_storage(parts, ADA, PATH, dav(url, directory="other"))
    with parts.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE renku_storages SET secret = (SELECT secret FROM renku_storages WHERE id = ?) WHERE id = ?",
            (first.id, second.id),
        )
    refusal = await refused(prepare_launch_spec(parts, ADA, await session(parts)), LaunchRefusedError)
    assert refusal.details == {"storages": ["other"]}
