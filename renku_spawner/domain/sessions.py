"""Sessions with their configuration and variables, and what a launch of one runs."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from .configuration_fields import FieldKind, configuration_field, find_field_problems, list_configuration_fields
from .environments import ChosenRevision, Environment, NewCiImage, NewOwnImage, Revision, RunConfiguration
from .errors import InvalidInputError
from .git_credentials import SessionGitIdentity
from .ids import RowVersion
from .projects import Repository
from .resource_classes import NEEDS_FIELDS, ResourceClass, ResourceRequirements, check_resource_requirements
from .storages import MountedStorage, Storage
from .text import LongText


@dataclass(frozen=True, kw_only=True)
class SessionConfiguration:
    """Configuration of a session: the one place where its fields are defined.

    `CONFIGURATION_FIELDS` lists the fields of `needs` and of this class; bodies, answers, forms, documents, columns and
    pages are built from it. `repositories` and `storages` are directories; None is all of the project's, also those
    added later.
    """

    needs: ResourceRequirements = field(default_factory=ResourceRequirements)
    repositories: tuple[str, ...] | None = configuration_field(None, FieldKind.DIRECTORIES, label="Repositories")
    storages: tuple[str, ...] | None = configuration_field(None, FieldKind.DIRECTORIES, label="Storages")
    variables: Mapping[str, str] = configuration_field({}, FieldKind.VARIABLES, label="Variables")

    @property
    def values(self) -> dict[str, Any]:
        """The value of each of `CONFIGURATION_FIELDS`."""
        return vars(self.needs) | {each.name: getattr(self, each.name) for each in OTHER_FIELDS}

    def with_values(self, values: Mapping[str, Any]) -> SessionConfiguration:
        """Return a copy with other *values* of `CONFIGURATION_FIELDS`; directories may be a list."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        needs: dict[str, Any] = {each.name: plain.pop(each.name) for each in NEEDS_FIELDS if each.name in plain}
        return replace(self, needs=replace(self.needs, **needs), **plain)

    def check(self) -> SessionConfiguration:
        """Return the configuration with each directory once, if all values are possible on any hub.

        Raises:
            InvalidInputError: with a sentence at each field that is wrong.
        """
        check_resource_requirements(self.needs)
        wrong = find_field_problems(OTHER_FIELDS, self)
        if wrong:
            raise InvalidInputError("This configuration is not possible.", fields=wrong)
        check_variables(self.variables)
        chosen = {each.name: getattr(self, each.name) for each in OTHER_FIELDS if each.kind is FieldKind.DIRECTORIES}
        return self.with_values({name: value and list(dict.fromkeys(value)) for name, value in chosen.items()})

    def select_repositories(self, repositories: tuple[Repository, ...]) -> tuple[Repository, ...]:
        """Return those of the project's *repositories* that the session gets."""
        if self.repositories is None:
            return repositories
        return tuple(r for r in repositories if r.directory in self.repositories)

    def select_storages(self, storages: Iterable[Storage]) -> tuple[Storage, ...]:
        """Return those of the project's *storages* that the session gets."""
        return tuple(s for s in storages if self.storages is None or s.directory in self.storages)


OTHER_FIELDS = list_configuration_fields(SessionConfiguration)
CONFIGURATION_FIELDS = NEEDS_FIELDS + OTHER_FIELDS
_AMOUNT_FIELDS = [each for each in OTHER_FIELDS if each.kind in (FieldKind.QUANTITY, FieldKind.NUMBER)]
# In every hash; further fields are in it only with another value than the default, so that old hashes still match.
_FIELDS_OF_FIRST_HASH = ("repositories", "variables")


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """A session to add to a project, from exactly one of three sources.

    `environment` is the id of a managed environment, `image` an external image, `built` an image that CI has built.
    With `allow_secret` new variables may have names that look secret.
    """

    environment: str | None = None
    image: NewOwnImage | None = None
    built: NewCiImage | None = None
    title: str | None = None
    description: str = ""
    configuration: SessionConfiguration = field(default_factory=SessionConfiguration)
    default: bool = False
    allow_secret: bool = False


