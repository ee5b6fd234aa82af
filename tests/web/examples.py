"""Example values for templates, where their text matters; what they leave out is made from the view models."""

from typing import Any

from renku_spawner.web.sessions.cards import SessionCardView
from renku_spawner.web.sessions.forms import build_blank_session_environment_fields
from renku_spawner.web.sessions.views import OwnedInstanceView
from tests.web import examples_admin, examples_code
from tests.web.generated import BASE, Generator, complete_page

PROJECT = BASE + "renku/projects/alice/alpine-precipitation"
EVENTS = BASE + "api/renku/sessions/events?ticket=0123abc"
DIGEST = "sha256:b91780636b12da5ea37add0c8d2e659d47184fa8e70242f8d20b86e429afd6e2"
LOCAL = "Local demo: this runs in the hub's own Python environment, not in the image. Limits are not enforced here."
LONG = "Verification against 4 812 rain gauges, 1961-2025, Größenordnungen je Einzugsgebiet"
CLASSES = [
    {"name": "small", "size": "1 CPU, 4 GiB", "suggested": False},
    {"name": "medium", "size": "2 CPU, 8 GiB", "suggested": True},
]
VISIBILITIES = [
    {"value": "private", "title": "Members only", "text": "You, and whom you add under Settings."},
    {"value": "internal", "title": "Everybody with an account on this hub", "text": "They see it as viewers."},
]
FRAME: dict[str, Any] = {
    "nav": "projects",
    "events_url": None,
    "renku_version": "0.1.0",
    "said": None,
    "local": LOCAL,
    "refresh": False,
    "back": "project",
    "again": None,
    "in_the_way": None,
    "problem_code": "",
}
ABOUT_PROJECT = {
    "id": "p1",
    "title": "Post-processing of Alpine precipitation ensembles",
    "page": PROJECT,
    "path": "alice/alpine-precipitation",
    "description": "Calibrated 1 to 15 day forecasts for 214 catchments.",
    "visibility": "members only",
    "role": "you are owner",
    "settings_url": PROJECT + "/-/settings",
    "new_url": PROJECT + "/-/sessions/new",
    "launch": BASE + "renku/launch/alice/alpine-precipitation",
    "owner": "alice",
    "web": None,
    "people": None,
    "archived": False,
    "away": None,
}
ACTS = "Code in this session can act in GitLab as you (read)."
GITLAB = "https://gitlab.example.org/alice/alpine-precipitation"
IN_GITLAB = ABOUT_PROJECT | {
    "web": GITLAB,
    "people": GITLAB + "/-/project_members",
    "archived": True,
    "away": "You see the project as it was at 09:42 UTC. Open and Pause work.",
    "owner": None,
}
STORAGES = [
    {
        "id": "storageaaaaa",
        "version": 3,
        "directory": "era5-alps",
        "words": "S3, read only",
        "whose": "with the project's credentials",
        "missing": False,
        "look": "These credentials are refused.",
        "looked": "4 min ago",
        "looked_at": "2026-11-24T09:38:00+00:00",
        "bad": True,
        "page": PROJECT + "/-/storages/storageaaaaa",
    },
    {
        "id": "storagebbbbb",
        "version": 1,
        "directory": "gauges",
        "words": "Shared volume, read and write",
        "whose": "",
        "missing": True,
        "look": "Not available here: an admin has not configured it as a folder of this machine.",
        "looked": None,
        "looked_at": None,
        "bad": True,
        "page": None,
    },
]
STORAGE_FIELDS = [
    {"name": f"{prefix}_{form}", "label": label, "hint": hint, "form": form, "required": required, "choices": choices}
    for prefix, form, label, hint, required, choices in (
        (
            "setting",
            "choice",
            "Provider",
            "",
            True,
            [{"value": "AWS", "text": "AWS"}, {"value": "Ceph", "text": "Ceph"}],
        ),
        ("setting", "url", "Endpoint", "https://…", False, []),
        ("secret", "user", "Access key id", "", False, []),
        ("secret", "secret", "Secret access key", "never shown", False, []),
        ("secret", "key", "Private key", "in place of a password", False, []),
    )
]
STORAGE: dict[str, Any] = {
    "form": {
        "kind": "s3",
        "label": "S3",
        "tabs": [
            {"text": "S3", "icon": "fa-bucket", "url": PROJECT + "/-/storages/new?kind=s3", "current": True},
            {"text": "SFTP", "icon": "fa-server", "url": PROJECT + "/-/storages/new?kind=sftp", "current": False},
        ],
        "values": {
            "kind": "s3", "directory": "era5-alps", "path": "era5/alps", "credentials": "project", "access": "read",
            "version": "3", "setting_choice": "Ceph", "setting_url": "https://s3.example.org",
        },
        "settings": STORAGE_FIELDS[:2],
        "secrets": STORAGE_FIELDS[2:],
        "path_label": "Bucket and folder",
        "path_required": True,
        "whose": [
            {"value": "project", "title": "The project's", "text": "Entered here once."},
            {"value": "user", "title": "Each user's own", "text": ""},
        ],
        "kept": True,
        "keeps": True,
    },
    "action": PROJECT + "/-/storages",
    "settings": PROJECT + "/-/settings#storages",
    "errors": {},
}  # fmt: skip
CREDENTIALS: dict[str, Any] = {
    "action": PROJECT + "/-/sessions/k2n6gwz8cfye/credentials",
    "keeps": True,
    "start": False,
    "without": ["era5-alps"],
    "launch_version": "a1b2c3d4e5f",
    "start_url": PROJECT + "/-/sessions/k2n6gwz8cfye/start",
    "storages": [
        {
            "id": "secret_storageaaaaa_secrets", "seen": "version_storageaaaaa", "version": 3,
            "directory": "era5-alps", "words": "S3, read only", "where": "https://s3.example.org",
            "missing": True, "forget": None, "fields": STORAGE_FIELDS[2:],
        },
        {
            "id": "secret_storagebbbbb_secrets", "seen": "version_storagebbbbb", "version": 1,
            "directory": "cloud", "words": "WebDAV, read only", "where": "", "missing": False,
            "forget": BASE + "renku/storages/storagebbbbb/credentials/delete", "fields": [],
        },
    ],
    "errors": {},
}  # fmt: skip
KEPT = [
    {
        "directory": "era5-alps",
        "when": "2 days ago",
        "kept_at": "2026-11-22T09:38:00+00:00",
        "forget": BASE + "renku/storages/storageaaaaa/credentials/delete",
    }
]
REPOSITORIES = [
    {
        "directory": "analysis",
        "url": "https://git.example.org/alice/analysis.git",
        "link": "https://git.example.org/alice/analysis",
        "name": "git.example.org/alice/analysis",
        "ref": "main",
        "also": "with large files",
        "change": PROJECT + "/-/settings?change=analysis#repository",
        "remove": PROJECT + "/-/repositories/analysis/delete",
    },
    {
        "directory": "data",
        "url": "http://127.0.0.1:8765/alice/data.git",
        "link": None,
        "name": "127.0.0.1:8765/alice/data",
        "ref": None,
        "also": "",
        "change": PROJECT + "/-/settings?change=data#repository",
        "remove": PROJECT + "/-/repositories/data/delete",
    },
]


