"""What pages show of an image: the verdict of a look at it, its facts, and a newer one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..domain import facts as image_facts
from ..domain import findings, quantity
from ..domain.environment import Revision
from ..domain.facts import ImageFacts
from ..domain.hint import Hint, Severity
from ..domain.image import Image
from ..domain.likely import Likely, likely
from ..domain.sighting import Sighting, Update
from ..domain.verdict import Checked, Verdict
from ..services import images
from ..services.pins import HUB, content_of, reference
from . import words
from .views_frame import Frame, View

_LABELS = {
    "title": "Title",
    "source": "Source",
    "documentation": "Documentation",
    "licenses": "Licence",
    "version": "Version",
}
_LINKED = ("source", "documentation")
_SHOWN_LABELS = 50


def verdict(checked: Checked | None, platforms: Sequence[str], now: datetime) -> View | None:
    """The panel of the check; None before anybody has asked."""
    if checked is None:
        return None
    good = checked.verdict is Verdict.OK
    hints = [h for h in checked.hints if h.code != findings.UNVERIFIED.code]  # the title says that
    return {
        "title": _usable(hints) if good else _BAD[checked.verdict].format(detail=checked.detail),
        "style": {Verdict.OK: "running", Verdict.UNVERIFIED: "paused"}.get(checked.verdict, "failed"),
        "good": good,
        "text": _advice(checked, platforms),
        "image": checked.image.canonical,
        "digest": checked.image.digest,
        "steps": _steps(checked.facts, checked, platforms),
        "hints": [{"severity": str(h.severity), "title": h.title, "text": h.text} for h in hints],
        "facts": [] if checked.facts is None else _found(checked.facts, now),
    }


def _usable(hints: Sequence[Hint]) -> str:
    """Title the panel of a usable image: count what stands below it, in the words that stand there."""
    counts = {severity: sum(hint.severity is severity for hint in hints) for severity in Severity}
    parts = [f"{n} info" if each is Severity.INFO else words.counted(n, each) for each, n in counts.items() if n]
    summary = " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
    return f"This image can be used{f', with {summary}' if summary else ''}"


_BAD = {
    Verdict.NOT_FOUND: "This image cannot be used: it does not exist or is not public",
    Verdict.DENIED: "This image cannot be used: it is not public",
    Verdict.PLATFORM_MISMATCH: "This image cannot be used here: it is built for {detail} only",
    Verdict.DIGEST_GONE: "This image cannot be used: the registry has it no more",
    Verdict.UNVERIFIED: "This image could not be checked now; it can be saved all the same",
    Verdict.NOT_ALLOWED: "This image cannot be used: this hub does not allow it",
}


_ADVICE = {
    Verdict.NOT_FOUND: "Nobody can read {image} without a login. Check the spelling of its name and tag, and that it is"
    " public.",
    Verdict.DENIED: "The registry does not give {image} to everybody. Make it public, or choose another one.",
    Verdict.PLATFORM_MISMATCH: "This hub runs {platforms}. Build the image for that, for example with “docker buildx"
    " build --platform {platforms}”, and check it again.",
    Verdict.DIGEST_GONE: "The registry has had this content of {image}, and has deleted it. Choose a tag, or another"
    " digest.",
    Verdict.UNVERIFIED: "The registry of {image} does not answer. The hub asks again, and pins it as soon as it knows.",
}


def _advice(checked: Checked, platforms: Sequence[str]) -> str:
    """What was asked for, and what helps; empty where all is well."""
    told = checked.detail in (images.NOT_ASKED, images.NOT_RUN)
    said = checked.detail if told else _ADVICE.get(checked.verdict)
    if said is None:
        return images.words(checked)
    return said.format(image=checked.image.canonical, platforms=",".join(platforms))


_FOUND = {"good": True, "text": "Found and public"}


def _steps(found: ImageFacts | None, checked: Checked, platforms: Sequence[str]) -> list[View]:
    """What was looked at, each with how it came out."""
    if found is None:
        wrong = {"good": False, "text": f"Does not run here: only {checked.detail}"}
        return [_FOUND, wrong] if checked.verdict is Verdict.PLATFORM_MISMATCH else []
    runs = [p for p in found.platforms if p in platforms] or ([] if found.platforms else list(platforms))
    also = [p for p in found.platforms if p not in platforms]
    kind = likely(found, checked.image)
    return [
        _FOUND,
        {"good": bool(runs), "text": _platforms(runs, also)},
        {"good": kind is not Likely.NONE, "text": _starts(found, kind)},
        {
            "good": not _is_root(found),
            "text": f"User {found.user or 'root'}{', not root' if not _is_root(found) else ''}",
        },
    ]


def _platforms(runs: Sequence[str], also: Sequence[str]) -> str:
    if not runs:
        return f"Does not run here: only {', '.join(also)}"
    return f"Runs here: {', '.join(runs)}" + (f" (also {', '.join(also)})" if also else "")


def _starts(found: ImageFacts, kind: Likely) -> str:
    ports = f" on port {found.ports[0]}" if found.ports else ""
    command = " ".join([*found.entrypoint, *found.command])[:200] or "nothing by itself"
    return f"{kind.words[0].upper()}{kind.words[1:]}: starts {command}{ports}"


def _is_root(found: ImageFacts) -> bool:
    return found.user.partition(":")[0] in ("", "0", "root")


def _found(found: ImageFacts, now: datetime) -> list[View]:
    said: list[View] = []
    if found.size is not None:
        said.append(fact("Size", f"{quantity.size_of(found.size)} to download"))
    if found.created is not None:
        said.append(fact("Built", words.ago(found.created, now), built_at=words.iso(found.created)))
    if found.platforms:
        said.append(fact("Platforms", ", ".join(found.platforms)))
    return said + [_label(name, found.label(key), key) for key, name in _LABELS.items() if found.label(key)]


def _label(name: str, text: str, key: str) -> View:
    link = text if key in _LINKED and text.startswith("https://") else None
    return fact(name, text, link=link)


def fact(name: str, text: str, **more: object) -> View:
    """A name and a text, which may be a link, code, or about the time `built_at`."""
    return {"name": name, "text": text, "link": None, "code": False, "built_at": None} | more


def about(revision: Revision, now: datetime) -> View:
    """What is known of the image that a session runs."""
    found = image_facts.from_json(revision.facts)
    shown: View = {"facts": [], "labels": [], "likely": None, "pinned": _pinned(revision)}
    if found is None:
        return shown
    image = Image(repository=revision.repository, tag=revision.tag, digest=revision.digest)
    return shown | {
        "facts": _found(found, now),
        "labels": sorted(found.labels.items())[:_SHOWN_LABELS],
        "likely": likely(found, image).words,
    }


def _pinned(revision: Revision) -> View | None:
    """Who pinned it, and when: the hub, where nobody could ask the registry before."""
    if revision.digest is None:
        return None
    why = ", when the registry first answered" if revision.created_by == HUB else ""
    return {"by": revision.created_by, "pinned_at": words.iso(revision.created_at), "why": why}


def update(found: Update | None, pinned: Revision, url: str, frame: Frame, *, writes: bool) -> View | None:
    """The newer image that waits, beside the one that is pinned."""
    if found is None:
        return None
    return {
        "revision": found.revision,
        "image": found.image,
        "digest": found.digest,
        "since": words.ago(found.since, frame.now),
        "since_at": words.iso(found.since),
        "stored": found.stored,
        "rows": [
            _row("Revision", str(pinned.number), str(found.revision)),
            *_commits(found, pinned),
            *_contents(pinned, found),
        ],
        "accept": f"{url}/revision" if writes else None,
        "dismiss": f"{url}/dismissal" if writes and found.digest else None,
    }


def compared(old: Revision, new: Revision) -> list[View]:
    """What differs of two images."""
    return [_row("Image", old.canonical, new.canonical, code=True), *_contents(old, new)]


def _contents(old: Revision, new: Revision | Update) -> list[View]:
    older, newer = image_facts.from_json(old.facts), image_facts.from_json(new.facts)
    return [
        _row("Digest", _short(old.digest), _short(new.digest), code=True),
        _row("Built", _built(older), _built(newer)),
        _row("Size", _size(older), _size(newer)),
    ]


def _commits(found: Update, pinned: Revision) -> list[View]:
    """Of what CI has built: which commits, and how far they are apart."""
    if found.commit is None or pinned.commit is None:
        return []
    return [_row("Commit", pinned.commit[:8], f"{found.commit[:8]} ({words.later(found)})")]


def _row(name: str, old: str, new: str, *, code: bool = False) -> View:
    return {"name": name, "old": old, "new": new, "code": code}


def _short(digest: str | None) -> str:
    return digest[:19] if digest else "not checked yet"


def _built(found: ImageFacts | None) -> str:
    return f"{found.created.day} {found.created:%B %Y, %H:%M} UTC" if found and found.created else "unknown"


def _size(found: ImageFacts | None) -> str:
    return quantity.size_of(found.size) if found and found.size is not None else "unknown"


def revision(each: Revision, pinned: Revision, url: str, seen: Mapping[str, Sighting], *, writes: bool) -> View:
    current, content = each.id == pinned.id, content_of(each)
    sighting = seen.get(reference(content)) if content else None
    gone = sighting is not None and sighting.verdict is Verdict.NOT_FOUND
    verb = "Accept" if each.number > pinned.number else "Roll back to"
    return {
        "revision": each.number,
        "image": each.canonical,
        "digest": each.digest,
        "created_at": words.iso(each.created_at),
        "creator": each.created_by,
        "current": current,
        "gone": gone,
        "verb": verb,
        "use": f"{url}/revision" if writes and not (current or gone or each.superseded_by(pinned)) else None,
    }