@dataclass(frozen=True, kw_only=True)
class SessionChange:
    """A change of a session; None leaves a field as it is.

    `version` is the one that the editor saw. At most one of `environment`, `image` and `built` says what the session
    runs instead, and `digest` is then the content of the image that the editor reviewed. With `allow_secret` new
    variables may have names that look secret.
    """

    version: RowVersion
    title: LongText | None = None
    description: LongText | None = None
    configuration: SessionConfiguration | None = None
    environment: ChosenRevision | None = None
    image: NewOwnImage | None = None
    built: NewCiImage | None = None
    digest: str | None = None
    allow_secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session as it is stored, with its environment and the revision it is pinned to.

    `dismissed` is the digest of a newer image that an editor has dismissed.
    """

    id: str
    project: str
    environment: Environment
    revision: Revision
    title: str
    description: str
    configuration: SessionConfiguration
    created_by: str
    created_at: datetime
    deleted_at: datetime | None
    version: int
    position: int
    dismissed: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A hash that a running instance is compared with.

        It changes when an edit takes effect at the next start, but not with the title or the description.
        """
        content: dict[str, Any] = {"needs": vars(self.configuration.needs), "revision": self.revision.id}
        for each in OTHER_FIELDS:
            value = getattr(self.configuration, each.name)
            if each.name in _FIELDS_OF_FIRST_HASH or value != each.default:
                content[each.name] = value
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


# The parts of a launch version, in the words that describe a change to users.
_LAUNCH_VERSION_PARTS = ("image", "image", "run configuration", "resources", "variables", "repositories", "storages")


def build_launch_version(session: Session, repositories: Iterable[Repository], storages: Iterable[Storage]) -> str:
    """Return a short text that identifies what a start of *session* would run, for a form to carry to the start.

    It changes with everything that a start gets, also with the project's *repositories* and *storages*, but not
    with a title or a description. A project's own repository (`fixed`) is left out: it is the project itself.
    """
    revision, wanted = session.revision, session.configuration
    clones = wanted.select_repositories(tuple(repository for repository in repositories if not repository.fixed))
    parts = (
        revision.canonical_reference,
        revision.digest,
        revision.run,
        (wanted.needs, _select_changed_amounts(wanted)),
        tuple(sorted(wanted.variables.items())),
        (wanted.repositories, tuple(sorted(clones, key=lambda clone: clone.directory))),
        tuple(sorted((storage.id, storage.version) for storage in wanted.select_storages(storages))),
    )
    return ".".join("" if part is None else _hash_launch_part(part) for part in parts)


def _select_changed_amounts(configuration: SessionConfiguration) -> tuple[tuple[str, Any], ...]:
    """Return the amounts beside the needs that are not the default, so that a new one changes no version."""
    values = ((each.name, getattr(configuration, each.name), each.default) for each in _AMOUNT_FIELDS)
    return tuple((name, value) for name, value, default in values if value != default)


@lru_cache(maxsize=4096)  # a page has hundreds of parts, most of them equal
def _hash_launch_part(part: object) -> str:
    """Return a 64-bit hash: enough to rule out a deliberate collision while a page is open."""
    return urlsafe_b64encode(hashlib.sha256(repr(part).encode()).digest()[:8]).decode().rstrip("=")


