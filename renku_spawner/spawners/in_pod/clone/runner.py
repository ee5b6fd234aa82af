"""Run git for a clone: with a fixed configuration, without prompts, with allowed protocols and a timeout."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
import time

MAX_MESSAGE_CHARACTERS = 500
MAX_ERROR_OUTPUT_BYTES = 64 * 1024  # of git's error output to keep, from its end: the last lines have the reason
DISK_FULL = "The disk is full"
# Messages of git and curl (LC_ALL=C) and the reasons that they stand for.
ERROR_PATTERNS = (
    ("clone_disk_full", r"no space left on device|file too large|disk quota exceeded|died of signal 25"),
    ("clone_auth", r"authentication failed|could not read (username|password)|prompts disabled|returned error: 40[13]"),
)
# Messages of curl and Go when the proxy has refused a host, or could not reach it.
# No part matches beyond the next `->`, so that matching takes linear time.
_CURL_PROXY_ERROR = r"socks5 connection to (\S{1,300}?)\. "
_GO_PROXY_ERROR = r"->([^\s>]{1,300}):\d{1,5}: [^\n>]{0,200}?"
HOST_REFUSED_PATTERN = rf"{_CURL_PROXY_ERROR}\(2\)|{_GO_PROXY_ERROR}not allowed by ruleset"
HOST_UNREACHABLE_PATTERN = rf"{_CURL_PROXY_ERROR}\(4\)|{_GO_PROXY_ERROR}host unreachable"
CONFIG = (
    "protocol.allow=never",
    "core.hooksPath=/dev/null",
    "core.askPass=",
    "credential.helper=",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "lfs.transfer.maxRetries=2",
    "lfs.transfer.maxRetryDelay=1",
    "http.lowSpeedLimit=1",  # bytes a second, for lowSpeedTime seconds; a busy server still sends a few
    "http.lowSpeedTime=60",
)
PASSED_VARIABLES = re.compile(
    r"(?i)PATH|RENKU_INSTANCE_DIR|JUPYTERHUB_API_(URL|TOKEN)|((https?|all|no)_proxy)|SSL_CERT_(FILE|DIR)|GIT_SSL_CAINFO|CURL_CA_BUNDLE"
)


class CloneFailed(Exception):
    """A clone failed: *code* is one of Renku's reasons, the message a sentence for the user."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class CloneTimeout(CloneFailed):
    """The timeout of one repository is exceeded."""


class Git:
    """Runs git for all repositories of a session; *lock* is a descriptor that each git holds open."""

    def __init__(self, work, options):
        self.work = work
        self.timeout = options.timeout
        self.protocols = options.protocols.split(",")
        self.lock = None
        self._running = set()
        self._config = [*CONFIG, *(f"protocol.{name}.allow=always" for name in self.protocols)]
        if options.credentials:
            at, helper = f"credential.{options.credentials}", os.path.join(os.path.dirname(__file__), "credential.sh")
            self._config += [f"{at}.helper=!/bin/sh {shlex.quote(helper)}", f"{at}.useHttpPath=true"]
        if options.proxy:
            self._config.append(f"http.proxy={options.proxy}")
        self._environment = {
            **{name: value for name, value in os.environ.items() if PASSED_VARIABLES.fullmatch(name)},
            "GIT_ALLOW_PROTOCOL": ":".join(self.protocols),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": "/nonexistent",  # no .netrc, and no credentials of the user who runs the hub
            "LC_ALL": "C",
        }

    def __call__(self, folder, deadline, *arguments):
        """Run git in *folder* and return its output. Raises CloneFailed with its error output."""
        command = ["git", *(part for setting in self._config for part in ("-c", setting)), *arguments]
        inherited = () if self.lock is None else (self.lock,)
        process = subprocess.Popen(  # a process group of its own, so that its helpers can be killed with it
            command,
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            pass_fds=inherited,
            restore_signals=False,  # Python ignores SIGXFSZ, so git reports "File too large" instead of being killed
        )
        self._running.add(process.pid)
        error_output = PipeTail(process.stderr)
        process.stderr = None  # only the thread reads it
        try:
            output, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self._kill(process.pid)
            process.communicate()
            raise CloneTimeout("clone_failed", f"It took longer than {self.timeout:g} seconds.") from None
        finally:
            self._running.discard(process.pid)
        if process.returncode:
            raise build_git_failure(process.returncode, error_output.read(max(deadline - time.monotonic(), 1.0)))
        return output.decode(errors="replace").strip()

    def end(self, *_):
        """Kill all git processes and exit: the session was stopped while it was cloning."""
        for group in list(self._running):
            self._kill(group)
        os._exit(128 + signal.SIGTERM)

    @staticmethod
    def _kill(group):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


class PipeTail(threading.Thread):
    """Reads a pipe to its end and keeps the last `MAX_ERROR_OUTPUT_BYTES` bytes: a server may send any amount."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self._pipe, self._kept = pipe, bytearray()
        self.start()

    def run(self):
        with self._pipe:
            while part := self._pipe.read1(MAX_ERROR_OUTPUT_BYTES):
                self._kept += part
                del self._kept[:-MAX_ERROR_OUTPUT_BYTES]

    def read(self, seconds):
        """Return the text, after *seconds* also an incomplete one: a child of git may keep the pipe open."""
        self.join(seconds)
        return self._kept.decode(errors="replace")


def build_git_failure(code, error_output):
    """Turn git's exit code and error output into a reason."""
    lines = [
        line.strip() for line in clean_text(error_output[-16 * MAX_MESSAGE_CHARACTERS :]).splitlines() if line.strip()
    ]
    message = "\n".join(lines)[-MAX_MESSAGE_CHARACTERS:].strip() or f"git ended with {code}."
    if code == -signal.SIGXFSZ:
        return CloneFailed("clone_disk_full", f"{DISK_FULL}.")
    if match := re.search(HOST_REFUSED_PATTERN, error_output, re.IGNORECASE):
        host = clean_text(match[1] or match[2])[:100]
        return CloneFailed(
            "clone_failed", f"Connections to {host} are not allowed: it is internal, or its port is not 443."
        )
    if match := re.search(HOST_UNREACHABLE_PATTERN, error_output, re.IGNORECASE):
        return CloneFailed("clone_failed", f"Could not connect to {clean_text(match[1] or match[2])[:100]}.")
    for reason, pattern in ERROR_PATTERNS:
        if re.search(pattern, error_output, re.IGNORECASE):
            text = f"{DISK_FULL}: {message}" if reason == "clone_disk_full" else message
            return CloneFailed(reason, text[:MAX_MESSAGE_CHARACTERS])
    return CloneFailed("clone_failed", message)


def clean_text(text):
    """Remove credentials in URLs, control characters and terminal sequences."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text).replace("\r", "\n")
    text = re.sub(r"(\w://)[^/\s'\"@]*@", r"\1", text)
    return "".join(letter for letter in text if letter == "\n" or letter.isprintable())
