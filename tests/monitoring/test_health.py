"""Whether all that Renku needs answers: said to anybody in a word, to admins in detail."""

import httpx

from renku_spawner.context import database_health
from tests.fixtures.renku import RenkuHub, until

from .scraping import scraped

QUIET = {"status": "ok", "neighbours": None, "refused_settings": None}


async def health(hub: RenkuHub, name: str | None = None) -> httpx.Response:
    if name is not None:
        return await hub.client(name).get("api/renku/health")
    async with httpx.AsyncClient(trust_env=False) as nobody:
        return await nobody.get(f"{hub.url}api/renku/health")


async def test_a_database_that_is_gone_is_noticed_by_nobodys_request_and_told_to_all(renku_hub, monkeypatch, tmp_path):
    monkeypatch.setattr(database_health, "DATABASE_CHECK_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(database_health, "DATABASE_CHECK_PAUSE_FACTOR", 1)
    file = tmp_path / "renku.sqlite"
    hub = await renku_hub(Renku={"db_url": f"sqlite:///{file}"}, Authenticator={"admin_users": {"root"}})
    hub.user("root", admin=True)
    assert (await health(hub)).json() == QUIET
    assert (await health(hub, "alice")).json() == QUIET
    database = {"kind": "database", "name": "database", "away_since": None, "reason": None}
    assert (await health(hub, "root")).json() == {**QUIET, "neighbours": [database]}
    hub.parts.db.dispose()
    aside = file.rename(tmp_path / "aside")
    file.mkdir()

    async def away() -> bool:
        return (await health(hub)).status_code == 503

    await until(away, why="it is noticed")
    assert (await health(hub)).json()["code"] == "database_away"
    assert (await scraped(hub))["renku_neighbour_away", "database"] == 1
    assert (await hub.client("root").get("health")).status_code == 200, "the hub itself lives"
    file.rmdir()
    aside.rename(file)

    async def back() -> bool:
        return (await health(hub)).json()["status"] == "ok"

    await until(back, why="it is back")
    assert (await scraped(hub))["renku_neighbour_away", "database"] == 0
