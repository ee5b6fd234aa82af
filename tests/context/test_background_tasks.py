"""Work that goes on beside is neither forgotten nor lost from sight."""

import asyncio
import gc
import logging
import weakref

from renku_spawner.context.background_tasks import start_background_task
from renku_spawner.observability.metrics import RENKU_REGISTRY


async def test_work_that_nobody_else_holds_is_not_forgotten():
    waited_for, done = [], asyncio.Event()

    async def work() -> None:
        waking = asyncio.get_running_loop().create_future()
        waited_for.append(weakref.ref(waking))
        await waking
        done.set()

    start_background_task(work(), "The work")
    await asyncio.sleep(0)
    gc.collect()
    waking = waited_for[0]()
    assert waking is not None, "forgotten: only a circle of references held it"
    waking.set_result(None)
    await asyncio.wait_for(done.wait(), 60)


async def test_how_it_failed_is_said_with_what_it_was(caplog):
    async def work() -> None:
        raise ValueError("no")

    before = RENKU_REGISTRY.get_sample_value("renku_task_failures_total", {"task": "beside"})
    with caplog.at_level(logging.ERROR, "renku_spawner"):
        await asyncio.wait({start_background_task(work(), "The work")})
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.message == "The work failed"
    assert isinstance(record.exc_info[1], ValueError)
    assert RENKU_REGISTRY.get_sample_value("renku_task_failures_total", {"task": "beside"}) == before + 1
