"""What a notebook does in a session: a cell is run over the websocket that JupyterLab would use."""

import asyncio
import io
import uuid
import zipfile
from typing import Any

import aiohttp

from tests.fixtures.renku import until

PATIENCE = 300  # seconds
WHEEL = {
    "mine.py": "ANSWER = 42\n",
    "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n",
    "mine-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "mine-1.0.dist-info/RECORD": "mine.py,,\nmine-1.0.dist-info/METADATA,,\nmine-1.0.dist-info/WHEEL,,\n",
}


def wheel() -> bytes:
    """A package that no index has."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in WHEEL.items():
            archive.writestr(name, text)
    return packed.getvalue()


async def run_cell(server: str, token: str, code: str) -> str:
    """What *code* printed in a kernel of the server at that address (which ends with a slash)."""
    headers = {"Authorization": f"token {token}"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        await until(lambda: _routed(client, server), why="the proxy knows the way")
        async with client.post(f"{server}api/kernels", json={"name": "python3"}) as made:
            assert made.status == 201, await made.text()
            kernel = (await made.json())["id"]
        async with client.ws_connect(f"{server}api/kernels/{kernel}/channels") as channels, asyncio.timeout(PATIENCE):
            request = uuid.uuid4().hex
            await channels.send_json(_message(request, "execute_request", {"code": code, "silent": False}))
            return await _output(channels, request)


async def _routed(client: aiohttp.ClientSession, server: str) -> bool:
    async with client.get(f"{server}api", allow_redirects=False) as answer:
        return answer.status == 200 and answer.content_type == "application/json"


def _message(id_: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    header = {"msg_id": id_, "msg_type": kind, "username": "alice", "session": uuid.uuid4().hex, "version": "5.4"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}


async def _output(channels: aiohttp.ClientWebSocketResponse, request: str) -> str:
    printed = ""
    while True:
        message = await channels.receive_json()
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        printed += content.get("text", "") + "\n".join(content.get("traceback", []))
        if content.get("execution_state") == "idle":
            return printed
