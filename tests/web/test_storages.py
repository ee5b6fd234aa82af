"""Storages in the browser and the API: an editor adds one, each user enters their own, and nobody reads it again."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from renku_spawner.domain.access import Action
from renku_spawner.domain.instance import Status
from tests.fixtures import canaries
from tests.fixtures.remotes import USER, served
from tests.fixtures.renku import RenkuHub, xsrf

SETTINGS = {"Renku": {"storage_hosts": {"127.0.0.1"}}}


@pytest.fixture
def secret() -> str:
    return canaries.planted("storage credential")


async def post(client: httpx.AsyncClient, address: str, **fields: Any) -> httpx.Response:
    return await client.post(address.removeprefix("/@/space%20word/hub/"), data={**fields, "_xsrf": xsrf(client)})


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
    assert "The server cannot be reached." in (await bob.get("renku/projects/alice/climate/-/settings")).text
    assert (await post(bob, f"{page}/{found['id']}/delete")).status_code == 303
    assert (await hub.client("bob").get("api/renku/projects/alice%2Fclimate/storages")).json()["items"] == []


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
        session = await hub.session(await hub.parts.source.get(hub.person("alice"), "alice/climate", Action.READ))
        page = f"renku/projects/alice/climate/-/sessions/{session.id}"
        refused = await hub.client("carol").post(f"{api}/sessions/{session.id}/start")
        assert (refused.status_code, refused.json()["code"]) == (409, "storage_credentials")

        led = await post(carol, f"{page}/start")
        assert (led.status_code, led.headers["location"].partition("?")[0][-12:]) == (303, "/credentials")
        offered = (await carol.get(f"{page}/credentials")).text
        assert "Save and start" in offered and 'name="without_storages" value="era5"' in offered
        wrong = await post(carol, f"{page}/credentials", secret_0_user=USER, secret_0_pass="guessed", keep="yes")
        assert (wrong.status_code, "These credentials are refused." in wrong.text) == (422, True)
        short = await post(carol, f"{page}/credentials", secret_0_user=USER, keep="yes")
        assert 'id="secret_0_pass-error"' in short.text
        entered = await post(
            carol, f"{page}/credentials", secret_0_user=USER, secret_0_pass=secret, keep="yes", start="yes"
        )
        assert (entered.status_code, entered.headers["location"][-12:]) == (303, session.id), entered.text
        await hub.becomes(session, Status.RUNNING, "carol")

    mine = (await carol.get("renku/sessions")).text
    assert "Credentials that you keep here" in mine
    forget = f"renku/storages/{made.json()['id']}/credentials/delete"
    assert (await post(await hub.visitor("bob"), forget)).status_code == 404
    assert (await post(carol, forget)).status_code == 303
    asked = await hub.client("carol").get(f"{api}/sessions/{session.id}/credentials")
    assert [(row["directory"], row["missing"]) for row in asked.json()["items"]] == [("era5", True)]
