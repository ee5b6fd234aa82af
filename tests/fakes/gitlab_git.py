"""The bare repository of a project of the fake GitLab: real commits, and what git says of them."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
AUTHOR = ("Ada Example", "ada@example.com")
GUARD = """#!/bin/sh
while read old new ref; do
  case " $GL_PROTECTED " in *" $ref "*)
    echo "GitLab: You are not allowed to push code to protected branches on this project." >&2; exit 1;;
  esac
done
"""
LINE = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x01"
NONE = "0" * 40


class Submodule(str):
    """Instead of a file: a commit of another repository."""


class Unknown(Exception):
    """There is no such branch, tag, commit or file."""


def environment() -> dict[str, str]:
    """Git without the configuration of this machine."""
    return {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def dated(text: str) -> str:
    """A time of git as the API shows it: with the author's offset."""
    return f"{text[:19]}.000{text[19:].replace('Z', '+00:00')}"


@dataclass(frozen=True)
class Repository:
    """`folder` is the bare repository; it exists from the first use by git on. `branch` is its default one."""

    folder: Path
    branch: str

    def make(self) -> None:
        if self.folder.exists():
            return
        subprocess.run(
            ["git", "init", "--quiet", "--bare", f"--initial-branch={self.branch}", str(self.folder)],
            env=environment(),
            check=True,
        )
        guard = self.folder / "hooks" / "pre-receive"
        guard.parent.mkdir(exist_ok=True)
        guard.write_text(GUARD)
        guard.chmod(0o755)

    def git(self, *arguments: str, given: bytes | None = None) -> bytes:
        if not self.folder.exists():
            raise Unknown(self.folder.name)
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            env=environment(),
            input=given,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise Unknown(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def commit(
        self, branch: str, files: Mapping[str, str | bytes | None], message: str, author: tuple[str, str], date: str
    ) -> str:
        """Commit *files* (None: removed) on a branch, which begins at the default one if it is new; return its sha."""
        self.make()
        refs = self.refs()
        start = next((ref for ref in (f"refs/heads/{branch}", f"refs/heads/{self.branch}") if ref in refs), None)
        text = message.encode()
        who = f"{author[0]} <{author[1]}> {date or f'{int(time.time())} +0000'}"
        parts = [f"commit refs/heads/{branch}\nauthor {who}\ncommitter {who}\ndata {len(text)}\n".encode(), text, b"\n"]
        parts += [f"from {start}^0\n".encode()] if start else []
        parts += [_change(path, content) for path, content in files.items()]
        self.git("fast-import", "--quiet", "--date-format=raw", given=b"".join(parts))
        return self.sha(f"refs/heads/{branch}")

    @property
    def empty(self) -> bool:
        heads = self.folder / "refs" / "heads"
        return not (self.folder / "packed-refs").exists() and not any(path.is_file() for path in heads.rglob("*"))

    def refs(self) -> dict[str, str]:
        """Commits by full name of their ref."""
        if not self.folder.exists():
            return {}
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").decode().splitlines()
        return dict(line.split(" ") for line in lines)  # type: ignore[misc]

    def sha(self, ref: str) -> str:
        """The commit that *ref* (full name, branch, tag or sha) is; raises Unknown."""
        if not re.fullmatch(r"[\w][\w./+-]*", ref):
            raise Unknown(ref)
        return self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").decode().strip()

    def log(self, *arguments: str) -> list[Object]:
        """Commits as the API shows them, but for `web_url`, newest first."""
        text = self.git("log", f"--format={LINE}", *arguments).decode(errors="replace")
        return [_commit(record.lstrip("\n")) for record in text.split("\x01")[:-1]]

    def one(self, ref: str) -> Object:
        return self.log("-1", self.sha(ref))[0]

    def stats(self, sha: str) -> dict[str, int]:
        lines = self.git("show", "--numstat", "--format=", sha).decode().splitlines()
        pairs = [line.split("\t")[:2] for line in lines if line]
        added, removed = (sum(int(pair[at]) for pair in pairs if pair[at] != "-") for at in (0, 1))
        return {"additions": added, "deletions": removed, "total": added + removed}

    def tree(self, sha: str, path: str, *, deep: bool) -> list[Object]:
        """Entries of a folder, other folders first."""
        flags = ["-r", "-t"] if deep else []
        given = [f"{path.rstrip('/')}/"] if path else []
        found = []
        for line in self.git("ls-tree", *flags, sha, "--", *given).decode().splitlines():
            about, name = line.split("\t")
            mode, kind, blob = about.split(" ")
            found.append({"id": blob, "name": name.rpartition("/")[2], "type": kind, "path": name, "mode": mode})
        return sorted(found, key=lambda entry: entry["type"] != "tree")

    def file(self, sha: str, path: str) -> bytes:
        return self.git("cat-file", "blob", f"{sha}:{path}")


def _commit(record: str) -> Object:
    sha, parents, author, email, authored, committer, mail, committed, message = record.split("\x00")
    times = {"authored_date": dated(authored), "committed_date": dated(committed)}
    return {
        "id": sha,
        "short_id": sha[:8],
        "created_at": times["committed_date"],
        "parent_ids": parents.split(),
        "title": message.strip().partition("\n")[0],
        "message": message,
        "author_name": author,
        "author_email": email,
        "authored_date": times["authored_date"],
        "committer_name": committer,
        "committer_email": mail,
        "committed_date": times["committed_date"],
        "trailers": {},
        "extended_trailers": {},
    }


def _change(path: str, content: str | bytes | None) -> bytes:
    """A line of fast-import's language."""
    if content is None:
        return f"D {path}\n".encode()
    if isinstance(content, Submodule):
        return f"M 160000 {content} {path}\n".encode()
    raw = content.encode() if isinstance(content, str) else content
    return f"M 100644 inline {path}\ndata {len(raw)}\n".encode() + raw + b"\n"
