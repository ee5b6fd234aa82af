"""Real git repositories, served over HTTP."""

import os
import subprocess
from pathlib import Path

import pytest

from renku_spawner.demo.git_http import GitHTTPServer, serve_repositories

WHO = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(folder: Path, *arguments: str, stdin: str = "", **env: str) -> str:
    """Run git as a person does, with nothing configured but a name."""
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **WHO, **env},
        check=True,
        input=stdin,
        capture_output=True,
        text=True,
    ).stdout.strip()


class Upstream:
    """Bare repositories in a folder, and the server that shows them."""

    def __init__(self, folder: Path, server: GitHTTPServer) -> None:
        self.folder, self.server = folder, server

    def url(self, name: str) -> str:
        return f"{self.server.url}/{name}.git"

    def commit(self, name: str, branch: str = "main", **files: str | bytes) -> str:
        """Commit *files* on a branch; make repository and branch when they do not exist. Return the commit."""
        bare, source = self.folder / f"{name}.git", self.folder.parent / "sources" / name
        if not bare.exists():
            bare.mkdir(parents=True)
            source.mkdir(parents=True)
            git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
            git(source, "init", "--quiet", f"--initial-branch={branch}")
            git(source, "remote", "add", "origin", str(bare))
        else:
            git(source, "checkout", "--quiet", "-B", branch)
        for path, content in files.items():
            (source / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--allow-empty", "--message", f"Change {', '.join(files)}")
        git(source, "push", "--quiet", "--force", "origin", branch)
        return git(source, "rev-parse", "HEAD")

    def source(self, name: str) -> Path:
        return self.folder.parent / "sources" / name


@pytest.fixture
def upstream(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    with serve_repositories(folder) as server:
        yield Upstream(folder, server)
