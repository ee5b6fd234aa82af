"""Example values for the operator's templates."""

from typing import Any

ADMIN = "/hub/renku/admin"
PROBLEMS = [{"title": "The new settings are refused.", "text": "cpu: <2000>"}]
TABS = [
    {"text": text, "icon": "fa-server", "url": url, "current": text == "Sessions"}
    for text, url in (("Sessions", ADMIN), ("Leftovers", f"{ADMIN}/orphans"), ("Audit", f"{ADMIN}/audit"))
]
THEN = "2026-11-24T08:10:00+00:00"
NOBODY = {"status": "", "owner": "", "project": "", "reason": ""}
RUNNING = {
    "id": "kq7w2mzt5ahr", "session": "c3vd6yxn4ubf", "owner": "carol", "title": "Explore the ensemble",
    "project": "alice/alpine-precipitation", "status": "running", "why": "", "reason": None, "elapsed": 8040,
    "since_at": THEN, "class_name": "medium", "disk": "10 GiB", "can_pause": True, "trash": None,
}  # fmt: skip
FAILED = RUNNING | {
    "id": "m9h4tqe2xw7z", "status": "failed", "why": "The disk is full.", "reason": "crash_disk_full", "project": None,
    "elapsed": None, "since_at": None, "class_name": None, "can_pause": False, "trash": "27 January 2027",
}  # fmt: skip
ORPHAN = {
    "name": "work-c3vd6yxn4ubf", "owner": "carol", "title": "Explore", "size": "10 GiB", "since": "3 days ago",
    "since_at": THEN, "hindrance": None, "ticked": True,
}  # fmt: skip
CLAIM = {
    "name": "work-c3vd6yxn4ubf", "owner": "carol", "title": "Explore", "project": "alice/climate", "status": "paused",
    "size": "10 GiB", "made": "3 days ago", "made_at": THEN, "used": "2 h ago", "used_at": THEN,
}  # fmt: skip


def kind(value: str, **more: Any) -> dict[str, Any]:
    """Orphans of one kind."""
    rows = [ORPHAN | {"name": f"{value}-1"}, ORPHAN | {"name": f"{value}-2", "hindrance": "Too young.", "since": None}]
    shown = {
        "value": value,
        "title": f"{value} without a record",
        "count": "2 in all",
        "note": "Gone for good.",
        "word": f"{value}s",
    }
    return shown | {"rows": rows, "offered": True, "more": None} | more


ORPHANS: dict[str, Any] = {
    "tabs": TABS, "problems": PROBLEMS,
    "errors": {}, "unknown": None, "warning": "Another hub may have made them.", "none": False,
    "kinds": [kind("pod"), kind("claim", more="7 more come."), kind("run", offered=False), kind("record", rows=[])],
    "action": f"{ADMIN}/orphans",
}  # fmt: skip
NODES: dict[str, Any] = {
    "tabs": TABS, "errors": {}, "unknown": None, "action": f"{ADMIN}/nodes",
    "rows": [
        {"node": "n1", "word": "n1", "sessions": 12, "stopping": 0},
        {"node": "n2", "word": "n2", "sessions": 0, "stopping": 3},
        {"node": "", "word": "all", "sessions": 14, "stopping": 3},
    ],
}  # fmt: skip
CLAIMS: dict[str, Any] = {
    "tabs": TABS, "problems": PROBLEMS,
    "unknown": None, "pods": True, "asked": {"owner": ""}, "count": "2 claims", "size": "20 GiB",
    "action": f"{ADMIN}/claims", "next": f"{ADMIN}/claims?after=x",
    "rows": [CLAIM, CLAIM | {"owner": "", "title": "", "project": None, "status": None, "size": None, "used": None}],
}  # fmt: skip
DAYS = [{"text": f"{n} Nov", "at": f"2026-11-{n:02}", "total": n % 3 + 1} for n in range(24, 0, -1)]
SPREAD = {"median": "4.2 s", "p95": "1 min 3 s"}
EVENT = {
    "when": "2026-11-24 08:10:00", "at": THEN, "actor": "root", "action": "pause for somebody", "owner": "carol",
    "subject": "c3vd6yxn4ubf", "detail": "",
}  # fmt: skip
INSTANCES: dict[str, Any] = {
    "tabs": TABS, "problems": PROBLEMS,
    "rows": [RUNNING, FAILED], "asked": NOBODY, "statuses": ["running", "failed"], "back": "",
    "reasons": ["crash_oom", "evicted"], "action": f"{ADMIN}/pause", "restore": f"{ADMIN}/restore",
    "next": f"{ADMIN}?after=x",
}  # fmt: skip
REASON = {
    "code": "crash_oom", "text": "The session ran out of memory.", "group": "crash", "total": 7,
    "counts": [1, *[0] * 23], "url": f"{ADMIN}?reason=crash_oom",
}  # fmt: skip
FAILURES: dict[str, Any] = {
    "tabs": TABS, "problems": PROBLEMS,
    "days": DAYS, "rows": [REASON, REASON | {"code": "none", "text": "", "group": "", "url": None}],
    "total": 14, "most": 3, "kept": 30,
}  # fmt: skip
STARTS = {
    "id": "e1", "name": "Jupyter Python", "kind": "default", "starts": 3604, "failed": 8, "whole": SPREAD,
    "stages": [SPREAD, None],
}  # fmt: skip
LAUNCHES: dict[str, Any] = {
    "tabs": TABS, "problems": PROBLEMS,
    "stages": ["Queued", "Downloading the image"], "samples": 200, "next": f"{ADMIN}/launches?after=x",
    "rows": [STARTS, STARTS | {"whole": None, "stages": [None, None]}],
}  # fmt: skip
AUDIT: dict[str, Any] = {
    "tabs": TABS, "problems": PROBLEMS,
    "rows": [EVENT, EVENT | {"owner": None, "detail": "status=failed"}], "action": f"{ADMIN}/audit",
    "asked": {"actor": "", "action": ""}, "next": f"{ADMIN}/audit?after=x",
}  # fmt: skip
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "admin": ("renku_admin_instances.html", INSTANCES),
    "admin-nodes": ("renku_admin_nodes.html", NODES),
    "admin-nodes-wrong": ("renku_admin_nodes.html", NODES | {"errors": {"confirm-n1": "Type n1, please."}}),
    "admin-orphans": ("renku_admin_orphans.html", ORPHANS),
    "admin-orphans-wrong": (
        "renku_admin_orphans.html",
        ORPHANS | {"errors": {"confirm-claim": "Type the word.", "names-pod": "Tick one."}},
    ),
    "admin-claims": ("renku_admin_claims.html", CLAIMS),
    "admin-failures": ("renku_admin_failures.html", FAILURES),
    "admin-launches": ("renku_admin_launches.html", LAUNCHES),
    "admin-audit": ("renku_admin_audit.html", AUDIT),
}
