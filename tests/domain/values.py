"""Values with nothing special about them, for tests that care about one field only."""

from datetime import UTC, datetime
from typing import Any

from renku_spawner.domain.access import Visibility
from renku_spawner.domain.environments import Environment, EnvironmentState, Revision
from renku_spawner.domain.instances import Instance
from renku_spawner.domain.projects import Project
from renku_spawner.domain.sessions import Session, SessionConfiguration

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def revision(**fields: Any) -> Revision:
    usual = {
        "id": "revisionaaaa", "environment": "environmenta", "number": 1, "image": "nginx",
        "repository": "docker.io/library/nginx", "tag": "latest", "created_by": "admin", "created_at": NOON,
    }  # fmt: skip
    return Revision(**usual | fields)


def environment(**fields: Any) -> Environment:
    usual = {
        "id": "environmenta", "name": "Python", "state": EnvironmentState.ACTIVE, "successor": None, "message": "",
        "created_by": "admin", "created_at": NOON, "revision": revision(),
    }  # fmt: skip
    return Environment(**usual | fields)


def session(**fields: Any) -> Session:
    usual = {
        "id": "sessionaaaaa", "project": "projectaaaaa", "environment": environment(), "revision": revision(),
        "title": "JupyterLab", "description": "", "configuration": SessionConfiguration(), "created_by": "ada",
        "created_at": NOON, "deleted_at": None, "version": 1, "position": 0,
    }  # fmt: skip
    return Session(**usual | fields)


def project(**fields: Any) -> Project:
    usual = {
        "id": "projectaaaaa", "source": "hub", "source_id": "projectaaaaa", "path": "ada/climate", "title": "Climate",
        "description": "", "visibility": Visibility.PRIVATE, "default_session": None, "version": 1, "created_by": "ada",
        "created_at": NOON,
    }  # fmt: skip
    return Project(**usual | fields)


def instance(**fields: Any) -> Instance:
    usual = {
        "id": "instanceaaaa", "session": "sessionaaaaa", "username": "ada", "project": "projectaaaaa",
        "environment": "environmenta",
    }  # fmt: skip
    return Instance(**usual | fields)