def list_changed_launch_parts(seen: str, now: str) -> list[str]:
    """Return what differs between two launch versions, in words; empty if nothing does.

    *seen* is the version that the user saw. An image without a digest is what its tag names: if only its digest
    was resolved meanwhile, that is no change.
    """
    before, after = seen.split("."), now.split(".")
    if len(before) != len(after):
        return ["session"]  # from another release of Renku
    pairs = list(zip(_LAUNCH_VERSION_PARTS, before, after, strict=True))
    unpinned = before[0] == after[0] and not before[1]
    return list(dict.fromkeys(name for n, (name, a, b) in enumerate(pairs) if a != b and not (n == 1 and unpinned)))


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """All data that a start needs, from the database and the settings alone.

    - `image` is canonical with its tag, `digest` its content if it was resolved.
    - `own_image` is true unless admins manage the image; it is `unverified` if it starts although no registry
      has confirmed that it exists and is public.
    - `started_by` is the admin who started it for its owner, None if the owner did.
    - `configuration` is the session's own; values of variables are literal and never pass through `str.format`.
    - `repositories` and `storages` are those that it gets, `without` are directories of storages that its owner leaves
      out.
    - `git` is the Git identity of its owner, None without GitLab.
    - `pull` is the host of the registry from which the image is pulled with the owner's own token.
    """

    session: str
    project: str
    project_path: str
    environment: str
    title: str
    display_name: str
    username: str
    image: str
    revision: str
    fingerprint: str
    resource_class: ResourceClass
    configuration: SessionConfiguration
    repositories: tuple[Repository, ...]
    run: RunConfiguration
    storages: tuple[MountedStorage, ...] = ()
    without: tuple[str, ...] = ()
    started_by: str | None = None
    digest: str | None = None
    own_image: bool = False
    unverified: bool = False
    git: SessionGitIdentity | None = None
    pull: str | None = None

    @property
    def needs(self) -> ResourceRequirements:
        return self.configuration.needs

    @property
    def variables(self) -> Mapping[str, str]:
        return self.configuration.variables


