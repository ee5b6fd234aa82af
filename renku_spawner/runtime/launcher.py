"""Start a session's server at most once: lock the instance, write down who runs, become the command.

Run as ``python -I launcher.py <instance folder> <log file> -- <command…>``. It stands alone (nothing is imported from
the package), because it has to start in milliseconds. It ends with 75 when another process holds the lock, 74 when
lock, pid or log file cannot be written, 73 when the disk is too full for them, 64 when called wrongly, 126 or 127 when
the command cannot be run (the log says why).
"""

import errno
import fcntl
import os
import sys

USAGE, FULL, UNWRITABLE, LOCKED, CANNOT_RUN, NOT_FOUND = 64, 73, 74, 75, 126, 127
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

# Children inherit it, so that whatever a server leaves behind can be recognised after the hub's own restart.
MARKER = "RENKU_INSTANCE_DIR"


def main(arguments: list[str]) -> int:
    """Run the command in this very process; return only if that is impossible."""
    if len(arguments) < 4 or arguments[2] != "--":
        return USAGE
    folder, log, command = os.path.realpath(arguments[0]), arguments[1], arguments[3:]
    try:
        _lock(os.path.join(folder, "lock"))
        _log_to(log)
        _write_identity(os.path.join(folder, "pid"))  # last: a pid that is written down is a server's
    except BlockingIOError:
        return LOCKED
    except OSError as error:
        print(f"Cannot start in {folder}: {error}", file=sys.stderr)
        return FULL if error.errno in NO_ROOM else UNWRITABLE
    os.environ[MARKER] = folder
    return _become(command)


def _lock(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(descriptor, True)  # the command keeps the lock for as long as it lives


def _write_identity(path: str) -> None:
    """Write pid, start time in clock ticks since boot (proc(5), field 22) and boot id: never used twice together."""
    with open("/proc/self/stat", "rb") as stat:
        started = stat.read().rpartition(b")")[2].split()[19].decode()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
        identity = f"{os.getpid()} {started} {boot.read().strip()}\n"
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(identity)
    os.replace(new, path)


def _log_to(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _become(command: list[str]) -> int:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"Cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
