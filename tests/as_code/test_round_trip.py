"""What is written is read back as it was, whatever it is, and equal documents are equal texts."""

import json
from dataclasses import replace
from string import ascii_letters

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renku_spawner.as_code.model import document
from renku_spawner.as_code.reading import Read, read
from renku_spawner.as_code.writing import as_json, as_yaml, plain
from renku_spawner.domain import text
from renku_spawner.domain.as_code import ALL, Described, DescribedStorage, Document, FromRepository, OwnImage, ReadyMade
from renku_spawner.domain.errors import Invalid
from renku_spawner.domain.running import RunChoice
from renku_spawner.domain.storage import Credentials

# What YAML 1.1, or 1.2, takes for something else than a text.
LOOKALIKES = (
    "yes", "No", "null", "~", "true", "1", "012", "1_000", "1e3", ".5", "2026-11-28", "12:30:45", "=", "<<", "", "- a",
    "a: b", "# a", "'", '"', "|", ">", "&a", "*a", "!a", "%a", "@a", "`", "{}", "[]", "---", "...",
)  # fmt: skip
storable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
values = st.sampled_from(LOOKALIKES) | storable
titles = (st.sampled_from(LOOKALIKES) | storable).filter(lambda said: _clean(text.title, said))
descriptions = (values | st.lists(values, max_size=4).map("\n".join)).filter(
    lambda said: _clean(text.description, said)
)
names = st.text(ascii_letters, min_size=1, max_size=8) | st.sampled_from(("Y", "no", "NULL", "on"))
digests = st.none() | st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")
maybe = st.none() | values
runs = st.builds(
    RunChoice,
    default_url=maybe,
    port=st.none() | st.integers(-5, 70_000),
    command=st.none() | st.lists(values, max_size=3).map(tuple),
    uid=st.none() | st.integers(0, 5000),
    image_user=st.none() | st.booleans(),
)
environments = (
    st.builds(ReadyMade, name=values, digest=digests)
    | st.builds(OwnImage, image=values, digest=digests, name=maybe, run=runs)
    | st.builds(FromRepository, directory=values, branch=maybe, image=maybe, digest=digests, name=maybe, run=runs)
)
sessions = st.builds(
    Described,
    title=titles,
    was=st.none() | titles,
    description=st.none() | descriptions,
    environment=environments,
    cpu=maybe,
    memory=maybe,
    gpu=st.none() | st.integers(-1, 99),
    disk=maybe,
    repositories=st.none() | st.just(ALL) | st.lists(values, max_size=3).map(tuple),
    storages=st.none() | st.just(ALL) | st.lists(values, max_size=3).map(tuple),
    variables=st.none() | st.dictionaries(names, values, max_size=3),
)


storages = st.builds(
    DescribedStorage,
    directory=values,
    kind=values,
    settings=st.dictionaries(names, values, max_size=2),
    path=values,
    credentials=st.sampled_from(Credentials),
    read_only=st.booleans(),
)


def _clean(rule, said: str) -> bool:
    try:
        return rule(said) == said
    except Invalid:
        return False


@st.composite
def documents(draw: st.DrawFn) -> Document:
    found = draw(st.lists(sessions, max_size=3, unique_by=lambda each: text.folded(each.title)))
    if found and draw(st.booleans()):
        found[0] = replace(found[0], default=True)
    kept = draw(st.lists(storages, max_size=2, unique_by=lambda each: each.directory.casefold()))
    return Document(sessions=tuple(found), storages=tuple(kept), project=draw(maybe))


@given(documents())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_as_it_was(one: Document) -> None:
    assert document(read(as_yaml(one).encode())) == one
    assert document(Read(json.loads(as_json(one)))) == one
    assert as_yaml(document(read(as_yaml(one).encode()))) == as_yaml(one)


def test_a_file_reads_well_and_has_its_keys_in_one_order() -> None:
    image = OwnImage(image="quay.io/a/b:1", run=RunChoice(port=8888, command=("jupyter", "lab")))
    one = Described(
        title="Analysis", description="First.\n\nSecond.", environment=ReadyMade(name="python"), default=True, cpu="2",
        variables={"B": "yes", "A": "1"},
    )  # fmt: skip
    said = Document(sessions=(one, Described(title="Other", environment=image)), left_out={"Other": ("TOKEN",)})
    head, _, body = as_yaml(said).partition("version")
    assert (
        "version" + body
        == """\
version: 1
sessions:
- title: Analysis
  default: true
  description: |-
    First.

    Second.
  environment:
    ready_made: python
  configuration:
    cpu: '2'
    variables:
      A: '1'
      B: 'yes'
- title: Other
  environment:
    image: quay.io/a/b:1
    run:
      port: 8888
      command:
      - jupyter
      - lab
"""
    )
    assert "TOKEN of session 2" in head
    assert all(line.startswith("#") for line in head.splitlines())
    assert plain(said)["version"] == 1
