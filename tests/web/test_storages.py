"""Storages in the browser and the API: an editor adds one, each user enters their own, and nobody reads it again."""

import asyncio
import html
import re
import threading
from collections.abc import AsyncIterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from renku_spawner.domain.access import ProjectAction
from renku_spawner.domain.instances import InstanceStatus
from tests.fixtures import canaries
from tests.fixtures.remotes import USER, Recorder, make_host_key, recorder, served
from tests.fixtures.renku import RenkuHub, until, xsrf

SETTINGS = {"Renku": {"storage_hosts": {"127.0.0.1"}}}


@pytest.fixture
def secret() -> str:
    return canaries.planted("storage credential")


async def post(client: httpx.AsyncClient, address: str, **fields: Any) -> httpx.Response:
    return await client.post(address.removeprefix("/@/space%20word/hub/"), data={**fields, "_xsrf": xsrf(client)})


def typed(storage: str, password: str, version: int = 1) -> dict[str, str]:
    """The form of one's own credentials, for a *version* of a storage."""
    fields = {"user": USER, "pass": password}
    return {
        f"version_{storage}": str(version),
        "keep": "yes",
        **{f"secret_{storage}_{name}": text for name, text in fields.items()},
    }


async def hub_with(renku_hub: Any) -> RenkuHub:
    hub: RenkuHub = await renku_hub(**SETTINGS)
    await hub.project()
    return hub


async def test_an_editor_adds_changes_and_removes_a_storage_by_forms_alone(
    renku_hub: Any, tmp_path: Path, secret: str
) -> None:
    hub = await hub_with(renku_hub)
    bob, page = await hub.visitor("bob"), "renku/projects/alice/climate/-/storages"
    (tmp_path / "data").mkdir()
    offered = (await bob.get(f"{page}/new?kind=webdav")).text
    assert "kind=sftp" in offered and "Shared volume" not in offered
    with served("webdav", tmp_path / "data", password=secret) as port:
        there = {"kind": "webdav", "setting_url": f"http://127.0.0.1:{port}", "credentials": "project"}
        typed = {**there, "directory": "era5", "secret_user": USER, "secret_pass": secret}

        for change, said in (
            ({"path": "a/../b"}, 'href="#path"'),
            ({"secret_pass": "guessed"}, "These credentials are refused."),
            ({"secret_bearer_token_command": "id"}, "There is no such option."),
        ):
            again = await post(bob, page, **typed | change)
            assert (again.status_code, said in again.text, f"http://127.0.0.1:{port}" in again.text) == (
                422,
                True,
                True,
            )
        added = await post(bob, page, **typed)
        assert added.status_code == 303, added.text
        shown = (await bob.get("renku/projects/alice/climate/-/settings")).text
        assert "/work/era5" in shown and "WebDAV, read only" in shown and "It can be opened." in shown
        assert "/work/era5" in (await (await hub.visitor("carol")).get("renku/projects/alice/climate")).text

        [found] = (await hub.client("carol").get("api/renku/projects/alice%2Fclimate/storages")).json()["items"]
        assert (found["kept"], found["checked"]["outcome"], set(found["settings"])) == (True, "fine", {"url"})
        form = (await bob.get(f"{page}/{found['id']}")).text
        assert "They are kept." in form and 'type="password"' in form
        changed = await post(bob, f"{page}/{found['id']}", **there, version="1", access="write", directory="era5")
        assert changed.status_code == 303, changed.text
        again = await post(bob, f"{page}/{found['id']}", **there, version="1", access="read", directory="era5")
        assert again.status_code == 409
    looked = await post(bob, f"{page}/{found['id']}/check")
    assert looked.status_code == 303
    assert looked.headers["location"].endswith("?said=storage_checked#storages")
    assert "The server does not answer." in (await bob.get("renku/projects/alice/climate/-/settings")).text
    gone = f"{page}/{found['id']}/delete"
    stale = await post(bob, gone, version="1")
    assert (stale.status_code, "This storage was changed since you opened the page." in stale.text) == (409, True)
    assert (await post(bob, gone, version="2")).status_code == 303
    assert (await hub.client("bob").get("api/renku/projects/alice%2Fclimate/storages")).json()["items"] == []


