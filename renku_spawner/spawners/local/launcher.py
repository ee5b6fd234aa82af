"""Start a session's server at most once: lock the instance, record the process, then exec the command.

Run as ``python -I launcher.py <instance folder> <log file> -- <command…>``. It imports nothing from the package,
because it has to start within milliseconds. Exit codes: 75 if another process holds the lock, 74 if lock, pid or log
file cannot be written, 73 if the disk is too full for them, 64 for wrong arguments, 126 or 127 if the command cannot be
run (the log has the reason).
"""

import errno
import fcntl
import os
import sys

EXIT_USAGE, EXIT_DISK_FULL, EXIT_UNWRITABLE, EXIT_LOCKED, EXIT_CANNOT_RUN, EXIT_COMMAND_NOT_FOUND = (
    64,
    73,
    74,
    75,
    126,
    127,
)
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)

# Children inherit it, so that processes of a dead server can be recognised even after a restart of the hub.
INSTANCE_MARKER_VARIABLE = "RENKU_INSTANCE_DIR"


def main(arguments: list[str]) -> int:
    """Replace this process by the command; return an exit code only if that fails."""
    if len(arguments) < 4 or arguments[2] != "--":
        return EXIT_USAGE
    folder, log, command = os.path.realpath(arguments[0]), arguments[1], arguments[3:]
    try:
        _acquire_lock(os.path.join(folder, "lock"))
        _redirect_output(log)
        _write_identity(os.path.join(folder, "pid"))  # last, so that a recorded pid always belongs to a server
    except BlockingIOError:
        return EXIT_LOCKED
    except OSError as error:
        print(f"Cannot start in {folder}: {error}", file=sys.stderr)
        return EXIT_DISK_FULL if error.errno in DISK_FULL_ERRNOS else EXIT_UNWRITABLE
    os.environ[INSTANCE_MARKER_VARIABLE] = folder
    return _exec_command(command)


def _acquire_lock(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(descriptor, True)  # the command holds the lock until it exits


def _write_identity(path: str) -> None:
    """Write pid, start time in clock ticks since boot (proc(5), field 22) and boot id, which together are unique."""
    with open("/proc/self/stat", "rb") as stat:
        started = stat.read().rpartition(b")")[2].split()[19].decode()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
        identity = f"{os.getpid()} {started} {boot.read().strip()}\n"
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(identity)
    os.replace(new, path)


def _redirect_output(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _exec_command(command: list[str]) -> int:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"Cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return EXIT_COMMAND_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
