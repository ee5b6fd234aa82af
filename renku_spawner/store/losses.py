"""What a step back to older tables loses: what is stored before it, compared with what is there after it."""

from __future__ import annotations

from sqlalchemy import Connection, MetaData, Table, func, select

from .columns import PREFIX, VERSION_TABLE

# How many rows a table has, by `table`; how many of them say something, by `table.column`.
Stored = dict[str, int]

# What an admin reads; a table or column that is missing here is called by its name.
WORDS = {
    "renku_software": "lists of what is installed in images; looked up again after the next upgrade",
    "renku_images": "answers of registries; they are asked again after the next upgrade",
    "renku_builds": "answers of GitLab about images of its CI; it is asked again after the next upgrade",
    "renku_projects.directory": "names of the directories of projects' own repositories in GitLab",
    "renku_revisions.built": "origins of images that CI has built: branch, commit, pipeline",
    "renku_sessions.dismissed": "newer images that an editor did not want to hear of",
    "renku_launches.stages": "times that the steps of a start took",
    "renku_instances.spent": "times that the steps of starts under way took so far",
    "renku_rounds": "times at which all was last well; what has not expired yet has its whole time again",
    "renku_instances.turn": "starts that wait in line, which have to be asked for again",
    "renku_storages": "storages of projects, with the credentials that are kept for them",
    "renku_storage_credentials": "credentials that people keep for storages",
    "renku_sessions.storages": "choices of storages that sessions get",
    "renku_instances.awake_until": "times until which people keep sessions awake",
    "renku_instances.idle_pause": "times after which environments pause what runs of them",
    "renku_instances.reported_at": "times of what sessions last reported; they do again after the next upgrade",
    "renku_instances.disk_used": "sizes of people's data; sessions report them again after the next upgrade",
    "renku_instances.without_storages": "storages that sessions which run were started without",
    "renku_instances.failed_storages": "storages that starts failed for",
    "renku_environments.archived_at": "days on which environments were archived",
}
# What an upgrade works out again from what stays, or begins anew: a version only tells two edits apart.
# What expires has its whole time again; nothing goes before its time.
DERIVED = {
    "renku_launches.environment", "renku_environments.version", "renku_instances.kept_from",
    "renku_instances.deleted_on", "renku_instances.trashed_until", "renku_instances.look_at", "renku_instances.warned",
    "renku_instances.due_at", "renku_instances.disk_used_at",
}  # fmt: skip


def stored(connection: Connection) -> Stored:
    """Count everything in our tables, whatever their revision."""
    tables = MetaData()
    tables.reflect(connection, only=lambda name, _: name.startswith(PREFIX) and name != VERSION_TABLE)
    return {name: number for table in tables.tables.values() for name, number in _counted(connection, table).items()}


def _counted(connection: Connection, table: Table) -> Stored:
    said = [func.count(column).label(f"{table.name}.{column.name}") for column in table.columns]
    return dict(connection.execute(select(func.count().label(table.name), *said).select_from(table)).mappings().one())


def lost(before: Stored, after: Stored) -> list[str]:
    """A line for each table, and for each column of a table that stays, that holds less than before."""
    gone = {name: number - after.get(name, 0) for name, number in before.items() if name not in DERIVED}
    less = {name: number for name, number in gone.items() if number > 0}
    whole = {name for name in less if "." not in name}
    shown = [name for name in less if name in whole or name.partition(".")[0] not in whole]
    return [f"{less[name]} {WORDS.get(name, name.removeprefix(PREFIX))}" for name in shown]
