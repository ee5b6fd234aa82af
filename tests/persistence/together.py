"""Doing two things at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

from renku_spawner.persistence.statements import ConcurrentUpdate, DatabaseBusy, UniqueConflict


def patient(work: Callable[[], Any]) -> Any:
    """What *work* returns, run again while the database is busy; the fault in a word if it is refused."""
    while True:
        try:
            return work()
        except DatabaseBusy:
            continue
        except (ConcurrentUpdate, UniqueConflict) as problem:
            return getattr(problem, "what", "lost")


def together(*works: Callable[[], Any]) -> list[Any]:
    """What each returns when all begin at once, each in a thread of its own."""
    gate, results = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        gate.wait(10)
        results.append(patient(work))

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == len(works)
    return results
