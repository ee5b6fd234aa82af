"""What csi-rclone does with a claim on a node, by the real rclone: what is in the remote is copied to its place.

As its pkg/rclone/rclone.go: the Secret's `configData` is read as INI, its options are handed to `config create` with
`obscure`, and a remote that cannot be had is an error of the RPC, which the kubelet tells in an event.
"""

import os
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

Object = dict[str, Any]
ANNOTATION = "csi-rclone.dev/secretName"


class StageError(Exception):
    """The driver's answer; the message is what the kubelet tells."""


def secret_name(claim: Object) -> str | None:
    return claim["metadata"].get("annotations", {}).get(ANNOTATION)


def stage(secret: Object, folder: Path) -> None:
    """Have in *folder* what the remote has. Raises StageError."""
    data = {key: b64decode(text).decode() for key, text in secret["data"].items()}
    options = _options(data["configData"])
    config = folder.with_name(f"{folder.name}.conf")
    kind = options.pop("type")
    pairs = [word for pair in options.items() for word in pair]
    _rclone(config, "config", "create", "mounted", kind, *pairs, "--obscure", "--non-interactive")
    _rclone(config, "copy", f"mounted:{data['remotePath']}", str(folder))
    config.unlink()


def _rclone(config: Path, *words: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "RCLONE_CONFIG": str(config)}
    done = subprocess.run(
        ["rclone", *words, "--retries=1", "--low-level-retries=1", "--contimeout=3s"],
        capture_output=True, text=True, env=env, check=False, timeout=30,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no word"
        raise StageError(f"rpc error: code = Internal desc = mounting failed: {said}")


def _options(text: str) -> dict[str, str]:
    """The one section of an INI file; a value in backquotes stands for itself."""
    head, *lines = text.strip().splitlines()
    assert head.startswith("[")
    found = {}
    for line in lines:
        name, _, value = line.partition("=")
        value = value.strip()
        found[name.strip()] = value[1:-1] if value.startswith("`") else value
    return found