async def test_each_error_of_an_address_stands_under_its_own_field(renku_hub: Any, tmp_path: Path) -> None:
    hub = await hub_with(renku_hub)
    bob, page = await hub.visitor("bob"), "renku/projects/alice/climate/-/storages"
    typed = {"kind": "s3", "setting_provider": "Minio", "setting_region": "eu", "path": "a", "directory": "era5"}
    (tmp_path / "a").mkdir()  # a page in place of a bucket's list
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        port = server.server_address[1]
        for endpoint, said in (
            ("https://s3.nowhere.invalid", "There is no host of this name."),
            ("https://s3.internal", "The hub may not connect to this host."),
            (f"http://127.0.0.1:{port}", "The server answers, but not as a server of this kind does."),
        ):
            again = await post(bob, page, **typed, setting_endpoint=endpoint)
            assert again.status_code == 422
            assert said in again.text.partition('id="setting_endpoint-error">')[2].partition("</p>")[0]
        server.shutdown()
        serving.join()
    sftp = {"kind": "sftp", "directory": "era5", "credentials": "user", "setting_host": "nowhere.invalid"}
    again = await post(bob, page, **sftp)
    assert "There is no host of this name." in again.text.partition('id="setting_host-error">')[2].partition("</p>")[0]


async def test_the_host_key_of_an_sftp_server_is_shown_and_confirmed(
    renku_hub: Any, tmp_path: Path, secret: str
) -> None:
    hub = await hub_with(renku_hub)
    (tmp_path / "data").mkdir()
    key = make_host_key(tmp_path)
    bob, page = await hub.visitor("bob"), "renku/projects/alice/climate/-/storages"
    with served("sftp", tmp_path / "data", f"--key={key}", password=secret) as port:
        where = {"host": "127.0.0.1", "port": str(port)}
        body = {"kind": "sftp", "directory": "era5", "settings": where, "credentials": "user"}
        answer = await hub.client("bob").post("api/renku/projects/alice%2Fclimate/storages", json=body)
        shown = answer.json()["host_key"]
        assert (answer.status_code, shown["type"], shown["fingerprint"][:7]) == (422, "ssh-ed25519", "SHA256:")
        form = {"kind": "sftp", "directory": "era5", "credentials": "user", "setting_port": str(port)}
        again = await post(bob, page, **form, setting_host="127.0.0.1")
        assert shown["fingerprint"] in html.unescape(again.text)
        assert f'value="{shown["key"]}"' in html.unescape(again.text), "to be compared, and sent once more"
        added = await post(bob, page, **form, setting_host="127.0.0.1", setting_host_key=shown["key"])
        assert added.status_code == 303, added.text
    [found] = (await hub.client("carol").get("api/renku/projects/alice%2Fclimate/storages")).json()["items"]
    assert found["settings"]["host_key"] == shown["key"]


async def test_check_on_a_shared_volume_says_what_it_found(renku_hub: Any, tmp_path: Path) -> None:
    volumes = [{"name": "shared", "directory": str(tmp_path / "shared")}]
    hub = await renku_hub(Renku={"volumes": volumes})
    await hub.project()
    (tmp_path / "shared").mkdir()
    bob, page = await hub.visitor("bob"), "renku/projects/alice/climate/-/storages"
    added = await post(bob, page, kind="volume", directory="data", setting_volume="shared")
    assert added.status_code == 303, added.text
    [found] = (await hub.client("bob").get("api/renku/projects/alice%2Fclimate/storages")).json()["items"]
    (tmp_path / "shared").rmdir()
    looked = await post(bob, f"{page}/{found['id']}/check")
    shown = (await bob.get(looked.headers["location"].removeprefix("/@/space%20word/hub/"))).text
    assert "The storage was checked: see the result below." in shown
    assert "There is no such bucket or folder." in shown


