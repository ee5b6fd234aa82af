# ruff: noqa: E501 - a configuration reads best with one field on one line
"""The configurations of well-known public images, shortened, as their registries give them."""

from typing import Any

from renku_spawner.domain.image_metadata import ImageMetadata, parse_image_config
from renku_spawner.domain.images import ImageReference, parse_image_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4
INDEX = "application/vnd.oci.image.index.v1+json"

_RUN = "RUN /bin/sh -c apt-get update --yes && apt-get install --yes tini # buildkit"
_DEBIAN = "# debian.sh --arch 'amd64' out/ 'trixie' '@1762000000'"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STACKS_ENV = [
    "PATH=/opt/conda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "CONDA_DIR=/opt/conda", "SHELL=/bin/bash", "NB_USER=jovyan", "NB_UID=1000", "NB_GID=100", "JUPYTER_PORT=8888",
]  # fmt: skip
_STACKS_HISTORY = [
    "/bin/sh -c #(nop) ADD file:6089c6bede9eca8ec0be31337f4dcd5a5a2e1d0b in / ",
    _RUN,
    "RUN /bin/bash -o pipefail -c mamba install --yes 'jupyterhub-singleuser' 'jupyterlab' 'nbclassic' # buildkit",
    'CMD ["start-notebook.py"]',
]

