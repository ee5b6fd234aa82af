"""The helper pods that read PVCs belong to one hub, which cancels them when it ends."""

import asyncio
from dataclasses import dataclass

from renku_spawner.context.app_context import AppContext
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.integrations.project_source import HubProjectSource
from renku_spawner.persistence.database import Database


@dataclass
class Reader:
    task: asyncio.Task[None]


async def test_two_hubs_in_one_process_share_no_reader(sqlite_tables_url: str) -> None:
    database = Database(sqlite_tables_url)
    one, other = (
        AppContext(db=database, source=HubProjectSource(database), policy=HubPolicy()).pvc_readers for _ in range(2)
    )
    reader = Reader(asyncio.ensure_future(asyncio.sleep(3600)))
    one.downloads["renku-work-a"] = reader
    assert (one.list_tasks(), other.list_tasks()) == ([reader.task], [])
    await other.close()
    assert not reader.task.done()
    await one.close()
    assert reader.task.cancelled()
    assert one.list_tasks() == []
    database.dispose()