async def test_a_start_leads_to_the_credentials_that_it_lacks_and_goes_on_from_there(
    renku_hub: Any, tmp_path: Path, secret: str
) -> None:
    hub = await hub_with(renku_hub)
    (tmp_path / "data").mkdir()
    bob, carol, api = hub.client("bob"), await hub.visitor("carol"), "api/renku/projects/alice%2Fclimate"
    with served("webdav", tmp_path / "data", password=secret) as port:
        where = {"url": f"http://127.0.0.1:{port}"}
        body = {"kind": "webdav", "directory": "era5", "settings": where, "credentials": "user"}
        made = await bob.post(f"{api}/storages", json=body)
        assert (made.status_code, made.json()["checked"]["outcome"]) == (201, "not_checked")
        session = await hub.session(
            await hub.parts.source.get_project(hub.person("alice"), "alice/climate", ProjectAction.READ)
        )
        page = f"renku/projects/alice/climate/-/sessions/{session.id}"
        refused = await hub.client("carol").post(f"{api}/sessions/{session.id}/start")
        assert (refused.status_code, refused.json()["code"]) == (409, "storage_credentials")

        led = await post(carol, f"{page}/start")
        assert (led.status_code, led.headers["location"].partition("?")[0][-12:]) == (303, "/credentials")
        offered = (await carol.get(f"{page}/credentials")).text
        assert "Save and start" in offered and 'name="without_storages" value="era5"' in offered
        where = made.json()["id"]
        wrong = await post(carol, f"{page}/credentials", **typed(where, "guessed"))
        assert (wrong.status_code, "These credentials are refused." in wrong.text) == (422, True)
        short = await post(carol, f"{page}/credentials", **typed(where, ""))
        assert f'id="secret_{where}_pass-error"' in short.text
        entered = await post(carol, f"{page}/credentials", **typed(where, secret), start="yes")
        assert (entered.status_code, entered.headers["location"][-12:]) == (303, session.id), entered.text
        await hub.becomes(session, InstanceStatus.RUNNING, "carol")

    mine = (await carol.get("renku/sessions")).text
    assert "Credentials that you keep here" in mine
    forget = f"renku/storages/{made.json()['id']}/credentials/delete"
    assert (await post(await hub.visitor("bob"), forget)).status_code == 404
    assert (await post(carol, forget)).status_code == 303
    asked = await hub.client("carol").get(f"{api}/sessions/{session.id}/credentials")
    assert [(row["directory"], row["missing"]) for row in asked.json()["items"]] == [("era5", True)]


