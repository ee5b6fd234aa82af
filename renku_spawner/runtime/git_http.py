"""Serve the git repositories of a folder over HTTP on loopback, read-only: for the demo and for tests."""

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Self
from urllib.parse import urlsplit

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}"
_ADDRESS = re.compile(rf"/((?:{_NAME}/){{0,20}}{_NAME}\.git)(/info/refs|/git-upload-pack)")
_ENDS = {"GET": "/info/refs", "POST": "/git-upload-pack"}
_BODY_LIMIT = 8 * 1024**2  # bytes; what a client has already, as it asks for the rest


class GitServer(ThreadingHTTPServer):
    """Serves ``<url>/<path>.git`` for the bare repositories below *folder* until it is closed."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.folder = folder.resolve()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True, name="git-http")
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(folder: Path, port: int = 0) -> GitServer:
    """Serve *folder* from a thread; port 0 takes a free one. Raises OSError if the port is taken."""
    return GitServer(folder, port)


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    timeout = 60  # seconds without a byte

    def do_GET(self) -> None:
        if urlsplit(self.path).query != "service=git-upload-pack":
            self.send_error(403, "Read-only")
        elif repository := self._repository():
            self._run(repository, b"")

    def do_POST(self) -> None:
        repository = self._repository()
        body = self._body() if repository else None
        if repository and body is not None:
            self._run(repository, body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep silent: the hub's log is for the hub."""

    def _repository(self) -> str | None:
        """Return the repository's path below the folder; answer 404 unless it is one, and really below."""
        match = _ADDRESS.fullmatch(urlsplit(self.path).path)
        folder = self.server.folder
        right = match and match[2] == _ENDS[self.command]
        if (
            match
            and right
            and (real := (folder / match[1]).resolve()).is_relative_to(folder)
            and (real / "HEAD").is_file()
        ):
            return match[1]
        self.send_error(404)
        return None

    def _body(self) -> bytes | None:
        """Read the request's body; answer 411 or 413 and return None if it says no size or is too large."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":  # git does so above 1 MiB
            body = _chunks(self.rfile)
        elif (size := self.headers.get("Content-Length", "")).isdecimal():
            body = self.rfile.read(int(size)) if int(size) <= _BODY_LIMIT else None
        else:
            self.send_error(411)
            return None
        if body is None:
            self.send_error(413)
        return body

    def _run(self, repository: str, body: bytes) -> None:
        """Hand the request to git's own CGI program, and back its answer as it comes."""
        with tempfile.TemporaryFile() as question:
            question.write(body)
            question.seek(0)
            with subprocess.Popen(
                ["git", "http-backend"],
                env=self._environment(repository, len(body)),
                stdin=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as git:
                self._answer(git.stdout)

    def _environment(self, repository: str, size: int) -> dict[str, str]:
        parts = urlsplit(self.path)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(size),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }

    def _answer(self, output: IO[bytes] | None) -> None:
        """Turn a CGI answer (RFC 3875, section 6) into HTTP."""
        if output is None:
            return
        headers = http.client.parse_headers(output)
        self.send_response(int(headers.get("Status", "200" if headers else "500").split()[0]))
        for name, value in headers.items():
            if name.lower() != "status":
                self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that was stopped
            shutil.copyfileobj(output, self.wfile)


def _chunks(stream: BufferedIOBase) -> bytes | None:
    """Read a chunked body (RFC 9112, section 7.1); return None if it is too large or no such body."""
    body = b""
    while len(body) <= _BODY_LIMIT:
        size = stream.readline(20).strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,7}", size):
            return None
        body += stream.read(int(size, 16))
        stream.readline(20)
        if int(size, 16) == 0:
            return body
    return None
