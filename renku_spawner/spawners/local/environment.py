"""Build the environment variables of a session that runs on the hub's machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from ...domain.git_credentials import build_git_config_variables, build_git_settings, to_inline_credential_helper
from ...domain.sessions import LaunchSpec, select_allowed_variables
from .clone import CREDENTIAL_HELPER_PATH
from .folders import InstanceFolder


def build_local_session_variables(
    hub: Mapping[str, str], spec: LaunchSpec, folder: InstanceFolder, *, base_url: str, port: int
) -> dict[str, str]:
    """Merge the variables of the hub, the session and Renku; later ones win.

    All values are literal: what a user typed is never expanded.
    """
    work = str(folder.work_dir)
    return {
        **hub,
        **select_allowed_variables(spec.variables),
        **_build_local_python_variables(work, hub.get("PATH", "")),
        **_build_local_git_variables(spec, hub),
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


def _build_local_git_variables(spec: LaunchSpec, hub: Mapping[str, str]) -> dict[str, str]:
    helper = to_inline_credential_helper(CREDENTIAL_HELPER_PATH.read_text(encoding="utf-8"))
    return build_git_config_variables(build_git_settings(spec.git, helper), hub) if spec.git else {}


def _build_local_python_variables(work: str, path: str) -> dict[str, str]:
    """Let pip install below the working directory, so that packages survive a pause.

    In a virtual environment pip refuses `--user`. There `PIP_TARGET` sends plain pip to the same place, which also
    protects the hub's own packages.
    """
    base = f"{work}/.local"
    if sys.prefix == sys.base_prefix:
        return {"PYTHONUSERBASE": base, "PATH": f"{base}/bin:{path}"}
    site = f"{base}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    scripts = f"{base}/bin:{site}/bin"  # pip puts commands into the bin folder of PIP_TARGET
    return {"PYTHONUSERBASE": base, "PATH": f"{scripts}:{path}", "PIP_TARGET": site, "PYTHONPATH": site}
