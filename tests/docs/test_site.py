"""The documentation as Sphinx builds it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_documents import DOCUMENTS, ROOT

PAGES = [path.relative_to(ROOT).with_suffix(".html") for path in DOCUMENTS]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, built with warnings as errors: a link that leads nowhere, a page that no list has."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_document_is_a_page_and_in_the_list_beside_it(page: Path, site: Path) -> None:
    index = (site / "docs" / "index.html").read_text()
    assert (site / page).is_file()
    link = page.name if page.parent.name == "docs" else f"../{page.name}"
    assert page.name == "index.html" or f'href="{link}"' in index


def test_the_first_page_leads_to_the_documents(site: Path) -> None:
    assert 'url=docs/index.html"' in (site / "index.html").read_text()


def test_a_reader_needs_no_other_host(site: Path) -> None:
    loaded = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)="(?:https?:)?//[^"]*""")
    assert [found for page in PAGES for found in loaded.findall((site / page).read_text())] == []