class Stale:
    """Carol has opened the form for a storage at one server, and bob has a server of his own."""

    def __init__(self, hub: RenkuHub, good: Recorder, evil: Recorder, secret: str) -> None:
        self.hub, self.good, self.evil, self.secret = hub, good, evil, secret
        self.bob, self.carol = hub.client("bob"), hub.client("carol")
        self.api = "api/renku/projects/alice%2Fclimate"

    async def add(self, directory: str, where: Recorder) -> str:
        body = {"kind": "webdav", "directory": directory, "settings": {"url": where.url}, "credentials": "user"}
        made = await self.bob.post(f"{self.api}/storages", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def move(self, storage: str) -> None:
        body = {"version": 1, "settings": {"url": self.evil.url}}
        moved = await self.bob.patch(f"{self.api}/storages/{storage}", json=body)
        assert (moved.status_code, moved.json().get("version")) == (200, 2), moved.text

    async def open_form(self) -> None:
        found = await self.hub.parts.source.get_project(self.hub.person("alice"), "alice/climate", ProjectAction.READ)
        self.session = await self.hub.session(found)
        self.visitor = await self.hub.visitor("carol")
        self.page = f"renku/projects/alice/climate/-/sessions/{self.session.id}"
        self.shown = (await self.visitor.get(f"{self.page}/credentials")).text

    async def submit(self, *storages: str) -> httpx.Response:
        """What a browser sends: hidden fields as they were shown, and what carol has typed for *storages*."""
        fields = dict(re.findall(r'<input type="hidden" name="(version_\w+)" value="(\d+)">', self.shown))
        for storage in storages:
            fields |= {f"secret_{storage}_user": USER, f"secret_{storage}_pass": self.secret}
        return await post(self.visitor, f"{self.page}/credentials", **fields, keep="yes")

    async def require_unused(self, missing: dict[str, bool]) -> None:
        """Nothing of carol's is stored for another address, or was shown to one."""
        asked = (await self.carol.get(f"{self.api}/sessions/{self.session.id}/credentials")).json()["items"]
        assert {row["directory"]: row["missing"] for row in asked} == missing
        start = await self.carol.post(f"{self.api}/sessions/{self.session.id}/start")
        assert (start.status_code, start.json()["code"]) == (409, "storage_credentials")
        assert self.evil.passwords == []


@pytest.fixture
async def stale(renku_hub: Any, secret: str) -> AsyncIterator[Stale]:
    hub = await hub_with(renku_hub)
    with recorder() as good, recorder() as evil:
        yield Stale(hub, good, evil, secret)


async def test_a_storage_that_moved_since_the_form_was_shown_gets_no_credentials(stale: Stale) -> None:
    labdata = await stale.add("labdata", stale.good)
    await stale.open_form()
    assert stale.good.url in stale.shown.replace("<wbr>", "")
    await stale.move(labdata)
    again = await stale.submit(labdata)
    assert (again.status_code, "It was changed since you opened this page." in again.text) == (409, True)
    assert stale.evil.url in again.text.replace("<wbr>", "") and stale.secret not in again.text
    await stale.require_unused({"labdata": True})
    stale.shown = again.text  # now it is meant for the other one
    assert (await stale.submit(labdata)).status_code == 303
    assert set(stale.evil.passwords) == {stale.secret}


async def test_a_storage_that_takes_the_place_of_a_deleted_one_gets_no_credentials(stale: Stale) -> None:
    labdata = await stale.add("labdata", stale.good)
    await stale.add("zevil", stale.evil)
    await stale.open_form()
    assert (await stale.bob.delete(f"{stale.api}/storages/{labdata}")).status_code == 204
    again = await stale.submit(labdata)
    assert (again.status_code, "A storage was removed or changed" in again.text) == (409, True)
    await stale.require_unused({"zevil": True})


async def test_a_storage_that_was_added_again_under_its_name_gets_no_credentials(stale: Stale) -> None:
    labdata = await stale.add("labdata", stale.good)
    await stale.open_form()
    assert (await stale.bob.delete(f"{stale.api}/storages/{labdata}")).status_code == 204
    await stale.add("labdata", stale.evil)
    address = f"{stale.api}/sessions/{stale.session.id}/credentials"
    secrets = {"user": USER, "pass": stale.secret}
    refused = await stale.carol.post(address, json={"storages": [{"id": labdata, "version": 1, "secrets": secrets}]})
    assert (refused.status_code, refused.json()["code"]) == (409, "changed")
    assert refused.json()["storages"] == [{"id": labdata, "version": None}]
    by_name = await stale.carol.post(address, json={"secrets": {"labdata": secrets}})
    assert (by_name.status_code, sorted(by_name.json()["fields"])) == (422, ["secrets", "storages"])
    await stale.require_unused({"labdata": True})


async def test_a_storage_that_moves_during_the_look_gets_no_credentials(stale: Stale) -> None:
    labdata = await stale.add("labdata", stale.good)
    await stale.open_form()
    stale.good.answers.clear()
    submitted = asyncio.create_task(stale.submit(labdata))
    try:
        await until(lambda: stale.good.passwords, why="the hub looks into the storage")
        await stale.move(labdata)
    finally:
        stale.good.answers.set()
    again = await submitted
    assert (again.status_code, "It was changed since you opened this page." in again.text) == (409, True)
    assert set(stale.good.passwords) == {stale.secret}
    await stale.require_unused({"labdata": True})