CONFIGS: dict[str, dict[str, Any]] = {
    "quay.io/jupyter/scipy-notebook:2026-11-02": {
        "User": "1000", "ExposedPorts": {"8888/tcp": {}}, "Env": _STACKS_ENV, "WorkingDir": "/home/jovyan",
        "Entrypoint": ["tini", "-g", "--", "start.sh"], "Cmd": ["start-notebook.py"],
        "Labels": {
            "maintainer": "Jupyter Project <jupyter@googlegroups.com>",
            "org.opencontainers.image.ref.name": "ubuntu",
            "org.opencontainers.image.source": "https://github.com/jupyter/docker-stacks",
            "org.opencontainers.image.version": "24.04",
        },
        "history": _STACKS_HISTORY,
    },
    "docker.io/alice/analysis:1.0": {  # FROM quay.io/jupyter/scipy-notebook, with one more package
        "User": "1000", "ExposedPorts": {"8888/tcp": {}}, "Env": _STACKS_ENV, "WorkingDir": "/home/jovyan",
        "Entrypoint": ["tini", "-g", "--", "start.sh"], "Cmd": ["start-notebook.py"],
        "Labels": {"org.opencontainers.image.base.name": "quay.io/jupyter/scipy-notebook:latest"},
        "history": [*_STACKS_HISTORY, "RUN /bin/bash -o pipefail -c pip install xarray # buildkit"],
    },
    "docker.io/renku/renkulab-py:3.11-0.25.0": {
        "User": "jovyan", "ExposedPorts": {"8888/tcp": {}}, "WorkingDir": "/home/jovyan",
        "Env": [
            "PATH=/home/jovyan/.local/bin:/opt/conda/bin:/usr/bin:/bin:/home/jovyan/.renku/bin",
            *_STACKS_ENV[1:], "CONDA_ENVS_DIRS=/opt/conda/envs",
        ],
        "Entrypoint": ["tini", "--", "/entrypoint.sh"], "Cmd": ["jupyter", "server", "--ip", "0.0.0.0"],
        "Labels": {"maintainer": "Swiss Data Science Center <info@datascience.ch>"},
        "history": [*_STACKS_HISTORY, "COPY entrypoint.sh /entrypoint.sh # buildkit"],
    },
    "docker.io/rocker/rstudio:4.4.2": {
        "User": "", "ExposedPorts": {"8787/tcp": {}}, "WorkingDir": "",
        "Env": [_PATH, "R_VERSION=4.4.2", "S6_VERSION=v2.1.0.2", "RSTUDIO_VERSION=2024.12.0+467", "DEFAULT_USER=rstudio"],
        "Entrypoint": None, "Cmd": ["/init"],
        "Labels": {
            "org.opencontainers.image.title": "rocker/rstudio",
            "org.opencontainers.image.licenses": "GPL-2.0-or-later",
            "org.opencontainers.image.source": "https://github.com/rocker-org/rocker-versioned2",
            "org.opencontainers.image.description": "RStudio Server with fixed version of R",
        },
        "history": [_RUN, "RUN /bin/sh -c /rocker_scripts/install_rstudio.sh # buildkit"],
    },
    "docker.io/codercom/code-server:4.96.2": {
        "User": "1000", "ExposedPorts": {"8080/tcp": {}}, "Env": [_PATH, "USER=coder", "LANG=en_US.UTF-8"],
        "Entrypoint": ["/usr/bin/entrypoint.sh", "--bind-addr", "0.0.0.0:8080", "."], "Cmd": None,
        "WorkingDir": "/home/coder", "Labels": None, "history": [_RUN],
    },
    "docker.io/library/nginx:1.27": {
        "ExposedPorts": {"80/tcp": {}}, "Env": [_PATH, "NGINX_VERSION=1.27.3", "PKG_RELEASE=1~bookworm"],
        "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["nginx", "-g", "daemon off;"],
        "Labels": {"maintainer": "NGINX Docker Maintainers <docker-maint@nginx.com>"}, "StopSignal": "SIGQUIT",
        "history": [_DEBIAN, "RUN /bin/sh -c set -x && groupadd --system nginx # buildkit"],
    },
    "docker.io/library/python:3.13-slim": {
        "Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON_VERSION=3.13.1"],
        "Cmd": ["python3"], "history": [_DEBIAN, "RUN /bin/sh -c set -eux; savedAptMark= # buildkit", 'CMD ["python3"]'],
    },
    "docker.io/library/hello-world:latest": {
        "Env": [_PATH], "Cmd": ["/hello"], "WorkingDir": "/",
        "history": ["COPY hello / # buildkit", 'CMD ["/hello"]'],
    },
    "ghcr.io/bob/dashboard:2": {  # FROM python:3.13-slim, streamlit behind the wrapper
        "User": "1000:1000", "Env": [_PATH, "HOME=/home/app"], "WorkingDir": "/home/app",
        "Cmd": ["jupyter", "standaloneproxy", "--", "streamlit", "run", "app.py", "--server.port={port}"],
        "history": [_DEBIAN, "RUN /bin/sh -c pip install jupyterhub jupyter-server-proxy[standalone] streamlit # buildkit"],
    },
    "nvcr.io/nvidia/pytorch:26.01-py3": {
        "ExposedPorts": {"6006/tcp": {}, "8888/tcp": {}}, "WorkingDir": "/workspace",
        "Env": ["PATH=/usr/local/cuda/bin:/usr/bin:/bin", "CUDA_VERSION=13.1", "NVIDIA_VISIBLE_DEVICES=all"],
        "Entrypoint": ["/opt/nvidia/nvidia_entrypoint.sh"], "Labels": {"com.nvidia.cudnn.version": "9.17"},
        "history": [_RUN, "RUN /bin/sh -c pip install jupyterlab # buildkit"],
    },
}  # fmt: skip


def known(name: str, **changes: Any) -> tuple[ImageMetadata, ImageReference]:
    """The facts of one of these images, as read from its config, and its name."""
    config = dict(CONFIGS[name])
    history = [{"created_by": step} for step in config.pop("history")]
    whole = {"architecture": "amd64", "os": "linux", "created": "2026-10-20T07:01:02.123456789Z", "config": config}
    said = {"platforms": ("linux/amd64", "linux/arm64"), "platform": "linux/amd64", "size": 1_400_000_000, **changes}
    return parse_image_config(
        {**whole, "history": history}, digest=DIGEST, media_type=INDEX, **said
    ), parse_image_reference(name)
