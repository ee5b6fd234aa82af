"""The hub's own home page, which offers what our gate refuses."""


async def test_home_leads_to_projects_where_only_sessions_start(renku_hub):
    hub = await renku_hub()
    page = (await (await hub.visitor("alice")).get("home")).text
    assert "renku/projects" in page
    assert "Start My Server" not in page.replace("\n", " ")
    assert "name-your-server" not in page


async def test_home_is_the_hubs_own_where_plain_servers_are_allowed(renku_hub):
    hub = await renku_hub(Renku={"allow_plain_servers": True})
    assert "name-your-server" in (await (await hub.visitor("alice")).get("home")).text
