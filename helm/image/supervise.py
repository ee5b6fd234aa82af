"""Run a hub and start it again when it asks for that, within the same container: `supervise.py COMMAND [ARGUMENT …]`.

The kubelet starts a container that has ended again only after a back-off of 10 seconds to 5 minutes
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy), also where the hub ends on purpose,
to read its settings again. So the hub sends SIGUSR1 to this program first, whose process id it finds in
RENKU_SUPERVISOR. A hub that ends unasked, or after a signal that was meant for the container, ends this program with
the same exit status.
"""

import os
import signal
import sys

_FORWARDED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_AWAITED = _FORWARDED | {signal.SIGUSR1, signal.SIGCHLD}


def supervise(command: list[str]) -> int:
    """Run *command* until it ends for good; return its exit status, 128 + signal where a signal ended it.

    Signals are blocked and taken one by one, so none is lost between the end of one hub and the start of the next.
    The hub heeds those that are forwarded, also where this program was started with some of them ignored.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    environ = {**os.environ, "RENKU_SUPERVISOR": str(os.getpid())}
    stopping = False
    while True:
        hub = os.posix_spawnp(command[0], command, environ, setsigmask=(), setsigdef=_FORWARDED)
        restart, status = False, None
        while status is None:
            received = signal.sigwaitinfo(_AWAITED)
            if received.si_signo == signal.SIGCHLD:
                status = _reap(hub)
            elif received.si_signo == signal.SIGUSR1:
                restart = restart or received.si_pid == hub
            else:
                stopping = True
                os.kill(hub, received.si_signo)
        if stopping or not restart or signal.sigpending() & _FORWARDED:
            return status if status >= 0 else 128 - status


def _reap(hub: int) -> int | None:
    """Collect all children that have ended; return the exit status of *hub* if it is among them."""
    found = None
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == hub:
                found = os.waitstatus_to_exitcode(ended[1])
    except ChildProcessError:
        pass
    return found


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} COMMAND [ARGUMENT ...]")
    sys.exit(supervise(sys.argv[1:]))
