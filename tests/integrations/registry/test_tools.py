"""Images that other people's tools have made and pushed: umoci and skopeo."""

import json
import subprocess
from pathlib import Path

from renku_spawner.domain.images import ImageReference
from renku_spawner.integrations.registry.client import RegistryClient
from tests.fixtures import images
from tests.fixtures.registry import Registry


def run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def raw(image: str) -> str:
    return run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}")


def push(layout: Path, name: str, *options: str) -> None:
    copy = ("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *options)
    run(*copy, f"oci:{layout}:latest", f"docker://{name}:latest")


async def test_layers_packed_by_zstd_count_as_any(registry: Registry, client: RegistryClient, tmp_path: Path) -> None:
    made = images.image(platforms=["linux/arm64", "linux/amd64"], files={"data": b"x" * 100_000})
    images.layout(made, tmp_path / "layout")
    name = f"{registry.host}/zstd"
    push(tmp_path / "layout", name, "--all", "--dest-compress-format", "zstd")
    chosen = json.loads(raw(f"{name}:latest"))["manifests"][1]["digest"]
    assert "tar+zstd" in raw(f"{name}@{chosen}")
    facts = await client.inspect_image(ImageReference(repository=name, tag="latest"))
    assert facts.platforms == ("linux/arm64", "linux/amd64")
    assert facts.size and facts.size < 500
    assert facts.digest != made.top, "packed anew"


async def test_an_image_without_any_layer_has_no_size(
    registry: Registry, client: RegistryClient, tmp_path: Path
) -> None:
    layout = tmp_path / "layout"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:latest")
    settings = ("--config.user=jovyan", "--config.workingdir=/srv", "--config.exposedports=8080", "--config.cmd=serve")
    run("umoci", "config", "--image", f"{layout}:latest", "--os=linux", "--architecture=amd64", *settings)
    push(layout, f"{registry.host}/umoci")
    facts = await client.inspect_image(ImageReference(repository=f"{registry.host}/umoci", tag="latest"))
    assert (facts.user, facts.working_directory, facts.ports, facts.command) == ("jovyan", "/srv", (8080,), ("serve",))
    assert facts.size == 0
    assert facts.created
