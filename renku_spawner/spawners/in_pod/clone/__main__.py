"""Clone a session's repositories into its working directory, without touching existing files.

Run as ``python -I clone <work folder> <report file>`` with a JSON list of ``{directory, url, ref, lfs, submodules}`` on
standard input. This folder imports nothing from the package, because on Kubernetes it runs in a container of its own.

The report is rewritten after each repository and printed as the last line. It is a JSON list of ``{directory, outcome,
code, message, seconds, commit}``. Outcome is ``cloned``, ``kept`` (existed before) or ``failed``; code is null or one
of Renku's reasons ``clone_…``; message is git's or a sentence of this script, at most 500 characters. A failed clone
does not fail the start: the exit code is 0 unless the arguments are wrong (2).
"""

import argparse
import errno
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from repository import PREFIX, clone
from runner import DISK_FULL, Failed, Git

AT_ONCE = 2
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def outcome(git, row):
    """Clone one repository and return its row of the report."""
    began = time.monotonic()
    told = {"directory": row["directory"], "outcome": "failed", "code": None, "message": "", "commit": None}
    try:
        told["outcome"], told["commit"] = clone(git, row)
    except Failed as error:
        told |= {"code": error.code, "message": str(error)}
    except OSError as error:
        full = error.errno in FULL
        message = f"{DISK_FULL}." if full else f"{error.strerror or error}."
        told |= {"code": "clone_disk_full" if full else "clone_failed", "message": message}
    return told | {"seconds": round(time.monotonic() - began, 1)}


def clone_all(git, rows, report):
    """Clone repositories in parallel; return their rows of the report, in the order of *rows*."""
    told = {}
    writing = threading.Lock()

    def one(number):
        result = outcome(git, rows[number])
        with writing:
            told[number] = result
            write(report, [told[number] for number in sorted(told)])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(len(rows))))
    return [told[number] for number in sorted(told)]


def write(report, results):
    """Replace the report file. A failure is only printed: the output has the whole report too."""
    new = f"{report}.new"
    try:
        with open(new, "w", encoding="utf-8") as file:
            json.dump(results, file)
        os.replace(new, report)
    except OSError as error:
        print(f"The report cannot be written: {error.strerror}", file=sys.stderr)


def alone(git):
    """Wait until no other run, or child of a killed run, uses this folder; then delete its unfinished clones."""
    git.lock = os.open(git.work, os.O_RDONLY | os.O_DIRECTORY)  # git inherits it
    end = time.monotonic() + git.timeout
    while busy(git.lock):
        if time.monotonic() > end:
            raise OSError(f"another run has been at work in {git.work} for {git.timeout:g} seconds")
        time.sleep(0.05)
    for name in os.listdir(git.work):
        if name.startswith(PREFIX) and not os.path.islink(os.path.join(git.work, name)):
            shutil.rmtree(os.path.join(git.work, name), ignore_errors=True)


def busy(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # the file system has no locks: the caller must run one at a time
    return False


def main(arguments=None):
    """Parse the arguments, clone, and print the report."""
    parser = argparse.ArgumentParser(description="Clone a session's repositories.")
    parser.add_argument("work")
    parser.add_argument("report")
    parser.add_argument("--protocols", default="https,http", help="allowed protocols, comma-separated")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one repository")
    parser.add_argument("--credentials", help="address of a GitLab, for whose repositories the hub gives credentials")
    parser.add_argument("--proxy", help="proxy for git and git-lfs, such as socks5h://127.0.0.1:1080")
    options = parser.parse_args(arguments)
    try:
        rows = json.load(sys.stdin)
        ["".join((row["directory"], row["url"], row.get("ref") or "")) for row in rows]
        git = Git(os.path.realpath(options.work), options)
        alone(git)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        parser.error(f"{type(error).__name__}: {error}")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # git inherits it
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, git.end)
    print(json.dumps(clone_all(git, rows, options.report)), flush=True)


if __name__ == "__main__":
    main()
