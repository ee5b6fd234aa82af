"""Build the environment variables of a session's container, and load the clone scripts that are shipped with the
package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from kubernetes_asyncio.client import V1EnvVar, V1EnvVarSource, V1SecretKeySelector

from ...domain.git_credentials import build_git_config_variables, build_git_settings, to_inline_credential_helper
from ...domain.quantities import format_cpu_quantity, parse_quantity
from ...domain.sessions import LaunchSpec, list_secret_variables, select_allowed_variables
from .settings import WORK_MOUNT_PATH

CREDENTIAL_HELPER_FILENAME = "credential.sh"  # git credential helper that asks the hub for a password


@cache
def load_clone_scripts() -> Mapping[str, str]:
    """Return the files of the clone script by name."""
    folder = files(__package__.partition(".")[0]) / "spawners" / "in_pod" / "clone"
    found = [file for file in folder.iterdir() if file.name.endswith((".py", ".sh"))]
    return {file.name: file.read_text(encoding="utf-8") for file in found}


_HUB_VARIABLE_PREFIXES = ("JUPYTERHUB_", "JPY_")
HUB_API_URL_VARIABLE, HUB_API_TOKEN_VARIABLE = "JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN"
PYTHON_USER_BASE_PATH = f"{WORK_MOUNT_PATH}/.local"
# The default PATH of containerd and Docker for an image that sets none.
DEFAULT_EXECUTABLE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def escape_kubelet_expansion(text: str) -> str:
    """Escape *text* so that the kubelet's variable expansion leaves it unchanged.

    In values and commands, `$(NAME)` is a variable and `$$` a dollar
    (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
    """
    return text.replace("$", "$$")


def get_plain_variables(hub: Iterable[V1EnvVar]) -> dict[str, str]:
    """Return KubeSpawner's variables that have a literal value, by name."""
    return {variable.name: variable.value or "" for variable in hub if variable.value_from is None}


def select_secret_variables(hub: Iterable[V1EnvVar], spec: LaunchSpec) -> dict[str, str]:
    """Select the variables that go into the Secret: the server's token, and variables named like secrets."""
    values = {**get_plain_variables(hub), **select_allowed_variables(spec.variables)}
    return {name: values[name] for name in list_secret_variables(values)}


def build_session_env_vars(
    hub: Iterable[V1EnvVar], spec: LaunchSpec, *, image: str, secret: str, image_path: str | None
) -> list[V1EnvVar]:
    """Merge KubeSpawner's variables, the session's own and Renku's; later ones win.

    Values that users set are literal. *image_path* is the PATH that the image sets; PATH is extended only if it is
    known.
    """
    hub = list(hub)
    made = {variable.name: _escape_hub_variable(variable) for variable in hub}
    ours = {
        **select_allowed_variables(spec.variables),
        **_build_renku_variables(spec, get_plain_variables(hub), image=image),
        **_build_python_variables(image_path),
        **_build_git_variables(spec, get_plain_variables(hub)),
    }
    made |= {name: V1EnvVar(name=name, value=escape_kubelet_expansion(value)) for name, value in ours.items()}
    made |= {name: _build_secret_env_var(name, secret) for name in select_secret_variables(hub, spec)}
    return list(made.values())


def build_hub_api_env_vars(hub: Iterable[V1EnvVar], *, secret: str) -> list[V1EnvVar]:
    """Build the variables with which the clone container requests git credentials: the hub's address and a token."""
    variables = get_plain_variables(hub)
    address = V1EnvVar(
        name=HUB_API_URL_VARIABLE, value=escape_kubelet_expansion(variables.get(HUB_API_URL_VARIABLE, ""))
    )
    return [address, _build_secret_env_var(HUB_API_TOKEN_VARIABLE, secret)]


def _escape_hub_variable(variable: V1EnvVar) -> V1EnvVar:
    """Escape the hub's own variables, which may contain user data; an admin's variables may refer to others."""
    if variable.value is None or not variable.name.startswith(_HUB_VARIABLE_PREFIXES):
        return variable
    return V1EnvVar(name=variable.name, value=escape_kubelet_expansion(variable.value))


def _build_secret_env_var(name: str, secret: str) -> V1EnvVar:
    return V1EnvVar(
        name=name, value_from=V1EnvVarSource(secret_key_ref=V1SecretKeySelector(name=secret, key=name, optional=False))
    )


def _build_git_variables(spec: LaunchSpec, hub: Mapping[str, str]) -> dict[str, str]:
    if spec.git is None:
        return {}
    helper = to_inline_credential_helper(load_clone_scripts()[CREDENTIAL_HELPER_FILENAME])
    return build_git_config_variables(build_git_settings(spec.git, helper), hub)


def _build_python_variables(image_path: str | None) -> dict[str, str]:
    """Install a user's Python packages below the work directory, so that they survive a pause."""
    base = {"PYTHONUSERBASE": PYTHON_USER_BASE_PATH}
    return (
        base
        if image_path is None
        else base | {"PATH": f"{PYTHON_USER_BASE_PATH}/bin:{image_path or DEFAULT_EXECUTABLE_PATH}"}
    )


def _build_renku_variables(spec: LaunchSpec, hub: Mapping[str, str], *, image: str) -> dict[str, str]:
    size = spec.resource_class
    return {
        "JUPYTER_IMAGE": image,
        "JUPYTER_IMAGE_SPEC": image,
        "JUPYTERHUB_DEFAULT_URL": spec.run.default_url,
        "JUPYTERHUB_ROOT_DIR": WORK_MOUNT_PATH,
        "CPU_GUARANTEE": format_cpu_quantity(spec.needs.cpu),
        "CPU_LIMIT": format_cpu_quantity(size.cpu),
        "MEM_GUARANTEE": str(int(parse_quantity(size.memory))),
        "MEM_LIMIT": str(int(parse_quantity(size.memory))),
        "RENKU_WORK_DIR": WORK_MOUNT_PATH,
        "RENKU_WORKING_DIR": spec.run.working_directory,
        "RENKU_MOUNT_DIR": WORK_MOUNT_PATH,
        "RENKU_PROJECT_ID": spec.project,
        "RENKU_PROJECT_PATH": spec.project_path,
        "RENKU_SESSION_ID": spec.session,
        "RENKU_SESSION_TITLE": spec.title,
        "RENKU_USERNAME": spec.username,
        "RENKU_BASE_URL_PATH": hub.get("JUPYTERHUB_SERVICE_PREFIX", ""),
        "RENKU_SESSION_PORT": str(spec.run.port),
    }