def environment(**changed: Any) -> dict[str, Any]:
    """Give a ready-made environment as a card or a choice shows it."""
    return {
        "id": "e1",
        "name": "Jupyter Python, scientific",
        "description": "JupyterLab with NumPy, pandas, SciPy and Matplotlib.",
        "keywords": ["python", "jupyter"],
        "creator": "admin",
        "created_at": "2026-11-02T04:12:00+00:00",
        "kind": "default",
        "icon": "fa-box-open",
        "image": "quay.io/jupyter/scipy-notebook:2026-11-02",
        "digest": DIGEST,
        "revision": 4,
        "new_url": PROJECT + "/-/sessions/new?environment=e1",
    } | changed


NO_SESSION = Generator(0, {}).view(SessionCardView, OwnedInstanceView)


def session(name: str, title: str, status: str, **changed: Any) -> dict[str, Any]:
    """Give a session with my instance in *status*."""
    page = f"{PROJECT}/-/sessions/{name}"
    own = BASE + f"renku/sessions/{name}"
    return (
        NO_SESSION
        | {
            "id": name,
            "title": title,
            "description": "",
            "page": page,
            "url": page,
            "environment": environment(),
            "needs": "1 CPU, 4 GiB memory, 10 GiB disk",
            "mounts": "all 2 repositories",
            "added_by": "bob",
            "added_at": "2026-05-12T10:00:00+00:00",
            "may_write": True,
            "status": status,
            "variables": ["SEED=<1>", "API_TOKEN=•••"],
            "launch_version": "a1b2c3d4e5f",
            "version": 4,
            "delete_page": own + "/data",
            "pause_url": own + "/pause",
            "resume_url": own + "/resume",
            "project_title": ABOUT_PROJECT["title"],
            "project_page": PROJECT,
        }
        | changed
    )


SUCCESSION = {
    "title": "This environment is deprecated.",
    "text": "Python 3.10 is out of support.",
    "link": {
        "text": "Change to Minimal …",
        "url": PROJECT + "/-/sessions/kq7w2mzt5ahr/environment?environment=minimal",
    },
}
RUNNING = session(
    "kq7w2mzt5ahr",
    "Explore the ensemble",
    "running",
    default=True,
    description="Start here.",
    since_at="2026-11-24T07:10:00+00:00",
    elapsed=8040,
    class_name="medium: 2 CPU, 8 GiB",
    more="last used 4 min ago, pauses after 8 h unused",
    open="/user/alice/kq7w2mzt5ahr/",
    succession=SUCCESSION,
    notices=[
        {"title": "Edited since you started it.", "text": "Pause and resume to use the new configuration."},
        {"title": "Repository data could not be cloned:", "text": "Connection refused. It is tried again."},
    ],
)
LAUNCHING = session(
    "c3vd6yxn4ubf",
    "Train the network",
    "launching",
    stage="Preparing files",
    progress=45,
    elapsed=25,
    usual="about 40 s",
)
UNTIMED = session("u3vd6yxn4ubf", "First start", "launching", stage="Starting the server", elapsed=3)
PAUSED = session(
    "m9h4tqe2xw7z",
    "Abbildungen für den Jahresbericht",
    "paused",
    since="3 days ago",
    since_at="2026-11-21T15:02:00+00:00",
    more="Paused by you.",
    kept="2.3 of 10 GiB used, in the trash until 27 January 2027, then deleted for good",
    kept_soon=True,
    trashed=True,
    restore_url=BASE + "renku/sessions/m9h4tqe2xw7z/restore",
    classes=CLASSES,
)
FAILED = session(
    "x5b8rjn3kdpa",
    LONG,
    "failed",
    message="Out of memory: used more than 2 GiB.",
    advice="Start it with a larger class.",
    classes=CLASSES,
    environment=environment(image="registry.gitlab.example.org:5050/klima/a-very-long-name/gpu-cuda12:build-2026-11"),
)
NO_ROOM = session(
    "z5b8rjn3kdpa",
    "A large one",
    "failed",
    message="There is not enough room in this resource pool: quota team, pods: 1 of 1 used, this session needs 1",
    classes=CLASSES,
    smaller={"name": "small", "size": "1 CPU, 4 GiB", "same": "medium"},
)
IN_THE_WAY = [
    {
        "title": RUNNING["title"], "status": status, "project": "alice/alpine-precipitation", "page": RUNNING["page"],
        "pause": RUNNING["pause_url"] if verb else None, "verb": verb, "data": None if verb else RUNNING["delete_page"],
    }
    for status, verb in (("running", "Pause"), ("launching", "Cancel"), ("paused", ""))
]  # fmt: skip
INACTIVE = session("t2n6gwz8cfye", "Course copy", "inactive", environment=environment(digest=None), delete_page=None)
BLOCKED = session("b2n6gwz8cfye", "On a GPU", "inactive", blocked="None of your classes has 1 GPU; ask an admin.")
TWIN = session(
    "w2n6gwz8cfye",
    "Second look",
    "paused",
    other={
        "id": RUNNING["id"],
        "title": RUNNING["title"],
        "page": RUNNING["page"],
        "open": RUNNING["open"],
        "pause": True,
        "status": "running",
    },
)
STOPPING = session("s2n6gwz8cfye", "Leaving", "stopping", sentence="Pausing, data is kept.")
UNKNOWN = session(
    "k2n6gwz8cfye",
    "Out of sight",
    "unknown",
    sentence="We cannot reach the cluster; last seen running at 09:42.",
    open="/user/alice/k2n6gwz8cfye/",
)
SESSIONS = [RUNNING, LAUNCHING, UNTIMED, PAUSED, FAILED, INACTIVE, BLOCKED, TWIN, STOPPING, UNKNOWN]

