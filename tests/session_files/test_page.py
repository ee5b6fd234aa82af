"""What docs/sessions-as-code.md shows is such a file, by our rules and by the published schema."""

import json

import jsonschema
import pytest
import yaml

from renku_spawner.domain.session_files import build_sessions_document, parse_yaml
from tests.docs import blocks
from tests.docs.blocks import Block

SHOWN = [block for block in blocks.everywhere() if block.language == "yaml" and "sessions-as-code" in block.page]
SCHEMA = json.loads((blocks.ROOT / "docs" / "sessions.schema.json").read_text())


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: f"line-{block.line}")
def test_what_the_page_shows_is_such_a_file(block: Block) -> None:
    build_sessions_document(parse_yaml(block.text.encode()))
    jsonschema.validate(yaml.safe_load(block.text), SCHEMA)


def test_the_schema_refuses_what_we_refuse() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "colour": "red"}, SCHEMA)
