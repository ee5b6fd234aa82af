"""Variables of a session: which names may be set, and which look as if they held a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.sessions import (
    check_variables,
    is_variable_allowed,
    list_refused_variables,
    list_secret_variables,
    select_allowed_variables,
)


def test_variables_are_returned_as_a_copy_in_their_order() -> None:
    asked = {"B": "{x}", "A": ""}
    checked = check_variables(asked)
    assert list(checked.items()) == [("B", "{x}"), ("A", "")]
    assert checked is not asked


@given(st.dictionaries(st.text(max_size=70) | st.from_regex(r"[A-Za-z_]{1,8}"), st.text(max_size=1100), max_size=40))
def test_variables_are_accepted_whole_or_refused_at_their_field(asked: dict[str, str]) -> None:
    try:
        assert check_variables(asked) == asked
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["variables"]
    else:
        assert all(name.isidentifier() and name.isascii() for name in asked)
        "".join(asked.values()).encode()


def test_a_value_is_never_repeated_in_a_refusal() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_variables({"PASSWORD": "hunter2" + "\x00"})
    assert "hunter2" not in refusal.value.message


ORDINARY = [
    "PATHS", "MY_PATH", "LDX", "GITHUB_ORG", "NBX", "JUPYTERX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS", "JULIA_NUM_THREADS", "MALLOC_ARENA_MAX", "CUDA_VISIBLE_DEVICES", "TZ",
    "LANG", "LC_ALL", "LANGUAGE", "TERM", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "GOOGLE_CLOUD_PROJECT", "AZURE_STORAGE_ACCOUNT", "MLFLOW_TRACKING_URI", "WANDB_PROJECT",
    "HF_TOKEN", "GDAL_DATA", "PROJ_LIB", "PGHOST", "PGUSER", "DATABASE_URL", "SEED", "DATA_DIR", "MODEL_PATH",
    "R2_SCORE", "HG38_PATH", "TEMPERATURE", "ENVIRONMENT", "LESSON", "PERLIN_SCALE", "USERS", "GO_TERMS",
    "TF_CPP_MIN_LOG_LEVEL",
]  # fmt: skip
UNSAFE = [
    # those of the first security review, which the first release accepted
    "PROMPT_COMMAND", "PS0", "PS1", "IPYTHONDIR", "R_PROFILE_USER", "R_ENVIRON_USER", "R_LIBS", "LESSOPEN",
    "MANPAGER", "OPENSSL_CONF", "SSL_CERT_FILE", "SSLKEYLOGFILE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY",
    "REQUESTS_CA_BUNDLE", "CURL_HOME", "XDG_CONFIG_HOME", "JULIA_DEPOT_PATH", "PERL5DB", "RUBYLIB", "LUA_INIT",
    "JAVA_TOOL_OPTIONS", "DOTNET_STARTUP_HOOKS", "VIMINIT", "GCONV_PATH", "NPM_CONFIG_REGISTRY",
    # others of the same kinds
    "prompt_command", "Http_Proxy", "NO_PROXY", "_JAVA_OPTIONS", "BROWSER", "EDITOR", "VISUAL", "PAGER", "GIT_PAGER",
    "SYSTEMD_EDITOR", "PERL5LIB", "TMPDIR", "CONDA_PREFIX", "MAMBA_ROOT_PREFIX", "PIP_INDEX_URL", "UV_INDEX_URL",
    "CARGO_HOME", "RUSTC_WRAPPER", "GOFLAGS", "GOPROXY", "CLASSPATH", "MAVEN_OPTS", "ZDOTDIR", "ENV", "FPATH",
    "INPUTRC", "TERMINFO", "TERMINFO_DIRS", "GLIBC_TUNABLES", "MALLOC_CONF", "DOCKER_HOST", "KUBECONFIG",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE", "AWS_CA_BUNDLE", "HOSTALIASES", "RCLONE_CONFIG",
    "MPLCONFIGDIR", "CC", "CFLAGS", "MAKEFLAGS", "OMPI_MCA_plm_rsh_agent", "HDF5_PLUGIN_PATH", "DISPLAY",
    "NODE_EXTRA_CA_CERTS", "GIT_ASKPASS", "HISTFILE", "TZDIR",
]  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY)
def test_names_that_only_resemble_the_platforms_may_be_set(name: str) -> None:
    assert check_variables({name: "x"}) == select_allowed_variables({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_change_which_code_runs_or_where_it_connects_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        check_variables({name: "x"})
    assert (select_allowed_variables({name: "x"}), list_refused_variables({name: "x"})) == ({}, [name])


@given(st.sampled_from(UNSAFE), st.lists(st.booleans(), min_size=40, max_size=40))
def test_capitals_make_no_difference(name: str, capitals: list[bool]) -> None:
    spelled = "".join(c.upper() if up else c.lower() for c, up in zip(name, capitals, strict=False))
    assert not is_variable_allowed(spelled)


def test_names_that_look_secret_are_pointed_out() -> None:
    names = ["API_KEY", "APIKEY", "GITHUB_TOKEN", "my_secret", "DB_PASSWORD", "PASSWD", "CREDENTIALS", "PRIVATE_KEY"]
    assert list_secret_variables(dict.fromkeys([*names, "KEYWORD", "A"], "x")) == names
