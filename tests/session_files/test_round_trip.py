"""What is written is read back as it was, whatever it is, and equal documents are equal texts."""

import json
from dataclasses import replace
from string import ascii_letters

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renku_spawner.domain.environments import RunOverrides
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.session_files import (
    ALL_DIRECTORIES,
    CiImageSource,
    DescribedSession,
    ManagedEnvironmentSource,
    OwnImageSource,
    ParsedYaml,
    SessionsDocument,
    build_sessions_document,
    parse_yaml,
    render_document_json,
    render_document_yaml,
    to_document_dict,
)
from renku_spawner.domain.storages import DescribedStorage, StorageCredentials
from renku_spawner.domain.text import clean_description, clean_title, fold_title

# What YAML 1.1, or 1.2, takes for something else than a text.
LOOKALIKES = (
    "yes", "No", "null", "~", "true", "1", "012", "1_000", "1e3", ".5", "2026-11-28", "12:30:45", "=", "<<", "", "- a",
    "a: b", "# a", "'", '"', "|", ">", "&a", "*a", "!a", "%a", "@a", "`", "{}", "[]", "---", "...",
)  # fmt: skip
storable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
values = st.sampled_from(LOOKALIKES) | storable
titles = (st.sampled_from(LOOKALIKES) | storable).filter(lambda said: _clean(clean_title, said))
descriptions = (values | st.lists(values, max_size=4).map("\n".join)).filter(
    lambda said: _clean(clean_description, said)
)
names = st.text(ascii_letters, min_size=1, max_size=8) | st.sampled_from(("Y", "no", "NULL", "on"))
digests = st.none() | st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")
maybe = st.none() | values
runs = st.builds(
    RunOverrides,
    default_url=maybe,
    port=st.none() | st.integers(-5, 70_000),
    command=st.none() | st.lists(values, max_size=3).map(tuple),
    uid=st.none() | st.integers(0, 5000),
    image_user=st.none() | st.booleans(),
)
environments = (
    st.builds(ManagedEnvironmentSource, name=values, digest=digests)
    | st.builds(OwnImageSource, image=values, digest=digests, name=maybe, run=runs)
    | st.builds(CiImageSource, directory=values, branch=maybe, image=maybe, digest=digests, name=maybe, run=runs)
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "cpu": values,
        "memory": values,
        "gpu": st.integers(-1, 99),
        "disk": values,
        "repositories": st.just(ALL_DIRECTORIES) | st.lists(values, max_size=3).map(tuple),
        "storages": st.just(ALL_DIRECTORIES) | st.lists(values, max_size=3).map(tuple),
        "variables": st.dictionaries(names, values, max_size=3),
    },
)
sessions = st.builds(
    DescribedSession,
    title=titles,
    was=st.none() | titles,
    description=st.none() | descriptions,
    environment=environments,
    configuration=configurations,
)


storages = st.builds(
    DescribedStorage,
    directory=values,
    kind=values,
    settings=st.dictionaries(names, values, max_size=2),
    path=values,
    credentials=st.sampled_from(StorageCredentials),
    read_only=st.booleans(),
)


def _clean(rule, said: str) -> bool:
    try:
        return rule(said) == said
    except InvalidInputError:
        return False


@st.composite
def documents(draw: st.DrawFn) -> SessionsDocument:
    found = draw(st.lists(sessions, max_size=3, unique_by=lambda each: fold_title(each.title)))
    if found and draw(st.booleans()):
        found[0] = replace(found[0], default=True)
    kept = draw(st.lists(storages, max_size=2, unique_by=lambda each: each.directory.casefold()))
    return SessionsDocument(sessions=tuple(found), storages=tuple(kept), project=draw(maybe))


@given(documents())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_as_it_was(one: SessionsDocument) -> None:
    assert build_sessions_document(parse_yaml(render_document_yaml(one).encode())) == one
    assert build_sessions_document(ParsedYaml(value=json.loads(render_document_json(one)))) == one
    assert render_document_yaml(
        build_sessions_document(parse_yaml(render_document_yaml(one).encode()))
    ) == render_document_yaml(one)


def test_a_file_reads_well_and_has_its_keys_in_one_order() -> None:
    image = OwnImageSource(image="quay.io/a/b:1", run=RunOverrides(port=8888, command=("jupyter", "lab")))
    one = DescribedSession(
        title="Analysis",
        description="First.\n\nSecond.",
        environment=ManagedEnvironmentSource(name="python"),
        default=True,
        configuration={"cpu": "2", "variables": {"B": "yes", "A": "1"}},
    )
    said = SessionsDocument(
        sessions=(one, DescribedSession(title="Other", environment=image)), left_out={"Other": ("TOKEN",)}
    )
    head, _, body = render_document_yaml(said).partition("version")
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
    assert to_document_dict(said)["version"] == 1
