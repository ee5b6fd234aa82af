"""The environment variables of a session that runs on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from .domain import git_inside
from .domain.session import SessionSpec
from .domain.variables import select_allowed
from .runtime import repositories
from .runtime.folders import Folder


def session_variables(
    hub: Mapping[str, str], spec: SessionSpec, folder: Folder, *, base_url: str, port: int
) -> dict[str, str]:
    """The hub's variables, the session's own and Renku's (design §7), the latter last.

    All values are literal: nothing that a person typed is ever formatted.
    """
    work = str(folder.work)
    return {
        **hub,
        **select_allowed(spec.variables),
        **_python(work, hub.get("PATH", "")),
        **_git(spec, hub),
        "HOME": str(folder.path / "home"),
        "RENKU_WORK_DIR": work,
        "RENKU_WORKING_DIR": work,
        "RENKU_MOUNT_DIR": work,
        "RENKU_PROJECT_ID": spec.project,
        "RENKU_PROJECT_PATH": spec.project_path,
        "RENKU_SESSION_ID": spec.session,
        "RENKU_SESSION_TITLE": spec.title,
        "RENKU_USERNAME": spec.username,
        "RENKU_BASE_URL_PATH": base_url,
        "RENKU_SESSION_PORT": str(port),
    }


def _git(spec: SessionSpec, hub: Mapping[str, str]) -> dict[str, str]:
    helper = git_inside.inline(repositories.HELPER.read_text(encoding="utf-8"))
    return git_inside.variables(git_inside.settings(spec.git, helper), hub) if spec.git else {}


def _python(work: str, path: str) -> dict[str, str]:
    """Packages that a user installs go below the working directory and so survive a pause (decision 10).

    In a virtual environment pip refuses `--user`; there plain pip is sent to the same
    place, which also keeps it from changing the hub's own packages.
    """
    base = f"{work}/.local"
    if sys.prefix == sys.base_prefix:
        return {"PYTHONUSERBASE": base, "PATH": f"{base}/bin:{path}"}
    site = f"{base}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    scripts = f"{base}/bin:{site}/bin"  # where pip puts the commands of what it sends there
    return {"PYTHONUSERBASE": base, "PATH": f"{scripts}:{path}", "PIP_TARGET": site, "PYTHONPATH": site}