FORM: dict[str, Any] = {
    "values": {
        "title": "Explore the ensemble",
        "description": "",
        "cpu": "2",
        "memory": "6Gi",
        "gpu": "0",
        "disk": "20Gi",
        "variables": "OMP_NUM_THREADS=2\nA=<b>",
        "repositories": ["analysis"],
        "storages": ["era5-alps"],
        "default": False,
    },
    "repositories": REPOSITORIES,
    "amounts": [
        {"name": name, "label": label, "hint": hint}
        for name, label, hint in (
            ("cpu", "CPU", "like 0.5 or 500m"),
            ("memory", "Memory", "like 512Mi or 2Gi"),
            ("gpu", "GPU", "whole ones"),
            ("disk", "Disk", "like 10Gi"),
        )
    ],
    "all_repositories": False,
    "storages": STORAGES,
    "all_storages": False,
    "classes": [
        {"name": "small", "cpu": "1", "memory": "4 GiB", "gpu": None, "disk": "20 GiB", "fits": False, "best": False},
        {"name": "medium", "cpu": "2", "memory": "8 GiB", "gpu": None, "disk": "50 GiB", "fits": True, "best": True},
        {"name": "gpu", "cpu": "8", "memory": "32 GiB", "gpu": "1", "disk": "50 GiB", "fits": True, "best": False},
    ],
    "fit": "medium",
    "fit_text": "The medium class gives 2 CPU, 8 GiB and up to 50 GiB disk to each person.",
    "check_url": PROJECT + "/-/sessions/check",
}
CONFIGURATION = {
    "needs": "1 CPU, 4 GiB memory, 10 GiB disk",
    "more": [{"name": "Shared memory", "text": "256", "code": False}],
    "fits": "fits small and larger",
    "repositories": REPOSITORIES,
    "storages": STORAGES,
    "variables": ["OMP_NUM_THREADS=2"],
}
KEYWORDS = [
    {"word": "all", "url": PROJECT + "/-/sessions/new", "current": True},
    {"word": "python", "url": PROJECT + "/-/sessions/new?keyword=python", "current": False},
]
STEPS = [
    {"text": "Queued", "state": "done", "took": "1 s"},
    {"text": "Preparing files: 2 repositories", "state": "now", "took": None},
    {"text": "Waiting until it answers", "state": "next", "took": None},
]
LAUNCHES = [
    {
        "when": "today, 08:10",
        "when_at": "2026-11-24T07:10:00+00:00",
        "outcome": "running",
        "failed": False,
        "class_name": "medium",
        "took": "18 s",
        "ran": "2 h 14 min",
        "revision": 4,
    },
    {
        "when": "23 November, 13:31",
        "when_at": "2026-11-23T12:31:00+00:00",
        "outcome": "out of memory: used more than 4 GiB",
        "failed": True,
        "class_name": "small",
        "took": None,
        "ran": None,
        "revision": 4,
    },
]
REVISIONS = [
    environment()
    | {"revision": 5, "current": False, "gone": False, "verb": "Accept", "use": RUNNING["url"] + "/revision"},
    environment() | {"revision": 4, "current": True, "gone": False, "verb": "Roll back to", "use": None},
    environment() | {"revision": 3, "current": False, "gone": True, "verb": "Roll back to", "use": None},
]


def fact(name: str, text: str, **more: Any) -> dict[str, Any]:
    """Give one fact of an image, or of how it is run."""
    return {"name": name, "text": text} | more


STACKS = "https://github.com/jupyter/docker-stacks"
ABOUT_IMAGE = {
    "likely": "an image of the Jupyter Docker Stacks, or made from one",
    "facts": [
        fact("Size", "1.4 GiB to download"),
        fact("Built", "22 days ago", built_at="2026-11-02T04:12:00+00:00"),
        fact("Source", STACKS, link=STACKS),
    ],
    "labels": [("org.opencontainers.image.licenses", "BSD-3-Clause")],
    "pinned": {"by": "the hub", "pinned_at": "2026-11-03T04:12:00+00:00", "why": ", when the registry first answered"},
}
UPDATE = {
    "revision": 6,
    "image": "quay.io/jupyter/scipy-notebook:2026-11-02",
    "digest": DIGEST,
    "since": "3 h ago",
    "since_at": "2026-11-24T06:10:00+00:00",
    "stored": False,
    "rows": [
        {"name": "Digest", "old": DIGEST[:19], "new": DIGEST[:19], "code": True},
        {"name": "Built", "old": "2 November 2026, 04:12 UTC", "new": "unknown", "code": False},
    ],
    "accept": RUNNING["url"] + "/revision",
    "dismiss": RUNNING["url"] + "/dismissal",
}
COMMITS = [
    {
        "short": "9e14b7c2",
        "title": "Pin <u>xarray</u>",
        "author": "mhuber",
        "url": "https://gitlab.example.org/c/9",
        "when": "2 h ago",
        "when_at": "2026-11-24T07:42:00+00:00",
    },
    {"short": "a1f03c9d", "title": "CUDA 12.6", "author": "kmueller", "url": "", "when": "", "when_at": None},
]
BUILT_FROM = {
    "repository": "astro/lab/spectra",
    "repository_url": "https://gitlab.example.org/astro/lab/spectra",
    "branch": "feature/größe",
    "branch_url": "https://gitlab.example.org/astro/lab/spectra/-/tree/feature/gr",
    "commit": "5c77d2e0",
    "commit_url": "https://gitlab.example.org/astro/lab/spectra/-/commit/5c77d2e0",
    "pipeline": 77,
    "pipeline_url": "https://gitlab.example.org/astro/lab/spectra/-/pipelines/77",
    "ci": {"icon": "fa-circle-check", "text": "CI passed"},
    "newest": {
        "title": "CI failed for the newest commit.",
        "link": "Read why in GitLab",
        "url": "https://gitlab.example.org/j",
    },
}
DIFFERENCE = {
    "title": "1 added, 1 removed, 0 changed",
    "rows": [
        {"icon": "fa-plus", "what": "added", "name": "zarr", "old": None, "new": "3.2.1"},
        {"icon": "fa-minus", "what": "removed", "name": "pytables", "old": "3.10.2", "new": None},
    ],
}
INSTALLED = {
    "note": "from the image's own list (SBOM), 3 h ago",
    "complete": False,
    "interpreters": [("Python", "3.13.9"), ("CUDA", "12.6")],
    "find": "num",
    "kind": "python",
    "kinds": [
        {"text": "all 1043", "url": RUNNING["url"] + "?find=num#installed", "current": False},
        {"text": "Python 214", "url": RUNNING["url"] + "?find=num&kind=python#installed", "current": True},
    ],
    "rows": [{"name": "numpy", "version": "2.4.1", "kind": "Python"}],
    "count": "1 of 2 shown",
    "none": False,
    "more": 7,
    "all": RUNNING["url"] + "?all=1#installed",
    "action": RUNNING["url"],
    "bill": RUNNING["url"] + "/packages.cdx.json",
}


