"""The names below which the form and the API make projects, on a live hub with groups."""

import re

from tests.fixtures.renku import xsrf


def offered(page: str) -> list[str]:
    return re.findall(r"<option[^>]*>([^<]*)</option>", page.partition('name="namespace"')[2].partition("</select>")[0])


async def test_an_admin_is_offered_and_may_take_the_name_of_any_group(renku_hub):
    hub = await renku_hub()
    hub.user("admin", admin=True)
    hub.user("bob")
    hub.group("lab", "bob")
    admin, api = await hub.visitor("admin"), hub.client("admin")
    assert offered((await admin.get("renku/projects/new")).text) == ["admin", "lab"]
    form = {"_xsrf": xsrf(admin), "title": "Tides", "slug": "tides"}
    made = await admin.post("renku/projects", data=form | {"namespace": "lab"})
    assert (made.status_code, made.headers["location"].endswith("/renku/projects/lab/tides")) == (303, True)
    assert (await api.post("api/renku/projects", json={"path": "lab/two", "title": "Two"})).status_code == 201
    hub.group("later")  # the hub is asked anew each time
    assert (await api.post("api/renku/projects", json={"path": "later/x", "title": "X"})).status_code == 201


async def test_an_admin_makes_nothing_below_the_name_of_another_user(renku_hub):
    hub = await renku_hub()
    hub.user("admin", admin=True)
    hub.user("bob")
    hub.group("lab")
    said = await hub.client("admin").post("api/renku/projects", json={"path": "bob/tides", "title": "Tides"})
    sentence = "You can make projects below admin/ and, as an admin, below the names of groups only."
    assert (said.status_code, said.json()["fields"]) == (403, {"path": sentence})
    admin = await hub.visitor("admin")
    form = {"_xsrf": xsrf(admin), "title": "Tides", "slug": "tides", "namespace": "bob"}
    assert (await admin.post("renku/projects", data=form)).status_code == 403
    assert (await admin.get("renku/projects/bob/tides")).status_code == 404


async def test_a_member_of_a_group_makes_nothing_below_its_name(renku_hub):
    hub = await renku_hub()
    hub.group("lab", "bob")
    bob = await hub.visitor("bob")
    assert offered((await bob.get("renku/projects/new")).text) == []
    said = await hub.client("bob").post("api/renku/projects", json={"path": "lab/tides", "title": "Tides"})
    assert (said.status_code, said.json()["message"]) == (403, "You can make projects below bob/ only.")
