"""A hub that is killed and comes back knows its people at GitLab as before; one without a key does not start."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.gitlab import FakeGitLab
from tests.faults.own_hub import OwnHub
from tests.fixtures import gitlab

lab = gitlab.lab

CONFIG = """
c.Renku.projects = "gitlab"
c.JupyterHub.authenticator_class = "gitlab"
c.GitLabOAuthenticator.client_id = "{client_id}"
c.GitLabOAuthenticator.gitlab_url = "{url}"
c.Authenticator.allow_all = True
c.Authenticator.auth_refresh_age = 1
install(c)
"""


@pytest.fixture
async def own(lab: FakeGitLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwnHub]:
    monkeypatch.setenv("GITLAB_CLIENT_SECRET", lab.client_secret)
    hub = OwnHub(tmp_path)
    usual = hub.config.read_text().splitlines()
    kept = [line for line in usual if "uthenticator" not in line and line != "install(c)"]
    hub.config.write_text("\n".join(kept) + CONFIG.format(client_id=lab.client_id, url=lab.url))
    yield hub
    await asyncio.to_thread(hub.end)


async def test_a_log_in_outlives_the_hub(own: OwnHub, lab: FakeGitLab) -> None:
    await asyncio.to_thread(own.start)
    async with httpx.AsyncClient(base_url=own.url, timeout=300, trust_env=False) as alice:
        assert (await gitlab.log_in(alice, lab, "alice")).status_code == 200
        await asyncio.to_thread(own.kill)
        lab.expire("alice")
        lab.calls.clear()
        await asyncio.to_thread(own.start)
        answers = await asyncio.gather(*[alice.get("renku/sessions") for _ in range(6)])
        gitlab.plant(lab)
        assert [answer.status_code for answer in answers] == [200] * 6
        assert lab.counted("/oauth/token") == 1
    log = own.log()
    assert not [pair for pair in lab.tokens("alice") if pair.access in log or pair.refresh in log]


async def test_without_a_key_for_the_tokens_the_hub_says_so_and_ends(
    own: OwnHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTERHUB_CRYPT_KEY")
    command = [sys.executable, "-m", "jupyterhub", "-f", str(own.config)]
    ended = await asyncio.to_thread(
        subprocess.run, command, cwd=own.folder, capture_output=True, text=True, timeout=180
    )
    assert ended.returncode == 1
    assert "JUPYTERHUB_CRYPT_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr
