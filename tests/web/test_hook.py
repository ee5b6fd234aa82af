"""GitLab tells of news with a secret, and nobody else does."""

import json

import httpx
import pytest

from renku_spawner.context.app_context import read_transaction, write_transaction
from tests.fixtures.renku import RenkuHub
from tests.persistence.made import newest

SECRET = "correct horse battery staple"
EVENT = {"object_kind": "pipeline", "project": {"id": 42, "name": "spectra"}, "builds": [{"id": 1, "stage": "build"}]}


@pytest.fixture
async def hub(renku_hub) -> RenkuHub:
    return await renku_hub(Renku={"webhook_secret": SECRET})


async def told(hub: RenkuHub, body: object = EVENT, *, client: httpx.AsyncClient | None = None, **headers: str):
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False) as nobody:
        kind = {"Content-Type": "application/json", "X-Gitlab-Event": "Pipeline Hook"}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await (client or nobody).post("api/renku/gitlab-hook", content=said, headers=kind | names)


async def known(hub: RenkuHub) -> bool:
    """Whether what was seen of the project's branch still counts as an answer."""
    found = await read_transaction(hub.parts, lambda tx: tx.ci_images.get(("42", "main", "registry.example.org/a/b")))
    return bool(found and found.answered)


async def test_only_who_has_the_secret_is_heard(hub: RenkuHub) -> None:
    await write_transaction(hub.parts, lambda tx: tx.ci_images.save(newest(looked_at=hub.parts.now())))
    visitor = await hub.visitor("alice")
    refused = [
        await told(hub),
        await told(hub, X_Gitlab_Token=""),
        await told(hub, X_Gitlab_Token=SECRET[:-1]),
        await told(hub, X_Gitlab_Token=SECRET.upper()),
        await told(hub, client=visitor),
        await told(hub, client=hub.client("alice")),
        await told(hub, b"x" * 70_000),
    ]
    assert [answer.status_code for answer in refused] == [404] * 6 + [413]
    assert len({answer.text for answer in refused[:6]}) == 1
    assert await known(hub)
    assert (await told(hub, X_Gitlab_Token=SECRET)).status_code == 204
    assert not await known(hub)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"object_kind": "push", "project_id": 42}, 204),
        ({"event_name": "user_create"}, 204),
        ({"project": {"id": "42"}}, 204),
        ({"project": {"id": True}}, 204),
        ({"project": [42]}, 204),
        (b"{", 400),
        ([], 422),
        ({"project": {"id": 42}, "builds": ["x" * 1000] * 100}, 204),
        (b"x" * (2 << 20), 413),
    ],
)
async def test_whatever_it_tells_the_answer_is_short(hub: RenkuHub, body: object, status: int) -> None:
    assert (await told(hub, body, X_Gitlab_Token=SECRET)).status_code == status


async def test_nothing_but_post_is_heard(hub: RenkuHub) -> None:
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False) as nobody:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            answer = await nobody.request(method, "api/renku/gitlab-hook", headers={"X-Gitlab-Token": SECRET})
            assert answer.status_code == 405, method


async def test_a_form_is_not_heard(hub: RenkuHub) -> None:
    answer = await told(hub, b"a=b", X_Gitlab_Token=SECRET, Content_Type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
