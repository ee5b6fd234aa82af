# ruff: noqa: E501, RUF001 - a table with one reason a row, of characters that look like others on purpose
"""What hostile people type: one table for the domain functions and for the live hub.

Rows have names of their own (H53 to H95). `kind` says where the value
goes: `title`, `description`, `keyword` (one of several), `cpu`, `memory`, `gpu`,
`disk`, `variable` (a mapping), `id` (of a session), `repository_url`,
`repository_ref`, `directory` or `path` (of a project).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from renku_spawner.domain.ids import PATH_PART_RULE


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """One value, and whether it is accepted.

    `field` is the key at which the refusal stands (the API puts `repositories.<n>.`
    before `url`, `ref` and `directory`; an id has none, it is not found), `says` a part
    of that sentence, `stored` what is kept of an accepted value when it is not the
    value itself.
    """

    id: str
    kind: str
    value: str | int | float | Mapping[str, str]
    accepted: bool
    field: str = ""
    says: str = ""
    stored: str | None = None


def _rows(name: str, kind: str, values: list, *, field: str = "", says: str = "") -> list[Hostile]:
    """Rows of one reason; refused when they have a field, accepted as they are otherwise."""
    return [
        Hostile(id=f"{name}-{number}", kind=kind, value=value, accepted=not says, field=field, says=says)
        for number, value in enumerate(values, 1)
    ]


_TEXTS = (
    *_rows("H53-title", "title", ["<script>alert(1)</script>"]),
    *_rows("H53-description", "description", ["<script>alert(1)</script>"]),
    *_rows("H53-keyword", "keyword", ["<script>alert(1)</script>"]),
    *_rows("H54-title", "title", ['"><img src=x onerror=alert(1)>']),
    *_rows("H54-description", "description", ['"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)"]),
    Hostile(id="H55-override", kind="title", value="safe\u202etxt.exe", accepted=True, stored="safetxt.exe"),
    Hostile(id="H55-isolate", kind="title", value="\u2066a\u2069", accepted=True, stored="a"),
    Hostile(id="H55-zero-width", kind="title", value="cli\u200bmate\ufeff", accepted=True, stored="climate"),
    Hostile(id="H55-marks", kind="title", value="Z" + "\u0316" * 1000, accepted=True, stored="Z" + "\u0316" * 8),
    Hostile(id="H55-enclosing", kind="title", value="Z" + "\u20dd" * 1000, accepted=True, stored="Z" + "\u20dd" * 8),
    Hostile(id="H55-nfc", kind="title", value="Zu\u0308rich", accepted=True, stored="Zürich"),
    Hostile(id="H55-nfc-through-zero-width", kind="title", value="Zu\u200b\u0308rich", accepted=True, stored="Zürich"),
    Hostile(id="H55-control", kind="title", value="a\x1b[31mb\x07", accepted=True, stored="a[31mb"),
    Hostile(id="H55-line", kind="title", value="two\r\nlines\u2028here", accepted=True, stored="two lines here"),
    Hostile(id="H55-blank", kind="title", value=" \u3000a \xa0 b\t", accepted=True, stored="a b"),
    Hostile(id="H55-surrogate", kind="title", value="a\ud800b", accepted=True, stored="ab"),
    Hostile(id="H55-description", kind="description", value="a\u202eb\r\n\tc", accepted=True, stored="ab\nc"),
    Hostile(id="H55-keyword", kind="keyword", value="\u202egpu\n", accepted=True, stored="gpu"),
    *_rows(
        "H55-nothing-left", "title", ["", " ", "\u200b", "\u202e\u2066", "\u3164", "\u2800", "\u200d", "\ufe0f"],
        field="title", says="Please give a title",
    ),
    *_rows("H56-title", "title", ["😀" * 255, "x" * 100, "x" * 100_000], field="title", says="at most 99"),
    *_rows("H56-description", "description", ["😀" * 2001, "x" * 100_000], field="description", says="at most 2000"),
    *_rows("H56-keyword", "keyword", ["😀" * 33, "x" * 100_000], field="keywords", says="at most 32"),
    *_rows("H56-longest-title", "title", ["😀" * 99, "x" * 99]),
    *_rows("H57-title", "title", ["' OR 1=1--", "'; DROP TABLE renku_sessions;--", "%", "_", "\\"]),
    *_rows("H59-title", "title", ["../", ".", "con", "null", "undefined", "NaN", "{}", "{0.__class__}", "%s", "$(id)"]),
    *_rows("H60-title", "title", ["a\x00b"], field="title", says="NUL"),
    *_rows("H60-description", "description", ["a\x00b"], field="description", says="NUL"),
    *_rows("H60-keyword", "keyword", ["\x00"], field="keywords", says="NUL"),
    *_rows("H61-title", "title", ["[x](javascript:alert(1))"]),
    *_rows("H61-description", "description", ["[x](javascript:alert(1))"]),
)  # fmt: skip

_RESOURCES = (
    *_rows(
        "H62", "cpu", ["-1", "+1", "0", "1e9", "NaN", "inf", "0.0001", "1,5", "1m", "2 ", " 2", "2\n", "١", "２", "1_000",
                       "", "two", "0x2", "1E", "1025", "9" * 100_000, "1e99999", "1/2"],
        field="cpu", says="between 0.01 (10m) and 1024 CPU",
    ),
    *_rows("H62-accepted", "cpu", ["10m", "0.01", "500m", ".5", "2.", "1e3", "1024", "1k", "1.5e0", "250000u"]),
    *_rows(
        "H63", "memory", ["-1G", "1Ei", "9999999999999999999", "1.5.2G", "1GB", "0x10", "1K", "1GiB", "1 Gi", "1gi", "0",
                          "1", "NaN", "inf", "1_0Gi", "١Gi", "1Gi\x00", "1e99", "65Ti"],
        field="memory", says="between 16Mi and 64Ti",
    ),
    *_rows("H63-accepted", "memory", ["16Mi", "1G", "1.5Gi", "64Ti", "1e9", "17179869184", "20000000000m"]),
    *_rows("H63-disk", "disk", ["-1G", "1Ei", "2Pi", "1GB", "15Mi", ""], field="disk", says="between 16Mi and 1Pi"),
    *_rows("H63-disk-accepted", "disk", ["16Mi", "1Gi", "1Pi"]),
    *_rows("H65", "gpu", [1.5, -1, 65, 10**30], field="gpu", says="between 0 and 64"),
    *_rows("H65-accepted", "gpu", [0, 1, 64]),
)  # fmt: skip

_VARIABLES = (
    *_rows(
        "H66", "variable", [{name: "x"} for name in (
            "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_PREFIX", "jupyterhub_api_token", "JPY_API_TOKEN", "JUPYTER_IMAGE",
            "JUPYTER_PATH", "KUBERNETES_SERVICE_HOST", "RENKU_SESSION", "RENKU", "NB_UID", "MEM_LIMIT", "PATH", "HOME",
        )],
        field="variables", says="set by the platform",
    ),
    *_rows(
        "H67", "variable", [{name: "/tmp/x.so"} for name in (
            "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "PYTHONPATH", "PYTHONSTARTUP",
            "LD_PRELOAD", "LD_LIBRARY_PATH", "ld_preload", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "IFS",
            "PS4", "SHELLOPTS", "NODE_OPTIONS", "PERL5OPT", "PIP_INDEX_URL", "SSH_ASKPASS",
        )],
        field="variables", says="cannot be set: it changes which code",
    ),
    *_rows("H68", "variable", [{"A": "{username:>9999999999}"}, {"A": "{unescaped_username}"}, {"A": "%s$(id)`id`"}]),
    *_rows("H69", "variable", [{"A": "{"}, {"A": "}"}, {"A": "{0.__class__}"}, {"A": ""}, {"A": "two\nlines"}]),
    *_rows(
        "H70-name", "variable", [{"A B": "x"}, {"": "x"}, {"A=B": "x"}, {"1A": "x"}, {"A-B": "x"}, {"A\n": "x"}, {"Ä": "x"},
                                 {"A\x00": "x"}, {"A" * 65: "x"}, {"A" * 1_000_000: "x"}],
        field="variables", says="letters, digits and _ only",
    ),
    *_rows("H70-many", "variable", [{f"A{n}": "x" for n in range(10_000)}, {f"A{n}": "x" for n in range(33)}],
           field="variables", says="At most 32"),
    *_rows("H70-value", "variable", [{"A": "x" * 1_000_000}, {"A": "x" * 1001}, {"A": "a\x00b"}, {"A": "\ud800"}],
           field="variables", says="at most 1000 characters, without NUL"),
    *_rows("H70-accepted", "variable", [{"A" * 64: "x" * 1000}, {"_a1": "😀"}, {f"A{n}": "x" for n in range(32)}]),
)  # fmt: skip

_IDS = _rows(
    "H72", "id",
    ["0", "-1", "1e9", "1%00", "1\x00", "../1", "123e4567-e89b-12d3-a456-426614174000", "1" + "0" * 30, "", "null",
     "ABCDEFGHIJKL", "abcdefghijk", "abcdefghijklm", "2bcdefghijkl", "abcdefghijk1", "abcdefghijkl\n", "abcdefghijk\u217c"],
    says="no such page",
)  # fmt: skip

_HOST = "are not allowed here"
_HTTPS = "that start with https://"
_ADDRESS = "Please give the https:// address"
_USER = "Leave out user name and password"
_DIRECTORY = "A directory is one name"
_REF = "not the name of a branch, a tag or a commit"
_PATH = f"A path is a namespace and a name, as in ada/climate. In each of them: {PATH_PART_RULE}"
_REPOSITORIES = (
    *_rows(
        "H86", "directory", ["../x", "..", ".", "/x", "x/y", "x\\y", "-x", "~", "$HOME", "x\n", "x\x00", " x", "x ", "x.", "é",
                             "ｘ", "", "x" * 101, "x" * 100_000, "con", "NUL", "lost+found", "x\u202e"],
        field="directory", says=_DIRECTORY,
    ),
    *_rows("H87", "directory", [".git", ".GIT", "x.git", ".ssh", ".bashrc", ".jupyter", "x.lock"],
           field="directory", says=_DIRECTORY),
    *_rows("H88-accepted", "directory", ["DATA", "data", "_x", "1", "a..b", "x" * 100]),
    *_rows("H89", "repository_url", ["ext::sh -c", "ext::sh -c touch% /tmp/x"], field="url", says=_ADDRESS),
    *_rows("H89-transport", "repository_url", ["ext::sh", "fd::17/x", "git://github.com/a/b", "ssh://git@github.com/a/b",
                                               "git@github.com:a/b", "javascript:alert(1)", "data:text/plain,x",
                                               "ftp://github.com/a/b", "http://github.com/a/b", "https://github.com",
                                               "https://github.com/", "https:", "https:github.com/a", "https:///x.git", "//github.com/a/b",
                                               "https://github.com\\@evil.example/x"],
           field="url", says=_HTTPS),
    *_rows("H90", "repository_url", ["file:///etc", "file://localhost/etc", "/etc", "../x", ".", "~/x", "C:\\x"],
           field="url", says=_HTTPS),
    *_rows("H91", "repository_url", ["https://user:hunter2@github.com/a/b", "https://user@github.com/a/b",
                                     "https://:hunter2@github.com/a/b", "https://@github.com/a/b",
                                     "https://github.com@evil.example/x", "https://a@b@github.com/x"],
           field="url", says=_USER),
    *_rows(
        "H92-address", "repository_url", [
            "https://169.254.169.254/x.git", "https://8.8.8.8/x.git", "https://2852039166/x.git", "https://0xA9FEA9FE/x.git",
            "https://0251.0376.0251.0376/x.git", "https://0xa9.0xfe.0xa9.0xfe/x.git", "https://169.16689662/x.git",
            "https://127.1/x.git", "https://0/x.git", "https://169.254.169.254./x.git", "https://[::1]/x.git",
            "https://[::]/x.git", "https://[::ffff:169.254.169.254]/x.git", "https://[::ffff:a9fe:a9fe]/x.git",
            "https://[64:ff9b::a9fe:a9fe]/x.git", "https://[2001:4860:4860::8888]/x.git", "https://[fe80::1%25eth0]/x.git",
        ],
        field="url", says=_HOST,
    ),
    *_rows(
        "H92-name", "repository_url", [
            "https://localhost/x.git", "https://LOCALHOST/x.git", "https://localhost./x.git", "https://hub.localhost/x.git",
            "https://hub/x.git", "https://hub.default.svc/x.git", "https://hub.default.svc.cluster.local/x.git",
            "https://metadata.google.internal/x.git", "https://printer.local/x.git", "https://nas.lan/x.git",
            "https://nas.home.arpa/x.git", "https://github.com./a/b", "https://github..com/a/b", "https://.github.com/a/b",
            "https://-github.com/a/b", "https://git_hub.com/a/b", "https://git%68ub.com/a/b", "https://github.com%2f.evil/x",
            "https://" + "a." * 500 + "com/x", "https://" + "a" * 64 + ".com/x", "https://github.com;x/a",
        ],
        field="url", says=_HOST,
    ),
    *_rows("H92-port", "repository_url", ["https://github.com:22/a/b", "https://github.com:0/a/b", "https://github.com:8443/a"],
           field="url", says="is not allowed here"),
    *_rows("H92-broken", "repository_url", ["https://github.com:99999/a", "https://github.com:x/a", "https://[::1/x",
                                            "https://github.com:-1/a"],
           field="url", says="not a valid address"),
    *_rows("H92-letters", "repository_url", ["https://１６９.254.169.254/x.git", "https://169。254。169。254/x.git",
                                             "https://gıthub.com/a/b", "https://github.com/a b", "https://github.com/a\n",
                                             "https://github.com/a\x00", "\thttps://github.com/a", "", "https://github.com/\x7f",
                                             "https://github.com/" + "a" * 2000, "https://" + "a" * 1_000_000],
           field="url", says=_ADDRESS),
    *_rows("H92-parts", "repository_url", ["https://github.com/a/b?x=1", "https://github.com/a/b#x", "https://github.com/a?",
                                           "https://github.com/a/../../b", "https://github.com/a/.."],
           field="url", says="leave out everything after ? or #"),
    *_rows("H93", "repository_url", ["-upload-pack=touch /tmp/x"], field="url", says=_ADDRESS),
    *_rows("H93-option", "repository_url", ["-upload-pack=x", "--upload-pack=x", "--", "-c"], field="url", says=_HTTPS),
    *_rows("H93-accepted", "repository_url", ["https://github.com/jupyterhub/jupyterhub", "https://github.com/a/b.git",
                                              "https://github.com:443/a/b", "https://xn--bcher-kva.example/a/b",
                                              "https://gitlab.example.org/group/sub/project.git/", "HTTPS://GitHub.com/a/b"]),
    *_rows("H94", "repository_ref", ["--output=x", "--output", "-x", "--upload-pack=x", "a b", "$(id)", ";id", "`id`", "a|b",
                                     "a\nb", "a\n", "a\x00", "a..b", "../x", "a/../b", "@{-1}", "a@{1}", "a~1", "a^", "a:b",
                                     "a*", "a?", "[a", "a\\b", ".a", "a/.b", "a.", "a/", "/a", "a//b", "a.lock", "a.lock/b",
                                     "ａ", "", "a" * 201, "a" * 1_000_000, "@"],
           field="ref", says=_REF),
    *_rows("H94-accepted", "repository_ref", ["main", "v1.2.3", "feature/x-1", "fix/#12", "pkg@1.0.0", "a+b", "0" * 40,
                                              "refs/heads/main", "a" * 200]),
    *_rows("path", "path", ["", "x", "/", "a/", "/b", "a/b/c", "a//b", "../x", "a/..", "./b", "a/.git", "a/b.git", "a/b.atom",
                            "a/-b", "-a/b", "a/b ", "a/b\n", "a/b\x00", "a/" + "b" * 65, "ａ/b", "a/b%2fc", "a\\b", "a/b..c",
                            "a/b?", "a/<b>", "a/b." , "x" * 1_000_000, "a/" * 500_000],
           field="path", says=_PATH),
    *_rows("path-accepted", "path", ["ada/climate", "ada/a.b_c-d", "1/2", "ada@example.org/x", "a/" + "b" * 64]),
)  # fmt: skip

HOSTILE: tuple[Hostile, ...] = (*_TEXTS, *_RESOURCES, *_VARIABLES, *_IDS, *_REPOSITORIES)

# The second is refused beside the first, since both look or sound the same.
EQUAL_TITLES = (
    ("JupyterLab", "JupyterLab"),
    ("JupyterLab", "JUPYTERLAB"),
    ("ﬁle", "FILE"),
    ("Straße", "STRASSE"),
    ("Ångström", "A\u030angstro\u0308m"),
    ("Ⅳ", "iv"),
    ("ｌａｂ", "lab"),
    ("ΜΑΪΟΣ", "μαϊος"),
    ("a b", "a\xa0\xa0b "),
    ("admin", "ad\u200dmin"),
    ("star", "sta\ufe0fr"),
)
DIFFERENT_TITLES = (("lab", "lab 2"), ("résumé", "resume"), ("a-b", "a b"), ("😀", "😁"))