def row(number: int, shown: dict[str, Any] | None, **changed: Any) -> dict[str, Any]:
    """Give a row of the list of projects."""
    return {
        "id": f"p{number}",
        "title": f"Project {number}, Überflutungsrisiko am Oberrhein",
        "page": PROJECT,
        "path": "alice/alpine-precipitation",
        "description": "Age models for 96 records.",
        "sessions": "5 sessions",
        "role": "editor",
        "archived": number == 90,
        "session": shown,
        "new_url": PROJECT + "/-/sessions/new",
    } | changed


def session_page(shown: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Give the values of a session's page."""
    return page_values(
        "renku_session.html",
        {
            "project": ABOUT_PROJECT,
            "s": shown,
            "log": ["08:10:04 git: analysis: already there", "08:10:22 <Kernel> started"],
            "log_note": "The last 200 lines",
            "facts": [fact("Opens at", "/lab", code=True), fact("Port", "8888")],
            "about": ABOUT_IMAGE,
            "installed": INSTALLED,
            "configuration": CONFIGURATION,
            "launches": LAUNCHES,
            "revisions": REVISIONS,
            "launch_link": "http://127.0.0.1:8000/hub/renku/launch/alice/alpine-precipitation/-/" + shown["id"],
            "badge": "[![Start in Renku](http://127.0.0.1:8000/hub/renku/static/badge.svg)](http://127.0.0.1:8000/x)",
            "edit_url": shown["url"] + "/edit",
            "remove_url": shown["url"] + "/delete",
            "copy_url": shown["url"] + "/copy",
            "warnings": ["None of the classes of students has 1 GPU: they cannot start it."],
            "back": "session",
            "events_url": EVENTS,
            "refresh": shown["status"] == "launching",
        }
        | changed,
    )


def project_page(**changed: Any) -> dict[str, Any]:
    """Give the values of a project's page."""
    return page_values(
        "renku_project.html",
        {
            "project": ABOUT_PROJECT,
            "default": RUNNING,
            "sessions": SESSIONS,
            "search": "",
            "keywords": [{"word": "python", "url": PROJECT + "?search=python", "current": False}],
            "next": PROJECT + "?after=abc",
            "count": "10 sessions",
            "share": "2 of 3 running",
            "add_url": PROJECT + "/-/sessions",
            "repositories": REPOSITORIES,
            "storages": STORAGES,
            "members": [{"role": "owner", "names": "alice"}, {"role": "editor", "names": "bob"}],
            "events_url": EVENTS,
            "refresh": True,
        }
        | changed,
    )


def page_values(template: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return *values* with exactly the keys that the view models of *template* and the frame of pages have."""
    return {key: value for key, value in values.items() if key in FRAME} | complete_page(template, values)


PROJECTS = {
    "going": {"text": "Your data in 1 session will be deleted on 20 January 2027.", "url": BASE + "renku/sessions"},
    "rows": [row(i, s) for i, s in enumerate(SESSIONS)] + [row(90, None), row(91, None, new_url=None)],
    "search": "",
    "count": "43 projects",
    "next": BASE + "renku/projects?after=abc",
    "new_url": BASE + "renku/projects/new",
    "away": None,
    "gitlab": None,
    "back": "projects",
    "events_url": EVENTS,
}
PROJECTS_IN_GITLAB = PROJECTS | {
    "new_url": None,
    "away": "You see your projects as they were at 09:42 UTC.",
    "gitlab": "https://gitlab.example.org",
}
NEW_PROJECT = {
    "action": BASE + "renku/projects",
    "namespaces": ["alice"],
    "values": {"title": "", "slug": "", "description": "", "visibility": "private", "repositories": ""},
    "visibilities": VISIBILITIES,
    "errors": {},
    "cancel": BASE + "renku/projects",
    "share": None,
    "path_rule": "Letters.",
}
SETTINGS = {
    "project": ABOUT_PROJECT,
    "version": 7,
    "confirms_member": False,
    "general": {
        "action": PROJECT + "/-/settings",
        "namespace": "alice",
        "path_rule": "Letters.",
        "values": {"title": "Alpine", "slug": "alpine", "description": "", "visibility": "private"},
    },
    "visibilities": VISIBILITIES,
    "repositories": REPOSITORIES,
    "repositories_action": PROJECT + "/-/repositories",
    "repository_values": {"instead": "", "url": "", "ref": "", "directory": "", "lfs": "", "submodules": ""},
    "storages": STORAGES,
    "storage_new": PROJECT + "/-/storages/new",
    "members": [
        {"name": "alice", "role": "owner", "remove": None, "change": None},
        {
            "name": "bob",
            "role": "editor",
            "remove": PROJECT + "/-/members/bob/delete",
            "change": PROJECT + "/-/members",
        },
    ],
    "members_action": PROJECT + "/-/members",
    "member_values": {"username": "", "role": "viewer"},
    "roles": ["viewer", "editor", "owner"],
    "leave": PROJECT + "/-/members/alice/delete",
    "delete_url": PROJECT + "/-/delete",
    "errors": {},
}
TABS = [
    {"text": "Ready-made", "icon": "fa-box-open", "url": PROJECT + "/-/sessions/new", "current": True},
    {"text": "Your own image", "icon": "fa-cube", "url": PROJECT + "/-/sessions/new?kind=external", "current": False},
]
NEW_SESSION = {
    "tabs": TABS,
    "project": ABOUT_PROJECT,
    "action": PROJECT + "/-/sessions",
    "cancel": PROJECT,
    "keywords": KEYWORDS,
    "environments": [environment(checked=True), environment(id="e2", name="Minimal", here=True, digest=None)],
    "form": FORM,
    "errors": {},
    "default_choice": True,
}
VERDICT = {
    "title": "This image can be used, with 1 problem",
    "style": "running",
    "good": True,
    "text": "",
    "image": "quay.io/pangeo/pytorch-notebook:2026.10.14",
    "digest": DIGEST,
    "steps": [{"good": True, "text": "Found and public"}, {"good": False, "text": "User root"}],
    "hints": [{"is_problem": True, "title": "Runs as root", "text": "The image runs as root by default."}],
    "facts": ABOUT_IMAGE["facts"],
}
OWN_IMAGE = {
    "values": FORM["values"]
    | dict.fromkeys(
        ("image", "name", "port", "default_url", "working_directory", "uid", "gid", "command", "image_user"), ""
    ),
    "verdict": None,
    "suggested": {
        "port": 8888,
        "default_url": "/lab",
        "working_directory": "/work",
        "uid": 1000,
        "gid": 100,
        "command": "",
        "from_image": True,
    },
    "platforms": ("linux/amd64",),
    "allowed": ["quay.io", "ghcr.io"],
    "kept": None,
}
REFUSED = VERDICT | {
    "title": "This image cannot be used here: it is built for linux/arm64 only",
    "style": "failed",
    "good": False,
    "text": "The image has no variant for this cluster's machines.",
    "digest": None,
    "facts": [],
}
NEW_IMAGE = {
    key: NEW_SESSION[key] for key in ("tabs", "project", "action", "cancel", "form", "errors", "default_choice")
} | {"own": OWN_IMAGE}
BUILT = {
    "repositories": [{"name": "analysis", "selected": True}, {"name": "verification", "selected": False}],
    "repository": "analysis",
    "problem": "",
    "branches": [
        {"name": "main", "selected": True, "about": "image of a1f03c9d, 7 days ago"},
        {"name": "feature/größer<u>", "selected": False, "about": "no image lately"},
    ],
    "branch": "main",
    "suggested": {
        **dict.fromkeys(("port", "default_url", "working_directory", "uid", "gid", "command"), ""),
        "from_image": True,
    },
    "commits": [
        {
            "sha": "9" * 40,
            "short": "9" * 8,
            "title": "Pin <u>xarray</u>",
            "author": "mhuber",
            "when": "2 h ago",
            "when_at": "2026-11-24T07:42:00+00:00",
            "url": "https://gitlab.example.org/a/b/-/commit/9",
            "ci": {"icon": "fa-circle-notch", "text": "CI is at work", "url": "https://gitlab.example.org/p/1"},
            "images": [],
        },
        {
            "sha": "a" * 40,
            "short": "a" * 8,
            "title": "CUDA 12.6",
            "author": "mhuber",
            "when": "7 days ago",
            "when_at": "2026-11-17T07:42:00+00:00",
            "url": "https://gitlab.example.org/a/b/-/commit/a",
            "ci": {"icon": "fa-circle-check", "text": "CI passed", "url": "https://gitlab.example.org/p/2"},
            "images": [
                {"reference": "registry.example.org/a/b:aaaaaaaa", "checked": True},
                {"reference": "registry.example.org/a/b/gpu:aaaaaaaa", "checked": False},
            ],
        },
    ],
    "notice": {
        "title": "CI failed for the newest commit.",
        "text": "Sessions go on with the image that they have.",
        "link": "Read why in GitLab",
        "url": "https://gitlab.example.org/a/b/-/jobs/1",
    },
    "older": PROJECT + "/-/sessions/new?kind=repository&after=20",
    "new_url": PROJECT + "/-/sessions/new",
    "none_yet": False,
}
NEW_BUILT = {key: value for key, value in NEW_IMAGE.items() if key != "own"} | {
    "form": FORM | {"values": OWN_IMAGE["values"]},
    "built": BUILT,
}
ONE_SESSION = {"title": RUNNING["title"], "page": RUNNING["page"], "default": True}
KEEP_AWAKE: dict[str, Any] = {
    "title": "Explore the ensemble",
    "runs": True,
    "pauses_at": "2026-11-24T12:40:00+00:00",
    "because": "nothing has happened for 50 min",
    "awake_at": "2026-11-24T12:30:00+00:00",
    "choices": [{"value": 3600, "text": "1 h"}],
    "most": "7 days",
    "action": BASE + "renku/sessions/s1/keep-awake",
    "errors": {},
}
DELETE_DATA = {
    "session": {
        "title": PAUSED["title"],
        "page": PAUSED["page"],
        "resume": PAUSED["resume_url"],
        "launch_version": "a1b2c3d4e5f",
        "download": PAUSED["page"],
    },
    "size": "2.3 GiB",
    "as_of": "as it was when paused, 21 November, 16:02",
    "running": False,
    "unsaved": [
        {
            "name": "analysis",
            "code": True,
            "lost": True,
            "state": "would be lost",
            "changed": 4,
            "unpushed": 2,
            "branch": "main",
        },
        {
            "name": "other files",
            "code": False,
            "lost": False,
            "state": "none",
            "changed": 0,
            "unpushed": None,
            "branch": None,
        },
    ],
    "unsaved_note": None,
    "again": False,
    "action": PAUSED["delete_page"],
    "cancel": BASE + "renku/sessions",
    "values": {"confirm": ""},
    "errors": {},
    "nav": "sessions",
}
LAUNCH = {
    "project": ABOUT_PROJECT,
    "s": INACTIVE | {"classes": CLASSES},
    "configuration": CONFIGURATION,
    "action": BASE + "renku/launch/alice/alpine-precipitation/-/t2n6gwz8cfye",
    "path": "lab/tree/analysis/index.ipynb",
    "ignored": ["branch"],
    "changed": "",
    "acts": None,
}
OWN = [each | {"cost": "0.18 CHF a month", "pausable": each["status"] == "running"} for each in SESSIONS]
MINE = {
    "gitlab": None, "kept": KEPT, "rows": OWN,
    "summary": "One runs.", "next": None, "back": "sessions", "nav": "sessions",
    "told": [{"failed": False, "text": "Explore: pausing, its data is kept."}, {"failed": True, "text": "R: no."}],
    "sorts": [{"text": "last use", "url": BASE + "renku/sessions?sort=used", "current": True}],
    "pause_action": BASE + "renku/sessions/pause",
}  # fmt: skip

EDIT = {
    "project": ABOUT_PROJECT,
    "session": ONE_SESSION,
    "action": RUNNING["url"] + "/edit",
    "form": FORM | {"fit": None, "fit_text": "No class has 99 CPU; the largest has 8.", "check_url": None},
    "errors": {},
    "version": 3,
    "others": True,
    "own": None,
}
ENVIRONMENTS = BASE + "renku/environments"
KEYWORDS = [
    {"word": "all", "url": ENVIRONMENTS, "current": True},
    {"word": "python", "url": ENVIRONMENTS + "?keyword=python", "current": False},
]
STATES = [
    {"text": "In use", "icon": "fa-layer-group", "url": ENVIRONMENTS, "current": True},
    {"text": "Archived", "icon": "fa-box-archive", "url": ENVIRONMENTS + "?state=archived", "current": False},
]


def ready_made(name: str, state: str = "active", **changed: Any) -> dict[str, Any]:
    """Give a ready-made environment as its admins see it."""
    page = f"{ENVIRONMENTS}/{name}"
    return {
        "id": name,
        "name": "Jupyter Python, scientific",
        "icon": "fa-box-open",
        "keywords": ["python", "jupyter"],
        "image": "quay.io/jupyter/scipy-notebook:2026-11-02",
        "digest": DIGEST,
        "revision": 9,
        "state": state,
        "state_icon": "fa-circle-check",
        "meaning": "Offered in every project under Ready-made.",
        "message": "",
        "sessions": 212,
        "projects": 40,
        "newest": 152,
        "running": 3,
        "starts": 3604,
        "failed": 8,
        "last_used": "4 min ago",
        "last_used_at": "2026-11-24T09:38:00+00:00",
        "nodes": {"text": "3 of 3 nodes", "failed": 0, "complete": True},
        "page": page,
        "step": {"state": "deprecated", "text": "Deprecate …", "url": page + "/state?to=deprecated"},
        "move_url": page + "/move",
        "down": True,
        "description": "NumPy, pandas, SciPy.",
        "creator": "admin",
        "created_at": "2026-11-02T04:12:00+00:00",
        "version": 3,
        "use": "212 sessions in 40 projects, 152 on the newest revision, 3 running.",
        "copy_url": ENVIRONMENTS + "/new?copy=" + name,
    } | changed


HEIR = {"name": "Jupyter Python, minimal", "page": ENVIRONMENTS + "/minimal"}
RETIRED = ready_made(
    "old", "archived", configured=True, successor=HEIR, message="Python 3.10 is out of support.", step=None,
    archived_at="2026-03-04T10:00:00+00:00", move_url=None, last_used=None, last_used_at=None, digest=None,
    nodes=None,
)  # fmt: skip
READY_MADE = {
    "rows": [ready_made("scipy"), ready_made("draft", "draft", up=True, down=False), RETIRED],
    "filters": STATES,
    "keywords": KEYWORDS,
    "next": ENVIRONMENTS + "?after=x",
    "new_url": ENVIRONMENTS + "/new",
    "filtered": False,
    "prepulled": True,
    "amiss": "There is no DaemonSet <x>.",
    "nav": "environments",
}
NEW_ENVIRONMENT = {
    "environment": None,
    "errors": {},
    "lost": "--x",
    "action": ENVIRONMENTS,
    "cancel": ENVIRONMENTS,
    "version": 0,
    "own": OWN_IMAGE
    | {"values": OWN_IMAGE["values"] | {"keywords": "python, maps", "icon": "map", "renew": "", "state": "draft"}},
    "check_url": ENVIRONMENTS + "/check",
    "icons": [{"value": "", "text": "usual"}, {"value": "map", "text": "map"}],
    "renews": False,
    "nav": "environments",
}
ENVIRONMENT = NEW_ENVIRONMENT | {
    "environment": ready_made("scipy"),
    "lost": "",
    "action": ENVIRONMENTS + "/scipy",
    "version": 3,
    "renews": True,
    "steps": [
        {"state": "active", "text": "Offer", "url": ENVIRONMENTS + "/scipy/state"},
        {"state": "archived", "text": "Archive …", "url": ENVIRONMENTS + "/scipy/state?to=archived"},
    ],
    "facts": [{"name": "Port", "text": "8888", "link": None, "code": True, "built_at": None}],
    "revisions": [
        {
            "revision": number,
            "image": "quay.io/jupyter/scipy-notebook:2026-11-02",
            "digest": DIGEST,
            "created_at": "2026-11-02T04:12:00+00:00",
            "creator": "admin",
            "newest": number == 9,
            "use": ENVIRONMENTS + "/scipy/revision" if number == 8 else None,
        }
        for number in (9, 8)
    ],
    "on": {
        "prepulled": True,
        "amiss": "The cluster does not answer.",
        "nodes": {"text": "1 of 3 nodes", "failed": 1, "complete": False},
        "here": "node-1",
        "coming": "node-2",
        "failed": [{"name": "node-3", "text": "The registry refuses access to <x>."}],
        "more_failed": 2,
    },
}
LIFE = {
    "environment": ready_made("scipy"),
    "to": "deprecated",
    "verb": "Deprecate",
    "effect": "It goes on being offered and started.",
    "action": ENVIRONMENTS + "/scipy/state",
    "version": 3,
    "values": {"successor": "minimal", "message": "Move on."},
    "successors": [{"id": "minimal", "name": "Jupyter Python, minimal", "checked": True}],
    "errors": {},
    "nav": "environments",
}
REPLACEMENT = {
    "project": ABOUT_PROJECT,
    "session": ONE_SESSION,
    "old": {"name": "Scientific", "message": "Python 3.10 is out of support."},
    "new": {"name": "Minimal", "description": "JupyterLab.", "keywords": ["python"]},
    "rows": UPDATE["rows"],
    "others": True,
    "fields": [{"name": "version", "value": "3"}, {"name": "environment", "value": "e2"}],
    "action": RUNNING["url"] + "/environment",
    "difference": None,
    "verdict": None,
    "errors": {},
}
CHOICE = environment() | {"review_url": RUNNING["url"] + "/environment?environment=e1&revision=4"}
INSTEAD = {
    "project": ABOUT_PROJECT,
    "session": ONE_SESSION,
    "action": RUNNING["url"] + "/environment",
    "version": 3,
    "kind": "",
    "tabs": TABS,
    "earlier": [CHOICE | {"name": "Snow <2>", "kind": "repository"}],
    "offered": [CHOICE],
    "own": None,
    "built": None,
    "errors": {},
    "values": build_blank_session_environment_fields(),
}
COPY = {
    "project": ABOUT_PROJECT,
    "session": {"title": RUNNING["title"], "page": RUNNING["page"], "copy": RUNNING["url"] + "/copy", "version": 3},
    "ready_made": True,
    "built": False,
    "environment": "Scientific",
    "left_out": [],
    "targets": [
        {"id": "p1", "title": "Alpine <snow>", "path": "ada/alpine-snow", "here": True},
        {"id": "p2", "title": "Glaciers", "path": "ada/glaciers", "here": False},
    ],
    "search": "",
    "next": None,
    "action": RUNNING["url"] + "/copy",
    "values": {"title": RUNNING["title"], "project": "p1"},
    "errors": {},
}
KEPT = {"revision": 2, "image": "quay.io/pangeo/pytorch-notebook:2026.10.14", "digest": DIGEST}
# page name: (template, values)
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "projects": ("renku_projects.html", PROJECTS),
    "session-image": ("renku_session_new_image.html", NEW_IMAGE),
    "session-image-good": ("renku_session_new_image.html", NEW_IMAGE | {"own": OWN_IMAGE | {"verdict": VERDICT}}),
    "session-image-refused": (
        "renku_session_new_image.html",
        NEW_IMAGE | {"own": OWN_IMAGE | {"verdict": REFUSED}, "errors": {"image": "No <variant>.", "uid": "Not root."}},
    ),
    "session-built": ("renku_session_new_built.html", NEW_BUILT),
    "ci-guide": ("renku_ci_guide.html", {"pattern": "", "protected": False}),
    "projects-gitlab": ("renku_projects.html", PROJECTS_IN_GITLAB),
    "project-new": ("renku_project_new.html", NEW_PROJECT),
    "project-new-wrong": (
        "renku_project_new.html",
        NEW_PROJECT
        | {
            "errors": {"slug": "You have a project x already.", "visibility": "Choose one."},
            "share": "You have created 2 of 20 projects, the limit that an admin has set.",
        },
    ),
    "project": ("renku_project.html", project_page()),
    "project-empty": (
        "renku_project.html",
        project_page(
            sessions=[],
            default=None,
            keywords=[],
            next=None,
            environments=[environment(), environment(id="e2", name="Minimal", digest=None)],
            described=examples_code.OFFERED,
        ),
    ),
    "project-empty-broken": (
        "renku_project.html",
        project_page(sessions=[], default=None, keywords=[], next=None, described=examples_code.BROKEN),
    ),
    **examples_code.pages(ABOUT_PROJECT),
    "project-viewer": (
        "renku_project.html",
        project_page(
            sessions=[],
            default=None,
            add_url=None,
            keywords=[],
            repositories=[],
            next=None,
            project=ABOUT_PROJECT | {"settings_url": None, "new_url": None},
        ),
    ),
    "project-default-blocked": ("renku_project.html", project_page(default=BLOCKED, said="Saved.")),
    "project-gitlab": ("renku_project.html", project_page(project=IN_GITLAB, members=[], default=BLOCKED)),
    "settings": ("renku_settings.html", SETTINGS),
    "storage-new": ("renku_storage.html", STORAGE | {"project": ABOUT_PROJECT, "storage": None}),
    "storage": (
        "renku_storage.html",
        STORAGE
        | {"project": ABOUT_PROJECT, "storage": STORAGES[0], "errors": {"secrets": "These are refused."}}
        | {"action": STORAGES[0]["page"]},
    ),
    "credentials": ("renku_credentials.html", CREDENTIALS | {"project": ABOUT_PROJECT, "session": ONE_SESSION}),
    "settings-repository": (
        "renku_settings.html",
        SETTINGS
        | {
            "repository_values": {
                "instead": "analysis",
                "url": "https://git.example.org/alice/analysis.git",
                "ref": "main",
                "directory": "analysis",
                "lfs": "yes",
                "submodules": "",
            }
        },
    ),
    "settings-wrong": ("renku_settings.html", SETTINGS | {"errors": {"url": "No such address.", "username": "None."}}),
    "project-remove": (
        "renku_project_remove.html",
        {
            "project": ABOUT_PROJECT,
            "others": True,
            "action": PROJECT + "/-/delete",
            "values": {"confirm": ""},
            "errors": {"confirm": "No."},
        },
    ),
    "session-new": ("renku_session_new.html", NEW_SESSION),
    "session-new-wrong": (
        "renku_session_new.html",
        NEW_SESSION
        | {
            "errors": {
                "environment": "Choose one.",
                "cpu": "At most 8.",
                "variables": "Not RENKU_X.",
                "repositories": "Unknown.",
                "form": "That did not work.",
            }
        },
    ),
    "session-edit": ("renku_session_edit.html", EDIT),
    "environments": ("renku_environments.html", READY_MADE),
    "environment-new": (
        "renku_environment.html",
        NEW_ENVIRONMENT | {"own": NEW_ENVIRONMENT["own"] | {"kept": None}, "errors": {"state": "No."}},
    ),
    "environment": (
        "renku_environment.html",
        ENVIRONMENT
        | {
            "own": NEW_ENVIRONMENT["own"] | {"kept": KEPT, "verdict": VERDICT},
            "errors": {"image": "There is no such tag.", "icon": "No."},
        },
    ),
    "environment-configured": (
        "renku_environment.html",
        ENVIRONMENT | {"environment": RETIRED, "errors": {"form": "It says so itself."}},
    ),
    "session-copy": ("renku_session_copy.html", COPY),
    "session-copy-wrong": (
        "renku_session_copy.html",
        COPY | {"left_out": ["API_TOKEN"], "errors": {"project": "Please choose a project.", "title": "Taken."}},
    ),
    "session-replacement": ("renku_session_replacement.html", REPLACEMENT),
    "session-replacement-image": (
        "renku_session_replacement.html",
        REPLACEMENT | {"difference": DIFFERENCE, "verdict": VERDICT | {"style": "warning"}},
    ),
    "session-environment": ("renku_session_environment.html", INSTEAD),
    "session-environment-wrong": (
        "renku_session_environment.html",
        INSTEAD | {"earlier": [], "offered": [], "errors": {"environment": "It is not offered."}},
    ),
    "session-environment-image": (
        "renku_session_environment.html",
        INSTEAD
        | {"kind": "external", "own": OWN_IMAGE, "errors": {"image": "It does not exist.", "port": "A number."}},
    ),
    "session-environment-built": (
        "renku_session_environment.html",
        INSTEAD | {"kind": "repository", "built": BUILT, "errors": {"image": "Please choose a commit."}},
    ),
    "environment-state": ("renku_environment_state.html", LIFE),
    "environment-state-wrong": (
        "renku_environment_state.html",
        LIFE | {"errors": {"successor": "There is no such environment.", "message": "Too long."}},
    ),
    "session-edit-image": (
        "renku_session_edit.html",
        EDIT
        | {"own": OWN_IMAGE | {"kept": KEPT}}
        | {"form": EDIT["form"] | {"check_url": PROJECT + "/-/sessions/k2n6gwz8cfye/check"}},
    ),
    "session": ("renku_session.html", session_page(RUNNING)),
    "session-gitlab": ("renku_session.html", session_page(BLOCKED, project=IN_GITLAB, acts=ACTS)),
    "session-newer": ("renku_session.html", session_page(RUNNING, update=UPDATE, difference=DIFFERENCE)),
    "session-newer-built": (
        "renku_session.html",
        session_page(RUNNING, update=UPDATE, built=BUILT_FROM, commits=COMMITS),
    ),
    "session-starting": ("renku_session.html", session_page(LAUNCHING, steps=STEPS, revisions=REVISIONS[:1])),
    "session-failed": (
        "renku_session.html",
        session_page(FAILED, steps=STEPS, launches=[], log=[], edit_url=None, remove_url=None),
    ),
    "session-remove": (
        "renku_session_remove.html",
        {
            "project": ABOUT_PROJECT,
            "session": ONE_SESSION,
            "others": True,
            "action": RUNNING["url"] + "/delete",
            "successors": [
                {"id": "a", "title": "Oldest", "checked": True},
                {"id": "b", "title": "Newer", "checked": False},
            ],
            "values": {"confirm": ""},
            "errors": {"confirm": "The title does not match."},
        },
    ),
    "my-sessions": ("renku_sessions.html", MINE | {"events_url": EVENTS}),
    "my-sessions-lost": (
        "renku_sessions.html",
        MINE
        | {
            "rows": [PAUSED | {"page": None, "project_page": None, "resume_url": None, "cost": None, "pausable": False}]
        },
    ),
    "delete-data": ("renku_delete_data.html", DELETE_DATA),
    "keep-awake": ("renku_keep_awake.html", KEEP_AWAKE),
    "keep-awake-wrong": ("renku_keep_awake.html", KEEP_AWAKE | {"errors": {"awake": "Choose for how long."}}),
    "launch": ("renku_launch.html", LAUNCH),
    "launch-running": ("renku_launch.html", LAUNCH | {"s": RUNNING, "path": None, "ignored": []}),
    "launch-gitlab": ("renku_launch.html", LAUNCH | {"project": IN_GITLAB, "s": BLOCKED, "acts": ACTS}),
    "launch-changed": ("renku_launch.html", LAUNCH | {"changed": "This session changed: image."}),
    "launch-other": ("renku_launch.html", LAUNCH | {"s": TWIN}),
    "launch-starting": ("renku_launch.html", LAUNCH | {"s": LAUNCHING}),
    "not-found": (
        "renku_error.html",
        {
            "status": 404,
            "title": "Not found",
            "message": "There is no such page, or you may not see it.",
            "links": [{"text": "My projects", "url": BASE + "renku/projects"}],
        },
    ),
    "unverified": (
        "renku_error.html",
        {
            "status": 503,
            "title": "Not now",
            "message": "We cannot check your access because GitLab does not answer.",
            "links": [{"text": "Back", "url": PROJECT}],
            "again": {
                "action": RUNNING["url"] + "/start",
                "fields": [("resource_class", "a <b>"), ("version", "a1b2c3d4e5f")],
                "label": "Try again",
                "instead": False,
            },
        },
    ),
    "changed": (
        "renku_error.html",
        {
            "status": 409,
            "title": "Conflict",
            "message": "This session changed since you opened the page: image. Nothing was started.",
            "links": [{"text": "Back", "url": PROJECT}],
            "again": {
                "action": RUNNING["url"] + "/start",
                "fields": [("back", "project"), ("version", "e5d4c3b2a1f")],
                "label": "Start anyway",
                "instead": True,
            },
        },
    ),
    "limit": (
        "renku_error.html",
        {
            "status": 409,
            "title": "Conflict",
            "message": "You run 2 of 2 sessions, the limit that an admin has set. Pause one first.",
            "links": [{"text": "Back", "url": PROJECT}],
            "in_the_way": {"said": "2 of 2 running", "rows": IN_THE_WAY, "then": RUNNING["id"]},
        },
    ),
    "no-room": ("renku_session.html", session_page(NO_ROOM, steps=[], launches=[], log=[])),
    **examples_admin.PAGES,
}
PAGES = {name: (template, page_values(template, values)) for name, (template, values) in PAGES.items()}