MAX_VARIABLES = 32
MAX_VARIABLE_VALUE_LENGTH = 1000
_VARIABLE_NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Set by the hub, Kubernetes and Renku themselves.
_PLATFORM_VARIABLE_PREFIXES = (
    "JUPYTERHUB_", "JPY_", "JUPYTER_", "JUPYTERLAB_", "KUBERNETES_", "NB_", "RENKU",
)  # fmt: skip
_PLATFORM_VARIABLE_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "HOSTNAME", "MEM_LIMIT", "MEM_GUARANTEE",
        "CPU_LIMIT", "CPU_GUARANTEE",
    }
)  # fmt: skip
# An editor sets the variables of a session that runs with the rights of the user who starts it. These make a
# common program run or load code, trust other certificates or hosts, connect elsewhere, or read another configuration.
_UNSAFE_VARIABLE_PREFIXES = (
    # loader, libc, shells, terminals, desktop libraries
    "LD_", "DYLD_", "MALLOC_", "GLIBC_", "GCONV_", "NSS_", "BASH_", "PROMPT_", "ZSH_", "FISH_", "TERMINFO", "XDG_",
    "DBUS_", "GTK_", "GIO_", "QT_", "GDK_", "LIBGL_", "VK_ICD_", "VK_DRIVER_", "VK_LAYER_", "VK_ADD_", "OCL_ICD_",
    # languages, with their package managers and build tools
    "PYTHON", "IPYTHON", "PIP_", "PIPX_", "PIPENV_", "POETRY_", "PDM_", "UV_", "CONDA_", "MAMBA_", "MICROMAMBA_",
    "PIXI_", "VIRTUALENV_", "R_", "RENV_", "RSTUDIO_", "QUARTO_", "JULIA_", "PERL5", "PERL_", "RUBY", "GEM_",
    "BUNDLE_", "NODE_", "NPM_", "YARN_", "PNPM_", "COREPACK_", "BUN_", "DENO_", "JAVA_", "JDK_", "JVM_", "MAVEN_",
    "GRADLE_", "SBT_", "SPARK_", "PYSPARK_", "HADOOP_", "NXF_", "DASK_", "DOTNET_", "COMPLUS_", "CORECLR_",
    "COR_PROFILER", "COR_ENABLE_", "NUGET_", "PHP_", "LUA_", "ERL_", "GUILE_", "OCTAVE_", "CARGO_", "RUSTC",
    "RUSTUP_", "RUSTDOC", "CMAKE_", "PKG_CONFIG", "CCACHE_", "TEXMF", "MAGICK_",
    # parallel programs, whose launchers run commands and load plugins
    "OMPI_", "PMIX_", "PRTE_", "HYDRA_", "I_MPI_", "SINGULARITY", "APPTAINER",
    # network, TLS, version control, clusters, clouds
    "SSL_", "SSLKEY", "OPENSSL_", "GNUTLS_", "CURL_", "REQUESTS_", "KRB5", "SASL_", "LDAP", "GIT_", "SSH_", "SVN_",
    "GNUPG", "GPG_", "DOCKER_", "BUILDKIT_", "BUILDAH_", "PODMAN_", "CONTAINERS_", "KUBE", "HELM_", "RCLONE_",
    "RSYNC_", "RESTIC_", "AWS_ENDPOINT", "AWS_CONTAINER_", "AWS_EC2_METADATA_", "AWS_WEB_IDENTITY_", "CLOUDSDK_",
    "BOTO_",
)  # fmt: skip
_UNSAFE_VARIABLE_SUFFIXES = (
    "_PROXY", "PAGER", "_EDITOR", "_STARTUP_HOOKS", "_CA_BUNDLE", "_CA_FILE", "_CA_CERTS", "_CERT_FILE",
    "_SYMBOLIZER_PATH", "_ASKPASS",
)  # fmt: skip
_UNSAFE_VARIABLE_NAMES = frozenset(
    {
        # shells and the C library
        "ENV", "IFS", "PS0", "PS1", "PS2", "PS3", "PS4", "CDPATH", "FPATH", "ZDOTDIR", "SHELLOPTS", "BASHOPTS",
        "FCEDIT", "EXECIGNORE", "HISTFILE", "INPUTRC", "TERMCAP", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS",
        "LOCPATH", "NLSPATH", "TEXTDOMAINDIR", "TZDIR", "TMPDIR", "TMP", "TEMP", "TEMPDIR", "DISPLAY",
        "WAYLAND_DISPLAY", "XAUTHORITY",
        # editors and viewers
        "EDITOR", "VISUAL", "BROWSER", "LESS", "LESSOPEN", "LESSCLOSE", "LESSEDIT", "LESSKEY", "LESSKEYIN",
        "LESSKEY_SYSTEM", "LESSKEYIN_SYSTEM", "LESSHISTFILE", "MANOPT", "MANROFFOPT", "MANPATH", "VIM", "VIMINIT",
        "VIMRUNTIME", "EXINIT", "GVIMINIT", "MYVIMRC", "EMACSLOADPATH", "EMACSDATA", "SCREENRC", "MAGIC",
        # languages and compilers
        "VIRTUAL_ENV", "CONDARC", "MAMBARC", "CLASSPATH", "_JAVA_OPTIONS", "GOFLAGS", "GOENV", "GOPATH", "GOROOT",
        "GOBIN", "GOPROXY", "GONOPROXY", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB", "GOPRIVATE", "GOINSECURE",
        "GOTOOLCHAIN", "RUSTFLAGS", "CC", "CXX", "CPP", "FC", "LD", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "FFLAGS",
        "LDFLAGS", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX",
        "MAKEFLAGS", "MAKEFILES", "TEXINPUTS", "MATLABPATH", "PHPRC", "TCLLIBPATH", "TCL_LIBRARY", "GS_LIB",
        "GS_OPTIONS", "GS_FONTPATH",
        # libraries of analysis that load plugins, caches or settings with code in them
        "MPLBACKEND", "MPLCONFIGDIR", "MATPLOTLIBRC", "NUMBA_CACHE_DIR", "NVBLAS_CONFIG_FILE",
        "CUDA_INJECTION64_PATH", "OMP_TOOL_LIBRARIES", "HDF5_PLUGIN_PATH", "GDAL_DRIVER_PATH",
        "GDAL_PYTHON_DRIVER_PATH", "OGR_DRIVER_PATH", "GDAL_CONFIG_FILE", "HF_ENDPOINT", "HF_HOME", "TORCH_HOME",
        "KERAS_HOME",
        # network and clouds
        "NETRC", "WGETRC", "SYSTEM_WGETRC", "SOCKS_SERVER", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "CVS_RSH", "HGRCPATH",
        "HGEDITOR", "HGMERGE", "PSQLRC", "PGSERVICEFILE", "PGSYSCONFDIR", "PGPASSFILE", "MYSQL_HOME",
        "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DATA_PATH", "AZURE_CONFIG_DIR",
        "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
    }
)  # fmt: skip
# Common in analyses and harmless, although they match the patterns above.
_SAFE_VARIABLE_NAMES = frozenset({"JULIA_NUM_THREADS", "MALLOC_ARENA_MAX", "CONDA_OVERRIDE_CUDA", "DASK_NUM_WORKERS"})
_STORABLE_TEXT_PATTERN = re.compile(r"[^\x00\ud800-\udfff]*")  # lone surrogates have no UTF-8
_SECRET_NAME_PATTERN = re.compile(r"(?i)(token|secret|passw|api_?key|credential|private_?key)")


