"""Jinja extension for the templates: filters for image references and times, and removal of indentation."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from jinja2 import Environment, pass_environment
from jinja2.ext import Extension
from markupsafe import Markup, escape

_WORD_BREAK = Markup("<wbr>")
_INDENTATION_PATTERN = re.compile(r"\n[ \t]+")
_SESSION_BODY_FIELDS = ("id", "page", "title", "default", "description", "needs", "mounts", "added_by", "added_at")
_SESSION_BODY_ENVIRONMENT_FIELDS = ("name", "kind", "description", "image", "digest", "creator", "created_at")
_get_session_body_values, _get_environment_body_values = (
    itemgetter(*_SESSION_BODY_FIELDS),
    itemgetter(*_SESSION_BODY_ENVIRONMENT_FIELDS),
)


class RenkuFilters(Extension):
    """Add our filters to the hub's Jinja environments, and remove the indentation of our templates."""

    def __init__(self, environment: Environment) -> None:
        """Register the filters with *environment*."""
        super().__init__(environment)
        environment.filters.update(
            breakable=add_word_breaks,
            repository=strip_image_tag,
            moment=format_moment,
            session_body=render_session_body,
        )

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Remove the indentation of our templates, a tenth of a page; line numbers stay."""
        return _INDENTATION_PATTERN.sub("\n", source) if "renku_" in (name or "") else source


@lru_cache(maxsize=1024)
def add_word_breaks(reference: str) -> Markup:
    """Return an image reference or URL that wraps after each `/`, before the port and before the tag.

    The tag is in a span without a class, which the stylesheet keeps whole if it fits. Everything is escaped.
    """
    name, tag = _split_image_reference(reference)
    head, slash, path = name.partition("/")
    host, colon, port = head.rpartition(":") if slash and head.rpartition(":")[2].isdigit() else (head, "", "")
    markup = escape(host) + _WORD_BREAK + ":" + escape(port) if colon else escape(head)
    if slash:
        markup += Markup("/<wbr>") + Markup("/<wbr>").join(path.split("/"))
    return markup + Markup("<wbr><span>{}</span>").format(tag) if tag else markup


@lru_cache(maxsize=1024)
def strip_image_tag(reference: str) -> str:
    """Return the image reference without its tag and digest."""
    return _split_image_reference(reference)[0]


@lru_cache(maxsize=1024)
def format_moment(when: str | datetime) -> str:
    """Format an ISO 8601 time in UTC: `24 November 2026, 08:10 UTC`.

    A time without a zone is taken as UTC. Raises ValueError for an invalid time.
    """
    time = datetime.fromisoformat(when) if isinstance(when, str) else when
    time = time.astimezone(UTC) if time.tzinfo else time
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


@pass_environment
def render_session_body(environment: Environment, session: Mapping[str, Any]) -> Markup:
    """Render the part of a session's card that is the same for all users; *session* is its view.

    It is half of the work for a page of sessions and seldom changes, so it is cached by all
    the values that it is made from: it can never be out of date.
    """
    about = session["environment"]
    return _render_cached_session_body(
        environment, _get_session_body_values(session), _get_environment_body_values(about), tuple(about["keywords"])
    )


@lru_cache(maxsize=2048)
def _render_cached_session_body(
    environment: Environment, own: Sequence[Any], about: Sequence[Any], words: Sequence[str]
) -> Markup:
    of_environment = {**dict(zip(_SESSION_BODY_ENVIRONMENT_FIELDS, about, strict=True)), "keywords": words}
    template = environment.get_template("_renku_session_body.html")
    # The macros expect the XSRF token and return page of a form, which cached markup must not contain.
    no_form = {"xsrf_token": "", "back": ""}
    return Markup(
        template.render(s=dict(zip(_SESSION_BODY_FIELDS, own, strict=True)), environment=of_environment, **no_form)
    )


def _split_image_reference(reference: str) -> tuple[str, str]:
    """Split *reference* into name and tag (with its colon); a digest is dropped."""
    named = reference.partition("@sha256:")[0]
    last = named.rpartition("/")[2]
    if "://" in named or ":" not in last:
        return named, ""
    tag = ":" + last.partition(":")[2]
    return named.removesuffix(tag), tag
