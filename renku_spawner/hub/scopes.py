"""Custom scopes of Renku's API, by which tokens can be limited.

They are defined at import, before any handler uses one.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.scopes import define_custom_scopes

READ_SCOPE = "custom:renku:read"
LAUNCH_SCOPE = "custom:renku:launch"
WRITE_SCOPE = "custom:renku:write"
ADMIN_SCOPE = "custom:renku:admin"
GIT_SCOPE = "custom:renku:git"
SESSION_SCOPE = "custom:renku:session"
ANONYMOUS_ACCESS = "none"  # no log-in is required
SECRET_ACCESS = "a secret of its own"  # not a scope that a token can have: such a handler authenticates by itself

CUSTOM_SCOPES: dict[str, dict[str, Any]] = {
    READ_SCOPE: {"description": "See Renku's projects, sessions and environments, and one's own instances."},
    LAUNCH_SCOPE: {"description": "Start, pause and delete one's own instances in Renku.", "subscopes": [READ_SCOPE]},
    WRITE_SCOPE: {
        "description": "Change projects and sessions in Renku, as far as one's role allows.",
        "subscopes": [READ_SCOPE],
    },
    ADMIN_SCOPE: {
        "description": "Administer Renku's environments and settings.",
        "subscopes": [READ_SCOPE, LAUNCH_SCOPE, WRITE_SCOPE],
    },
    GIT_SCOPE: {"description": "Fetch git credentials from within a session."},
    SESSION_SCOPE: {
        "description": "Tell from within a session whether it is used, read when it pauses, and keep it awake."
    },
}
USER_TOKEN_SCOPES = (READ_SCOPE, LAUNCH_SCOPE, WRITE_SCOPE)
ADMIN_TOKEN_SCOPES = (ADMIN_SCOPE,)

define_custom_scopes(CUSTOM_SCOPES)
