"""What pages show of the packages of an image, and of what differs in a newer one."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.software import Changes, Kind, Origin, Package, Software, search
from ..services.installed import Installed
from . import words
from .urls import query
from .views_frame import Frame, View

_MOST = 200  # packages on a page, unless somebody asks for all
_ORIGINS = {
    Origin.SBOM: "from the image's own list (SBOM)",
    Origin.PROBE: "looked up by an admin",
    Origin.IMAGE: "reported by the image when a session of it started",
    Origin.HUB: "of this hub's own Python, in which sessions run here",
}
_KINDS = {Kind.PYTHON: "Python", Kind.CONDA: "conda", Kind.R: "R", Kind.DEBIAN: "Debian", Kind.OTHER: "other"}


def packages(found: Software | None, page: str, *, find: str, kind: str, everything: bool, frame: Frame) -> View | None:
    """The section *What is installed*; None while nobody has looked."""
    if found is None:
        return None
    chosen = [one for one in search(found, find) if not kind or one.kind == kind]
    rows = chosen if everything else chosen[:_MOST]
    rest = query(page, find=find, kind=kind, all="1")
    return {
        "note": f"{_ORIGINS[found.origin]}, {words.ago(found.found_at, frame.now)}",
        "complete": found.complete,
        "interpreters": [*found.interpreters.items(), *([("CUDA", found.cuda)] if found.cuda else [])],
        "find": find,
        "kind": kind,
        "kinds": _kinds(found, page, find, kind),
        "rows": [_row(one) for one in rows],
        "count": f"{len(rows)} of {len(chosen)} shown" if len(rows) < len(chosen) else "",
        "none": not chosen,
        "more": found.more,
        "all": f"{rest}#installed" if len(rows) < len(chosen) else None,
        "action": page,
        "bill": f"{page}/packages.cdx.json",
    }


def _kinds(found: Software, page: str, find: str, kind: str) -> list[View]:
    counted = [(each, len(found.of_kind(each))) for each in Kind]
    every = {
        "text": f"all {len(found.packages)}",
        "url": f"{query(page, find=find)}#installed",
        "current": not kind,
    }
    links = [
        {
            "text": f"{_KINDS[each]} {count}",
            "url": f"{query(page, find=find, kind=each)}#installed",
            "current": kind == each,
        }
        for each, count in counted
        if count
    ]
    return [every, *links] if len(links) > 1 else []


def _row(one: Package) -> View:
    return {"name": one.name, "version": one.version, "kind": _KINDS[one.kind]}


def difference(installed: Installed) -> View | None:
    """What a newer image adds, removes and changes; None while one of the two is unknown."""
    found = installed.changes
    if found is None:
        return None
    return {
        "title": _counted(found),
        "rows": [*_added(found.added), *_removed(found.removed), *_changed(found)][:_MOST],
    }


def _counted(found: Changes) -> str:
    if not found:
        return "The packages are the same"
    return f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed"


def _added(found: Sequence[Package]) -> list[View]:
    return [{"icon": "fa-plus", "what": "added", "name": p.name, "old": None, "new": p.version} for p in found]


def _removed(found: Sequence[Package]) -> list[View]:
    return [{"icon": "fa-minus", "what": "removed", "name": p.name, "old": p.version, "new": None} for p in found]


def _changed(found: Changes) -> list[View]:
    return [
        {"icon": "fa-arrow-right", "what": "changed", "name": c.name, "old": c.old, "new": c.new} for c in found.changed
    ]