def check_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the same variables, if all names may be set and all values are short texts.

    Raises:
        InvalidInputError: at field `variables`.
    """
    if len(variables) > MAX_VARIABLES:
        raise _build_variables_error(f"At most {MAX_VARIABLES} variables, please.")
    for name, value in variables.items():
        _check_variable_name(name)
        if len(value) > MAX_VARIABLE_VALUE_LENGTH or not _STORABLE_TEXT_PATTERN.fullmatch(value):
            raise _build_variables_error(
                f"The value of {name} is not possible: at most {MAX_VARIABLE_VALUE_LENGTH} characters, without NUL."
            )
    return dict(variables)


def select_allowed_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be set.

    Both spawners build a session's environment from these, because the database may hold variables that an older
    release accepted.
    """
    return {name: value for name, value in variables.items() if is_variable_allowed(name)}


def list_refused_variables(variables: Mapping[str, str]) -> list[str]:
    """Return the names that `select_allowed_variables` leaves out."""
    return [name for name in variables if not is_variable_allowed(name)]


def is_variable_allowed(name: str) -> bool:
    """Return whether an editor may set the variable, in any case of letters: many programs read `https_proxy`."""
    return (
        bool(_VARIABLE_NAME_PATTERN.fullmatch(name))
        and not _is_platform_variable(name)
        and not _is_unsafe_variable(name)
    )


def _is_platform_variable(name: str) -> bool:
    return name.upper().startswith(_PLATFORM_VARIABLE_PREFIXES) or name.upper() in _PLATFORM_VARIABLE_NAMES


def _is_unsafe_variable(name: str) -> bool:
    name = name.upper()
    if name in _SAFE_VARIABLE_NAMES:
        return False
    return (
        name.startswith(_UNSAFE_VARIABLE_PREFIXES)
        or name.endswith(_UNSAFE_VARIABLE_SUFFIXES)
        or name in _UNSAFE_VARIABLE_NAMES
    )


def _check_variable_name(name: str) -> None:
    if not _VARIABLE_NAME_PATTERN.fullmatch(name):
        raise _build_variables_error(
            "A variable's name has letters, digits and _ only and does not start with a digit."
        )
    if _is_platform_variable(name):
        raise _build_variables_error(f"{name} is set by the platform and cannot be changed.")
    if _is_unsafe_variable(name):
        raise _build_variables_error(
            f"{name} cannot be set: it changes which code programs run, where they connect or what they trust."
        )


def list_secret_variables(variables: Mapping[str, str]) -> list[str]:
    """Return the names that look as if their values were secret, since all members of the project can read them."""
    return [name for name in variables if _SECRET_NAME_PATTERN.search(name)]


def _build_variables_error(sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={"variables": sentence})
