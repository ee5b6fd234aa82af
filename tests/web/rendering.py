"""Renders templates as the hub does, and reads the result."""

from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jupyterhub._data
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader

from tests.web.examples import BASE, FRAME

TEMPLATES = Path(__file__).parents[2] / "templates"
HUB_TEMPLATES = Path(jupyterhub._data.DATA_FILES_PATH) / "templates"
HOSTILE = "\"><img src=x onerror=alert(1)><script>alert('2')</script>"
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "path", "circle"}


def hub_environment(undefined: Any = None) -> Environment:
    """Build the environment that JupyterHub 6.1 makes for synchronous rendering, with our extension."""
    return Environment(
        loader=ChoiceLoader(
            [
                PrefixLoader({"templates": FileSystemLoader([HUB_TEMPLATES])}, "/"),
                FileSystemLoader([TEMPLATES, HUB_TEMPLATES]),
            ]
        ),
        autoescape=True,
        extensions=["renku_spawner.web.filters.RenkuFilters"],
        **({"undefined": undefined} if undefined else {}),
    )


ENVIRONMENT = hub_environment()


def hub_values(base_url: str = BASE) -> dict[str, Any]:
    """Give what the hub's handlers add to each template."""
    return {
        "base_url": base_url,
        "prefix": "/",
        "user": SimpleNamespace(name="alice", json_escaped_name="alice"),
        "login_url": base_url + "login",
        "logout_url": base_url + "logout",
        "static_url": lambda path, include_version=True: f"{base_url}static/{path}",
        "version_hash": "",
        "services": [],
        "parsed_scopes": {"admin-ui": True},
        "xsrf_token": "2|0123456789abcdef:0123456789abcdef0123456789abcdef0123456789abcdef",
        "xsrf": "2|0123456789abcdef:0123456789abcdef0123456789abcdef0123456789abcdef",
        "no_spawner_check": True,
        "renku_plain_servers": False,
    }


def render(template: str, values: dict[str, Any], base_url: str = BASE) -> str:
    """Render *template* with *values* in the hub's frame."""
    return ENVIRONMENT.get_template(template).render(hub_values(base_url) | FRAME | values)


def ours(page: str) -> str:
    """Give the part of *page* that is ours: the main element."""
    return page[page.index("<main") : page.index("</main>")]


class Page(HTMLParser):
    """Elements of a page, each as its tag, attributes and the tags it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.forms: list[list[dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "form":
            if "form" in self.stack:
                self.faults.append("a form in a form")
            self.forms.append([dict(attrs)])
        elif "form" in self.stack and tag in ("input", "select", "textarea", "button"):
            self.forms[-1].append(dict(attrs) | {"tag": tag})
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.stack or self.stack[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.stack[-1:]}")
        else:
            self.stack.pop()

    def all(self, attribute: str) -> list[str]:
        """Give each value of *attribute* on the page."""
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]
