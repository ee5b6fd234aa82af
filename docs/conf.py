"""Sphinx configuration of these pages and of those at the top of the repository; `make docs` builds build/docs.

The repository is Sphinx's source folder, so that links work here and on a forge. Nothing is fetched: there are no
inventories of other projects, and the pages load nothing from other hosts.
"""

import re

from sphinx.application import Sphinx

import renku_spawner

project = "renku-spawner"
author = "The renku-spawner contributors"
version = release = renku_spawner.__version__
language = "en"

extensions = ["myst_parser"]
include_patterns = ["docs/*.md", "docs/decisions/*.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
exclude_patterns = [".*", "build", "dist", "helm", "node_modules", "renku_spawner", "templates", "tests"]
root_doc = "docs/index"
nitpicky = True
myst_heading_anchors = 3
myst_links_external_new_tab = False

html_theme = "jupyterhub_sphinx_theme"
html_title = "renku-spawner"
html_favicon = "../templates/static/badge.svg"  # the theme's own would be loaded from another host
html_show_sourcelink = False
html_copy_source = False
html_permalinks_icon = "#"
html_extra_path = ["site"]  # leads from the top to docs/
templates_path = ["templates"]
html_sidebars = {"**": ["contents.html"]}
html_theme_options = {
    "logo": {"text": "renku-spawner", "image_light": "", "image_dark": ""},  # not JupyterHub's
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
}

_SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
_LISTS = {root_doc, "docs/decisions/index"}  # pages whose lists of links become tables of contents
_PAGE = re.compile(r"^- \[([^\]]+)\]\(([\w./-]+)\.md\)", re.MULTILINE)


def _contents(text: str) -> str:
    """Sphinx's tables of contents from the lists of links that a reader on a forge sees."""
    parts = []
    for caption, links in _SECTION.findall(text):
        pages = "\n".join(f"{title} <{page}>" for title, page in _PAGE.findall(links))
        parts.append(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "".join(parts)


def _read(_app: Sphinx, page: str, source: list[str]) -> None:
    if page in _LISTS:
        source[0] += _contents(source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)
