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

from repository import UNFINISHED_PREFIX, clone_repository
from runner import DISK_FULL, CloneFailed, Git

MAX_CONCURRENT_CLONES = 2
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def report_clone(git, row):
    """Clone one repository and return its row of the report."""
    start = time.monotonic()
    row_report = {"directory": row["directory"], "outcome": "failed", "code": None, "message": "", "commit": None}
    try:
        row_report["outcome"], row_report["commit"] = clone_repository(git, row)
    except CloneFailed as error:
        row_report |= {"code": error.code, "message": str(error)}
    except OSError as error:
        full = error.errno in DISK_FULL_ERRNOS
        message = f"{DISK_FULL}." if full else f"{error.strerror or error}."
        row_report |= {"code": "clone_disk_full" if full else "clone_failed", "message": message}
    return row_report | {"seconds": round(time.monotonic() - start, 1)}


def clone_all(git, rows, report):
    """Clone repositories in parallel; return their rows of the report, in the order of *rows*."""
    results = {}
    writing = threading.Lock()

    def clone_one(number):
        result = report_clone(git, rows[number])
        with writing:
            results[number] = result
            write_report(report, [results[n] for n in sorted(results)])

    with ThreadPoolExecutor(MAX_CONCURRENT_CLONES) as pool:
        list(pool.map(clone_one, range(len(rows))))
    return [results[n] for n in sorted(results)]


def write_report(report, results):
    """Replace the report file. A failure is only printed: the output has the whole report too."""
    new = f"{report}.new"
    try:
        with open(new, "w", encoding="utf-8") as file:
            json.dump(results, file)
        os.replace(new, report)
    except OSError as error:
        print(f"The report cannot be written: {error.strerror}", file=sys.stderr)


def lock_work_folder(git):
    """Wait until no other run, or child of a killed run, uses this folder; then delete its unfinished clones."""
    git.lock = os.open(git.work, os.O_RDONLY | os.O_DIRECTORY)  # git inherits it
    end = time.monotonic() + git.timeout
    while is_locked(git.lock):
        if time.monotonic() > end:
            raise OSError(f"another run has been at work in {git.work} for {git.timeout:g} seconds")
        time.sleep(0.05)
    for name in os.listdir(git.work):
        if name.startswith(UNFINISHED_PREFIX) and not os.path.islink(os.path.join(git.work, name)):
            shutil.rmtree(os.path.join(git.work, name), ignore_errors=True)


def is_locked(lock):
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
        lock_work_folder(git)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        parser.error(f"{type(error).__name__}: {error}")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # git inherits it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, git.end)
    print(json.dumps(clone_all(git, rows, options.report)), flush=True)


if __name__ == "__main__":
    main()
