"""Serve the bare Git repositories of a folder over HTTP on loopback, read-only, for the demo and for tests."""

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

_PATH_SEGMENT_REGEX = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}"
_REPOSITORY_PATH_PATTERN = re.compile(
    rf"/((?:{_PATH_SEGMENT_REGEX}/){{0,20}}{_PATH_SEGMENT_REGEX}\.git)(/info/refs|/git-upload-pack)"
)
_ENDPOINTS_BY_METHOD = {"GET": "/info/refs", "POST": "/git-upload-pack"}
_MAX_BODY_BYTES = 8 * 1024**2  # the body of a fetch lists the commits that the client already has


class GitHTTPServer(ThreadingHTTPServer):
    """Serves ``<url>/<path>.git`` for the bare repositories below *folder* until it is closed."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _GitRequestHandler)
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


def serve_repositories(folder: Path, port: int = 0) -> GitHTTPServer:
    """Serve *folder* from a thread; port 0 takes a free one. Raises OSError if the port is taken."""
    return GitHTTPServer(folder, port)


class _GitRequestHandler(BaseHTTPRequestHandler):
    """Answer the two read-only requests of git's smart HTTP protocol."""

    server: GitHTTPServer
    timeout = 60  # seconds without a byte

    def do_GET(self) -> None:
        if urlsplit(self.path).query != "service=git-upload-pack":
            self.send_error(403, "Read-only")
        elif repository := self._find_repository():
            self._run_backend(repository, b"")

    def do_POST(self) -> None:
        repository = self._find_repository()
        body = self._read_body() if repository else None
        if repository and body is not None:
            self._run_backend(repository, body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: these requests do not belong in the hub's log."""

    def _find_repository(self) -> str | None:
        """Return the repository's path below the folder, or answer 404: also if a link leads out of the folder."""
        match = _REPOSITORY_PATH_PATTERN.fullmatch(urlsplit(self.path).path)
        folder = self.server.folder
        right = match and match[2] == _ENDPOINTS_BY_METHOD[self.command]
        if (
            match
            and right
            and (real := (folder / match[1]).resolve()).is_relative_to(folder)
            and (real / "HEAD").is_file()
        ):
            return match[1]
        self.send_error(404)
        return None

    def _read_body(self) -> bytes | None:
        """Read the request's body, or answer 411 (no size given) or 413 (too large) and return None."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":  # git sends bodies above 1 MiB in chunks
            body = _read_chunked_body(self.rfile)
        elif (size := self.headers.get("Content-Length", "")).isdecimal():
            body = self.rfile.read(int(size)) if int(size) <= _MAX_BODY_BYTES else None
        else:
            self.send_error(411)
            return None
        if body is None:
            self.send_error(413)
        return body

    def _run_backend(self, repository: str, body: bytes) -> None:
        """Pass the request to `git http-backend` and stream its response."""
        with tempfile.TemporaryFile() as question:
            question.write(body)
            question.seek(0)
            with subprocess.Popen(
                ["git", "http-backend"],
                env=self._build_cgi_environment(repository, len(body)),
                stdin=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as git:
                self._send_backend_response(git.stdout)

    def _build_cgi_environment(self, repository: str, size: int) -> dict[str, str]:
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

    def _send_backend_response(self, output: IO[bytes] | None) -> None:
        """Send a CGI response (RFC 3875, section 6) as HTTP."""
        if output is None:
            return
        headers = http.client.parse_headers(output)
        self.send_response(int(headers.get("Status", "200" if headers else "500").split()[0]))
        for name, value in headers.items():
            if name.lower() != "status":
                self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client has gone
            shutil.copyfileobj(output, self.wfile)


def _read_chunked_body(stream: BufferedIOBase) -> bytes | None:
    """Read a chunked body (RFC 9112, section 7.1); return None if it is too large or malformed."""
    body = b""
    while len(body) <= _MAX_BODY_BYTES:
        size = stream.readline(20).strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,7}", size):
            return None
        body += stream.read(int(size, 16))
        stream.readline(20)
        if int(size, 16) == 0:
            return body
    return None
