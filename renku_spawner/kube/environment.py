"""The environment variables of a session's container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubernetes_asyncio.client import V1EnvVar, V1EnvVarSource, V1SecretKeySelector

from ..domain import git_inside, quantity
from ..domain.session import SessionSpec
from ..domain.variables import look_secret, select_allowed
from .scripts import CREDENTIAL, script
from .settings import WORK

_MADE_BY_THE_HUB = ("JUPYTERHUB_", "JPY_")
API_URL, API_TOKEN = "JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN"
USER_BASE = f"{WORK}/.local"
# What `env` has when an image sets no PATH; the default of containerd and Docker.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def literal(text: str) -> str:
    """*text* so that the kubelet's own expansion gives it back: `$(NAME)` means a
    variable and `$$` a dollar, in values as in commands
    (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
    """
    return text.replace("$", "$$")


def plain(hub: Iterable[V1EnvVar]) -> dict[str, str]:
    """Those of KubeSpawner's variables that have a value, by name."""
    return {variable.name: variable.value or "" for variable in hub if variable.value_from is None}


def secret_values(hub: Iterable[V1EnvVar], spec: SessionSpec) -> dict[str, str]:
    """Variables that go into the Secret: the server's token, and whatever else is called like a secret."""
    values = {**plain(hub), **select_allowed(spec.variables)}
    return {name: values[name] for name in look_secret(values)}


def variables(
    hub: Iterable[V1EnvVar], spec: SessionSpec, *, image: str, secret: str, image_path: str | None
) -> list[V1EnvVar]:
    """KubeSpawner's variables, the session's own and Renku's (design §7), the latter last.

    All that comes from people is literal. *image_path* is the PATH that the image sets;
    without knowing it, it cannot be extended here.
    """
    hub = list(hub)
    made = {variable.name: _from_hub(variable) for variable in hub}
    ours = {
        **select_allowed(spec.variables),
        **_renku(spec, plain(hub), image=image),
        **_python(image_path),
        **_git(spec, plain(hub)),
    }
    made |= {name: V1EnvVar(name=name, value=literal(value)) for name, value in ours.items()}
    made |= {name: _by_reference(name, secret) for name in secret_values(hub, spec)}
    return list(made.values())


def to_ask_the_hub(hub: Iterable[V1EnvVar], *, secret: str) -> list[V1EnvVar]:
    """What a container beside the session's own needs to ask for git credentials: its token by reference."""
    said = plain(hub)
    address = V1EnvVar(name=API_URL, value=literal(said.get(API_URL, "")))
    return [address, _by_reference(API_TOKEN, secret)]


def _from_hub(variable: V1EnvVar) -> V1EnvVar:
    """An admin may refer to other variables; what the hub says of users is literal."""
    if variable.value is None or not variable.name.startswith(_MADE_BY_THE_HUB):
        return variable
    return V1EnvVar(name=variable.name, value=literal(variable.value))


def _by_reference(name: str, secret: str) -> V1EnvVar:
    return V1EnvVar(
        name=name, value_from=V1EnvVarSource(secret_key_ref=V1SecretKeySelector(name=secret, key=name, optional=False))
    )


def _git(spec: SessionSpec, hub: Mapping[str, str]) -> dict[str, str]:
    if spec.git is None:
        return {}
    helper = git_inside.inline(script()[CREDENTIAL])
    return git_inside.variables(git_inside.settings(spec.git, helper), hub)


def _python(image_path: str | None) -> dict[str, str]:
    """Packages that a user installs go below the working directory and so survive a pause (decision 10)."""
    base = {"PYTHONUSERBASE": USER_BASE}
    return base if image_path is None else base | {"PATH": f"{USER_BASE}/bin:{image_path or DEFAULT_PATH}"}


def _renku(spec: SessionSpec, hub: Mapping[str, str], *, image: str) -> dict[str, str]:
    size = spec.resource_class
    return {
        "JUPYTER_IMAGE": image,
        "JUPYTER_IMAGE_SPEC": image,
        "JUPYTERHUB_DEFAULT_URL": spec.run.default_url,
        "JUPYTERHUB_ROOT_DIR": WORK,
        "CPU_GUARANTEE": quantity.cores(spec.needs.cpu),
        "CPU_LIMIT": quantity.cores(size.cpu),
        "MEM_GUARANTEE": str(int(quantity.parse(size.memory))),
        "MEM_LIMIT": str(int(quantity.parse(size.memory))),
        "RENKU_WORK_DIR": WORK,
        "RENKU_WORKING_DIR": spec.run.working_directory,
        "RENKU_MOUNT_DIR": WORK,
        "RENKU_PROJECT_ID": spec.project,
        "RENKU_PROJECT_PATH": spec.project_path,
        "RENKU_SESSION_ID": spec.session,
        "RENKU_SESSION_TITLE": spec.title,
        "RENKU_USERNAME": spec.username,
        "RENKU_BASE_URL_PATH": hub.get("JUPYTERHUB_SERVICE_PREFIX", ""),
        "RENKU_SESSION_PORT": str(spec.run.port),
    }
