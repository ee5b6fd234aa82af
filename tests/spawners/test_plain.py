"""Servers that are no sessions, on hubs that had them before and keep them."""

import sys

from tests.fixtures.renku import until

COMMAND = [sys.executable, "-m", "jupyterhub.tests.mocksu"]
PLAIN = {"Renku": {"allow_plain_servers": True}, "RenkuLocalSpawner": {"cmd": COMMAND, "interrupt_timeout": 1}}


async def test_a_plain_server_starts_and_stops_beside_the_sessions(renku_hub):
    hub = await renku_hub(**PLAIN)
    alice = hub.client("alice")
    for server in ("server", "servers/extra"):
        answer = await alice.post(f"api/users/alice/{server}")
        assert answer.status_code in (201, 202), answer.text
        name = server.partition("/")[2]
        await until(lambda name=name: hub.user("alice").spawners[name].ready, seconds=60)
        assert (await alice.delete(f"api/users/alice/{server}")).status_code in (202, 204)
        await until(lambda name=name: not hub.user("alice").orm_spawners[name].server)


async def test_a_plain_server_cannot_have_the_name_of_a_session_that_does_not_exist(renku_hub):
    hub = await renku_hub(**PLAIN)
    assert (await hub.client("alice").post("api/users/alice/servers/abcdefghijkl")).status_code == 404
