"""Jinja extension for the templates: filters for image references and times, and removal of indentation."""

import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, pass_context, pass_environment
from jinja2.ext import Extension
from jinja2.runtime import Context
from markupsafe import Markup, escape

_WORD_BREAK = Markup("<wbr>")
_INDENTATION_PATTERN = re.compile(r"\n[ \t]+")
_HOME_ENTRY_PATTERN = re.compile(r'<li class="nav-item">\s*<a class="nav-link" href="[^"]*/home">Home</a>\s*</li>')
_EMPTY_LINES_PATTERN = re.compile(r"\n{2,}")
_SESSION_BODY_FIELDS = ("id", "page", "title", "default", "description", "needs", "mounts", "added_by", "added_at")
_ENVIRONMENT_FIELDS = ("name", "kind", "description", "image", "digest", "creator", "created_at", "keywords")
# Cached fragments contain these random texts in place of the hidden fields of a form; no title contains them by chance.
_XSRF_MARK, _BACK_MARK = secrets.token_hex(16), secrets.token_hex(16)
_encode_values = json.JSONEncoder(separators=(",", ":")).encode


class RenkuFilters(Extension):
    """Add our filters to the hub's Jinja environments, and remove the indentation of our templates."""

    def __init__(self, environment: Environment) -> None:
        """Register the filters with *environment*."""
        super().__init__(environment)
        environment.filters.update(
            breakable=add_word_breaks,
            repository=strip_image_tag,
            without_home=remove_home_entry,
            moment=format_moment,
            session_card=render_session_card,
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


def remove_home_entry(items: Markup) -> Markup:
    """Remove *Home* from the entries of the hub's navigation bar: where only sessions start, it leads to Projects."""
    return Markup(_HOME_ENTRY_PATTERN.sub("", items, count=1))


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


@pass_context
def render_session_card(context: Context, session: Mapping[str, Any]) -> Markup:
    """Render the card of a session; *session* is its view.

    All users who have not started a session see the same card, apart from the hidden fields of its form.
    """
    card = _render_cached_fragment(context.environment, "_renku_session_card.html", _encode_values(session))
    return Markup(card.replace(_XSRF_MARK, escape(context["xsrf_token"])).replace(_BACK_MARK, escape(context["back"])))


@pass_environment
def render_session_body(environment: Environment, session: Mapping[str, Any]) -> Markup:
    """Render the part of a session's card that does not depend on an instance; *session* is its view."""
    about = session["environment"]
    values = {name: session[name] for name in _SESSION_BODY_FIELDS}
    values["environment"] = {name: about[name] for name in _ENVIRONMENT_FIELDS}
    return _render_cached_fragment(environment, "_renku_session_body.html", _encode_values(values))


@lru_cache(maxsize=2048)
def _render_cached_fragment(environment: Environment, template: str, values: str) -> Markup:
    """Render *template* with `s` from *values*, a JSON object: it is cached by all the values that it is made from."""
    rendered = environment.get_template(template).render(s=json.loads(values), xsrf_token=_XSRF_MARK, back=_BACK_MARK)
    return Markup(_EMPTY_LINES_PATTERN.sub("\n", rendered))


def _split_image_reference(reference: str) -> tuple[str, str]:
    """Split *reference* into name and tag (with its colon); a digest is dropped."""
    named = reference.partition("@sha256:")[0]
    last = named.rpartition("/")[2]
    if "://" in named or ":" not in last:
        return named, ""
    tag = ":" + last.partition(":")[2]
    return named.removesuffix(tag), tag
