"""What people read and get from a hub whose GitLab does not answer."""

import httpx

from renku_spawner.domain.reasons import format_reason_sentence
from tests.fixtures import gitlab, renku
from tests.fixtures.fair import Stopwatch
from tests.fixtures.gitlab import GitLabHub, later
from tests.monitoring.scraping import scraped

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub


async def test_pages_go_on_with_a_notice_and_starts_are_refused_in_words(gitlab_hub):
    hub = await gitlab_hub()
    bob = await hub.visitor("bob")
    project = await hub.project()
    session = await hub.session(project)
    clock, client = later(hub), hub.client("bob")
    start = f"api/renku/projects/{project.id}/sessions/{session.id}/start"
    pages = [
        "renku/projects",
        f"renku/projects/{project.path}",
        f"renku/projects/{project.path}/-/sessions/{session.id}",
    ]
    for page in pages:
        assert (await bob.get(page)).status_code == 200
    hub.lab.mode = "500"
    clock.seconds = 310
    for page in pages:
        answer = await bob.get(page)
        assert answer.status_code == 200, answer.text
        assert "GitLab does not answer" in answer.text, page
    own = f"api/users/bob/servers/{session.id}"  # the hub's own way
    for answer in (await client.post(start), await client.post(own)):
        assert answer.status_code == 503, answer.text
        assert format_reason_sentence("access_unverified") in answer.text
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
    hub.lab.mode = "hang"
    clock.seconds = 930
    for page in pages:
        took = Stopwatch()
        assert (await bob.get(page)).status_code == 503
        assert took() < 20
    assert (await bob.get("renku/sessions")).status_code == 200
    await _is_known_to_be_away(hub, client)
    hub.lab.mode = "ok"
    clock.seconds = 960
    assert "GitLab does not answer" not in (await bob.get(pages[1])).text
    assert (await client.get("api/renku/health")).json()["status"] == "ok"


async def _is_known_to_be_away(hub: GitLabHub, client: httpx.AsyncClient) -> None:
    assert (await client.get("api/renku/health")).json()["status"] == "degraded"
    series = await scraped(hub)
    assert (series["renku_neighbour_away", "gitlab"], series["renku_neighbour_away", "database"]) == (1, 0)
    assert series["renku_calls_total", "no_answer", "gitlab"] >= 5
