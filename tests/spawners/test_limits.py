"""The admin's own limit on named servers, on our pages and API too."""


async def test_the_hubs_limit_on_named_servers_holds_where_our_api_starts_sessions(renku_hub):
    hub = await renku_hub(JupyterHub={"named_server_limit_per_user": 1})
    project = await hub.project()
    first, second = await hub.session(project, "First"), await hub.session(project, "Second", key="r")
    alice = hub.client("alice")
    assert (await alice.post(f"api/renku/projects/{project.id}/sessions/{first.id}/start")).status_code in (200, 202)
    refused = await alice.post(f"api/renku/projects/{project.id}/sessions/{second.id}/start")
    assert (refused.status_code, refused.json()["code"]) == (409, "limit_servers")
    assert "1 servers on this hub" in refused.json()["message"]
    assert (await alice.post(f"api/renku/projects/{project.id}/sessions/{first.id}/start")).status_code in (200, 202)
