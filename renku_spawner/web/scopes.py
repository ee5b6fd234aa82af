"""The scopes by which tokens can be narrowed (decision 46); defined at import, before any handler."""

from __future__ import annotations

from typing import Any

from jupyterhub.scopes import define_custom_scopes

READ = "custom:renku:read"
LAUNCH = "custom:renku:launch"
WRITE = "custom:renku:write"
ADMIN = "custom:renku:admin"
GIT = "custom:renku:git"
OWN = "custom:renku:session"
ANYBODY = "none"  # nobody need be logged in
SECRET = "a secret of its own"  # no scope, and nobody has it: such a handler lets requests in by itself

SCOPES: dict[str, dict[str, Any]] = {
    READ: {"description": "See Renku's projects, sessions and environments, and one's own instances."},
    LAUNCH: {"description": "Start, pause and delete one's own instances in Renku.", "subscopes": [READ]},
    WRITE: {"description": "Change projects and sessions in Renku, as far as one's role allows.", "subscopes": [READ]},
    ADMIN: {"description": "Administer Renku's environments and settings.", "subscopes": [READ, LAUNCH, WRITE]},
    GIT: {"description": "Fetch git credentials from within a session."},
    OWN: {"description": "Tell from within a session whether it is used, read when it pauses, and keep it awake."},
}
USER_SCOPES = (READ, LAUNCH, WRITE)
ADMIN_SCOPES = (ADMIN,)

define_custom_scopes(SCOPES)
