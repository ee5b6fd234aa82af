"""Environment variables of a session: which names a person may set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import Invalid

COUNT_LIMIT = 32
VALUE_LIMIT = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Set by the hub, Kubernetes and Renku themselves.
_PLATFORM_PREFIXES = (
    "JUPYTERHUB_", "JPY_", "JUPYTER_", "JUPYTERLAB_", "KUBERNETES_", "NB_", "RENKU",
)  # fmt: skip
_PLATFORM_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "HOSTNAME", "MEM_LIMIT", "MEM_GUARANTEE",
        "CPU_LIMIT", "CPU_GUARANTEE",
    }
)  # fmt: skip
# An editor sets the variables of a session that runs with the rights of the user who starts it. These make a
# common program run or load code, trust other certificates or hosts, connect elsewhere, or read another configuration.
_UNSAFE_PREFIXES = (
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
_UNSAFE_SUFFIXES = (
    "_PROXY", "PAGER", "_EDITOR", "_STARTUP_HOOKS", "_CA_BUNDLE", "_CA_FILE", "_CA_CERTS", "_CERT_FILE",
    "_SYMBOLIZER_PATH", "_ASKPASS",
)  # fmt: skip
_UNSAFE_NAMES = frozenset(
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
# Ordinary in an analysis, although they look like the above.
_HARMLESS = frozenset({"JULIA_NUM_THREADS", "MALLOC_ARENA_MAX", "CONDA_OVERRIDE_CUDA", "DASK_NUM_WORKERS"})
_STORABLE = re.compile(r"[^\x00\ud800-\udfff]*")  # lone surrogates have no UTF-8
_SECRET = re.compile(r"(?i)(token|secret|passw|api_?key|credential|private_?key)")


def check(variables: Mapping[str, str]) -> dict[str, str]:
    """The same variables, if all names may be set and all values are short texts.

    Raises:
        Invalid: at field `variables`.
    """
    if len(variables) > COUNT_LIMIT:
        raise _wrong(f"At most {COUNT_LIMIT} variables, please.")
    for name, value in variables.items():
        _check_name(name)
        if len(value) > VALUE_LIMIT or not _STORABLE.fullmatch(value):
            raise _wrong(f"The value of {name} is not possible: at most {VALUE_LIMIT} characters, without NUL.")
    return dict(variables)


def select_allowed(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those that may be set.

    Both spawners build a session's environment from these, because the database may hold variables that an older
    release accepted.
    """
    return {name: value for name, value in variables.items() if is_allowed(name)}


def list_refused(variables: Mapping[str, str]) -> list[str]:
    """Return the names that `select_allowed` leaves out."""
    return [name for name in variables if not is_allowed(name)]


def is_allowed(name: str) -> bool:
    """Return whether an editor may set the variable, in capitals or not: many programs read `https_proxy`."""
    return bool(_NAME.fullmatch(name)) and not _is_platform(name) and not _is_unsafe(name)


def _is_platform(name: str) -> bool:
    return name.upper().startswith(_PLATFORM_PREFIXES) or name.upper() in _PLATFORM_NAMES


def _is_unsafe(name: str) -> bool:
    name = name.upper()
    if name in _HARMLESS:
        return False
    return name.startswith(_UNSAFE_PREFIXES) or name.endswith(_UNSAFE_SUFFIXES) or name in _UNSAFE_NAMES


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise _wrong("A variable's name has letters, digits and _ only and does not start with a digit.")
    if _is_platform(name):
        raise _wrong(f"{name} is set by the platform and cannot be changed.")
    if _is_unsafe(name):
        raise _wrong(
            f"{name} cannot be set: it changes which code programs run, where they connect or what they trust."
        )


def look_secret(variables: Mapping[str, str]) -> list[str]:
    """Names that look as if their values were secret: everybody in the project reads them."""
    return [name for name in variables if _SECRET.search(name)]


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, fields={"variables": sentence})
