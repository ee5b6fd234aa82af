"""What our templates add to Jinja: image references that wrap well, moments in words, no indentation."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from jinja2 import Environment, pass_environment
from jinja2.ext import Extension
from markupsafe import Markup, escape

_WBR = Markup("<wbr>")
_INDENTATION = re.compile(r"\n[ \t]+")
_SHOWN = ("id", "page", "title", "default", "description", "needs", "mounts", "added_by", "added_at")
_SHOWN_ABOUT = ("name", "kind", "description", "image", "digest", "creator", "created_at")
_OWN, _ABOUT = itemgetter(*_SHOWN), itemgetter(*_SHOWN_ABOUT)


class RenkuFilters(Extension):
    """Adds `breakable`, `repository` and `moment` to the environments of the hub, and renders our templates lean."""

    def __init__(self, environment: Environment) -> None:
        """Register the filters with *environment*."""
        super().__init__(environment)
        environment.filters.update(breakable=breakable, repository=repository, moment=moment, session_body=session_body)

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Take the indentation out of our templates, a tenth of a page; the numbers of the lines stay."""
        return _INDENTATION.sub("\n", source) if "renku_" in (name or "") else source


@lru_cache(maxsize=1024)
def breakable(reference: str) -> Markup:
    """Show an image reference or an address so that it wraps after each `/`, before the port and before the tag.

    The tag stands in a span without a class, which the stylesheet keeps whole where it fits. Everything is escaped.
    """
    name, tag = _split(reference)
    head, slash, path = name.partition("/")
    host, colon, port = head.rpartition(":") if slash and head.rpartition(":")[2].isdigit() else (head, "", "")
    shown = escape(host) + _WBR + ":" + escape(port) if colon else escape(head)
    if slash:
        shown += Markup("/<wbr>") + Markup("/<wbr>").join(path.split("/"))
    return shown + Markup("<wbr><span>{}</span>").format(tag) if tag else shown


@lru_cache(maxsize=1024)
def repository(reference: str) -> str:
    """Give the image reference without its tag and digest."""
    return _split(reference)[0]


@lru_cache(maxsize=1024)
def moment(when: str | datetime) -> str:
    """Say an ISO 8601 time in words, in UTC: `24 November 2026, 08:10 UTC`.

    A time without a zone is taken to be UTC. Raises ValueError for what is no time.
    """
    time = datetime.fromisoformat(when) if isinstance(when, str) else when
    time = time.astimezone(UTC) if time.tzinfo else time
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


@pass_environment
def session_body(environment: Environment, session: Mapping[str, Any]) -> Markup:
    """Write what everybody sees of a session, *session* being a view of it.

    That is half of the work for a page of sessions and seldom changes, so it is kept by all
    the values that it is made from: it can never be out of date.
    """
    about = session["environment"]
    return _session_body(environment, _OWN(session), _ABOUT(about), tuple(about["keywords"]))


@lru_cache(maxsize=2048)
def _session_body(environment: Environment, own: Sequence[Any], about: Sequence[Any], words: Sequence[str]) -> Markup:
    of_environment = {**dict(zip(_SHOWN_ABOUT, about, strict=True)), "keywords": words}
    template = environment.get_template("_renku_session_body.html")
    # The macros know a form's token and way back; what is kept for everybody has neither.
    nobody = {"xsrf_token": "", "back": ""}
    return Markup(template.render(s=dict(zip(_SHOWN, own, strict=True)), environment=of_environment, **nobody))


def _split(reference: str) -> tuple[str, str]:
    """Part *reference* into name and tag (with its colon); a digest is dropped."""
    named = reference.partition("@sha256:")[0]
    last = named.rpartition("/")[2]
    if "://" in named or ":" not in last:
        return named, ""
    tag = ":" + last.partition(":")[2]
    return named.removesuffix(tag), tag
