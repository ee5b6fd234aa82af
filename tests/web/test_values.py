"""Requests as values and values as words: what needs no hub."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.access import Person, Role, Visibility
from renku_spawner.domain.administration import FailureCount
from renku_spawner.domain.configuration_fields import ConfigurationField, FieldKind
from renku_spawner.domain.errors import (
    ConflictError,
    InvalidInputError,
    MalformedInputError,
    NotFoundError,
    UnavailableError,
)
from renku_spawner.domain.idle import PlannedPause
from renku_spawner.domain.image_checks import ImageInspection, ImageWarning, InspectionResult, WarningSeverity
from renku_spawner.domain.images import parse_image_reference
from renku_spawner.domain.instances import DesiredState, Instance, ObservedState
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import NewProject, NewRepository, ProjectChange, ProjectMember
from renku_spawner.domain.resource_classes import ResourceClass
from renku_spawner.domain.session_files import (
    ConfigurationPart,
    ManagedEnvironmentSource,
    SessionsDocument,
    describe_session,
    to_document_dict,
)
from renku_spawner.domain.sessions import (
    CONFIGURATION_FIELDS,
    SessionChange,
    SessionConfiguration,
    build_launch_version,
)
from renku_spawner.domain.storages import StorageCredentials
from renku_spawner.web.administration.views import build_failures_view
from renku_spawner.web.environments.schemas import EnvironmentBody
from renku_spawner.web.errors import to_error_response
from renku_spawner.web.formatting import (
    compute_progress_percent,
    format_count,
    format_elapsed_time,
    format_status_sentence,
    format_time_ago,
    format_typical_duration,
    truncate_at_word,
)
from renku_spawner.web.forms import (
    ConfirmDeletionForm,
    SessionForm,
    build_blank_session_fields,
    build_session_fields,
    parse_variables,
)
from renku_spawner.web.images.views import build_image_check_view
from renku_spawner.web.instances.views import build_idle_view
from renku_spawner.web.page_context import PageContext
from renku_spawner.web.request_parsing import parse_form_fields, parse_json_object, parse_limit, parse_text_parameter
from renku_spawner.web.schemas import (
    ConfigurationBody,
    EmptyBody,
    ProjectBody,
    ProjectChangeBody,
    SessionBody,
    SessionChangeBody,
    validate_model,
)
from renku_spawner.web.sessions.cards import build_brief_session_view
from renku_spawner.web.sessions.schemas import ConfigurationAnswer
from renku_spawner.web.sessions.views import build_class_fit_view
from renku_spawner.web.storages.schemas import StorageBody
from renku_spawner.web.urls import UrlBuilder, parse_inner_path
from tests.domain.values import session

NOW = datetime(2026, 11, 24, 9, 42, tzinfo=UTC)
ID = "abcdefghijkl"
URLS = UrlBuilder(base="/hub/", servers="/user/ada", site="https://hub.test")


class TestReading:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"a": 1, "a": 2}', b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}', b"{", b"[" * 9999,
            b'{"b": {"a": 1, "a": 2}}', b"\xef\xbb\xbf{}", b'{"a":' * 30 + b"1" + b"}" * 30, b"[" + b"9" * 5000 + b"]",
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_malformed(self, body):
        with pytest.raises(MalformedInputError):
            parse_json_object(body)

    @pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
    def test_what_is_no_object_is_invalid(self, body):
        with pytest.raises(InvalidInputError):
            parse_json_object(body)

    def test_no_body_is_an_empty_object(self):
        assert parse_json_object(b"") == {}

    def test_a_field_of_a_form_stands_once_unless_it_may_repeat(self):
        assert parse_form_fields({"a": [b"1"], "b": [b"2", b"3"]}, ["b"]) == {"a": "1", "b": ["2", "3"]}
        with pytest.raises(MalformedInputError):
            parse_form_fields({"a": [b"1", b"2"]})
        with pytest.raises(MalformedInputError):
            parse_form_fields({"a": [b"\xff"]})

    @given(st.binary(max_size=300))
    def test_any_bytes_are_an_object_or_a_refusal(self, body):
        with suppress(MalformedInputError, InvalidInputError):
            assert isinstance(parse_json_object(body), dict)

    @pytest.mark.parametrize(
        "said", [b"0", b"101", b"-1", b"x", b"1e1", "\N{ARABIC-INDIC DIGIT ONE}".encode(), b"9" * 40]
    )
    def test_a_limit_is_a_number_from_1_to_100(self, said):
        with pytest.raises(InvalidInputError):
            parse_limit({"limit": [said]})

    def test_a_search_is_one_short_printable_line(self):
        assert parse_text_parameter({"search": [b"  a\x00b\n c" + b"x" * 999]}, "search").startswith("a b c")
        assert len(parse_text_parameter({"search": [b"x" * 999]}, "search")) == 200


class TestBodies:
    def test_every_field_that_is_wrong_is_named_and_no_value_repeated(self):
        with pytest.raises(InvalidInputError) as refused:
            validate_model(ProjectBody, {"path": 1, "repositories": [{"url": True}], "secret": "canary"})
        assert set(refused.value.fields) == {"path", "title", "repositories.0.url", "secret"}
        assert "canary" not in str(refused.value.fields)

    def test_a_body_becomes_a_value_of_the_domain(self):
        said = {"path": "ada/climate", "title": "Climate", "visibility": "public"}
        repositories = [{"url": "https://example.org/a.git", "ref": "", "lfs": True}]
        new = validate_model(ProjectBody, {**said, "repositories": repositories}).to_value()
        cloned = NewRepository(url="https://example.org/a.git", lfs=True)
        assert new == NewProject(**said | {"visibility": Visibility.PUBLIC}, repositories=(cloned,))
        change = validate_model(ProjectChangeBody, {"version": 3, "members": [{"name": "bob", "role": "editor"}]})
        bob = ProjectMember(name="bob", role=Role.EDITOR)
        assert change.to_value() == ProjectChange(version=3, members=(bob,))
        edit = validate_model(SessionChangeBody, {"version": 2, "title": "Ice", "configuration": {"cpu": "2"}})
        present = SessionConfiguration(variables={"A": "b"})
        expected = SessionChange(version=2, title="Ice", configuration=present.with_values({"cpu": "2"}))
        assert edit.to_session_change(present) == expected

    @pytest.mark.parametrize(
        ("body", "values", "field"),
        [
            (ProjectBody, {"path": "ada/climate", "title": "x" * 40_001}, "title"),
            (ProjectChangeBody, {"version": 2**31}, "version"),
            (ProjectChangeBody, {"version": 1, "default_session": "no id"}, "default_session"),
            (ProjectBody, {"path": "ada/climate", "title": "A", "visibility": "internal"}, "visibility"),
            (StorageBody, {"kind": "s3", "directory": "d", "settings": {"a": 1}}, "settings.a"),
            (StorageBody, {"kind": "s3", "directory": "d", "credentials": "all"}, "credentials"),
            (EnvironmentBody, {"name": "A", "image": "a", "keywords": ["x" * 301]}, "keywords.0"),
        ],
    )
    def test_a_body_has_the_limits_of_the_domain(self, body, values, field):
        with pytest.raises(InvalidInputError) as refused:
            validate_model(body, values)
        assert set(refused.value.fields) == {field}

    def test_no_credential_is_in_the_text_of_a_body(self):
        new = validate_model(StorageBody, {"kind": "s3", "directory": "d", "secrets": {"secret_access_key": "canary"}})
        assert "canary" not in f"{new!r} {new.to_value()!r}"
        assert new.to_value().credentials is StorageCredentials.NONE

    def test_an_overlong_name_of_a_field_is_cut(self):
        with pytest.raises(InvalidInputError) as refused:
            validate_model(EmptyBody, {"x" * 5000: 1})
        assert max(map(len, refused.value.fields)) == 64

    def test_what_is_absent_from_a_changed_configuration_stays(self):
        present = ConfigurationBody(cpu="2", repositories=["a"], variables={"A": "b"}).to_configuration()
        changed = ConfigurationBody(memory="4Gi").to_configuration(present)
        assert (changed.needs.cpu, changed.needs.memory) == ("2", "4Gi")
        assert (changed.repositories, changed.variables) == (("a",), {"A": "b"})
        assert ConfigurationBody(repositories=None).to_configuration(present).repositories is None

    @pytest.mark.parametrize("id", ["a" * 12 + "\n", "A" * 12, "a" * 11, "../../aaaaaa", "1aaaaaaaaaaa"])
    def test_an_id_is_twelve_of_our_letters(self, id):
        with pytest.raises(InvalidInputError):
            validate_model(SessionBody, {"environment": id})


OTHER_VALUES = {
    FieldKind.QUANTITY: "7",
    FieldKind.NUMBER: 7,
    FieldKind.DIRECTORIES: ("a", "b"),
    FieldKind.VARIABLES: {"A": "b=c"},
}


@pytest.mark.parametrize("field", CONFIGURATION_FIELDS, ids=lambda field: field.name)
def test_each_field_of_a_configuration_passes_through_form_api_and_document(field: ConfigurationField) -> None:
    wanted = SessionConfiguration().with_values({field.name: OTHER_VALUES[field.kind]})
    assert wanted != SessionConfiguration()
    edited = session(configuration=wanted)
    typed = {name: text for name, text in build_session_fields(edited).items() if name in SessionForm.model_fields}
    assert validate_model(SessionForm, typed).to_configuration() == wanted
    answer = ConfigurationAnswer.model_validate(wanted.values).model_dump()
    assert validate_model(ConfigurationBody, answer).to_configuration() == wanted
    described = describe_session(edited, ManagedEnvironmentSource(name="python"), default=False)
    part = ConfigurationPart.model_validate(
        to_document_dict(SessionsDocument(sessions=(described,)))["sessions"][0]["configuration"]
    )
    assert part.to_values() == described.configuration
    assert described.apply_to(SessionConfiguration()) == wanted
    assert edited.fingerprint != session().fingerprint
    if field.kind is not FieldKind.DIRECTORIES:  # whose version is that of the repositories and storages themselves
        assert build_launch_version(edited, (), ()) != build_launch_version(session(), (), ())


class TestForms:
    def test_variables_are_lines(self):
        assert parse_variables("A=1\r\n\nB = {x}=\n") == {"A": "1", "B": " {x}="}

    @pytest.mark.parametrize("text", ["A", "A=1\nA=2"])
    def test_other_lines_are_refused_at_the_field(self, text):
        with pytest.raises(InvalidInputError) as refused:
            parse_variables(text)
        assert set(refused.value.fields) == {"variables"}

    def test_what_a_session_has_is_what_its_form_sends(self):
        wanted = SessionConfiguration(repositories=("a",), variables={"A": "b=c"})
        sent = {"repositories": ["a"], "which": "some", "variables": "A=b=c"}
        assert validate_model(SessionForm, sent).to_configuration() == wanted

    @pytest.mark.parametrize("gpu", ["1.5", "-1", "x", "\N{ARABIC-INDIC DIGIT ONE}"])
    def test_gpus_are_whole(self, gpu):
        with pytest.raises(InvalidInputError) as refused:
            validate_model(SessionForm, {"gpu": gpu}).to_configuration()
        assert set(refused.value.fields) == {"gpu"}

    def test_the_title_confirms(self):
        ConfirmDeletionForm(confirm=" Explore  it ").require_title("Explore it")

    @pytest.mark.parametrize("typed", ["", "explore it", "Explore"])
    def test_nothing_but_the_title_confirms(self, typed):
        with pytest.raises(InvalidInputError):
            ConfirmDeletionForm(confirm=typed).require_title("Explore it")

    def test_a_version_that_is_no_number_is_a_conflict(self):
        with pytest.raises(ConflictError):
            SessionForm(version="1e9").to_session_change()


class TestFit:
    POLICY = HubPolicy(
        classes=(
            ResourceClass(name="small", cpu="1", memory="2Gi"),
            ResourceClass(name="big", cpu="8", memory="32Gi", groups=frozenset({"big"})),
        )
    )

    def fit(self, **values):
        return build_class_fit_view(build_blank_session_fields("") | values, Person(name="ada"), self.POLICY)

    def test_the_smallest_class_that_is_large_enough_fits(self):
        shown = self.fit()
        assert (shown["fit"], [c["name"] for c in shown["classes"] if c["best"]]) == ("small", ["small"])

    def test_who_is_shut_out_is_said(self):
        shown = self.fit(cpu="4")
        assert shown["fit"] is None
        assert "None of your classes" in shown["fit_text"]
        assert "big" in shown["fit_text"]

    def test_what_no_class_has_is_said(self):
        assert "the largest, big, has 8 CPU" in self.fit(cpu="9")["fit_text"]

    def test_nonsense_fits_nothing_and_breaks_nothing(self):
        assert self.fit(cpu="lots")["fit"] is None


class TestUrls:
    @pytest.mark.parametrize(
        ("word", "address"),
        [
            ("projects", "/hub/renku/projects#project-p1"),
            ("project?search=a&after=b&next=//evil", f"/hub/renku/projects/ada/x?search=a&after=b#session-{ID}"),
            ("session", f"/hub/renku/projects/ada/x/-/sessions/{ID}#session-{ID}"),
            ("sessions", f"/hub/renku/sessions#session-{ID}"),
            ("//evil", f"/hub/renku/projects/ada/x/-/sessions/{ID}#session-{ID}"),
            ("", f"/hub/renku/projects/ada/x/-/sessions/{ID}#session-{ID}"),
        ],
    )
    def test_back_leads_to_pages_of_ours_only(self, word, address):
        assert URLS.resolve_return_url(word, project="ada/x", session=ID, project_id="p1") == address

    @pytest.mark.parametrize("word", ["project", "projects", "session", "sessions", "x"])
    def test_back_from_a_project_that_is_hidden_leads_to_ones_own_list(self, word):
        assert URLS.resolve_return_url(word, project=None, session=ID) == f"/hub/renku/sessions#session-{ID}"

    @given(st.text(max_size=60))
    def test_a_way_back_never_leaves_the_hub(self, word):
        address = URLS.resolve_return_url(word, project="ada/x", session=ID)
        assert address.startswith("/hub/renku/")
        assert "\n" not in address and "\r" not in address

    @given(st.text(max_size=60))
    def test_what_is_opened_inside_stays_inside(self, path):
        found = parse_inner_path(path)
        opened = URLS.session_server(ID, found or "")
        assert opened.startswith(f"/user/ada/{ID}/")
        assert not {"..", "."} & set(opened.split("/"))

    @pytest.mark.parametrize("path", ["../x", "a/../b", "a\\b", "\n", "x" * 501, "./a"])
    def test_a_path_that_leads_out_is_none(self, path):
        assert parse_inner_path(path) is None


class TestWords:
    @pytest.mark.parametrize(
        ("text", "said"), [("short", "short"), ("one two three", "one two …"), ("x" * 20, "x" * 12 + " …")]
    )
    def test_a_long_text_begins_with_its_first_words(self, text, said):
        assert truncate_at_word(text, limit=12) == said

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.4, "0 s"), (59, "59 s"), (72, "1 min 12 s"), (700, "11 min"), (8040, "2 h 14 min"), (300_000, "3 days")],
    )
    def test_lasting(self, seconds, said):
        assert format_elapsed_time(seconds) == said

    @pytest.mark.parametrize(
        ("seconds", "said"), [(3, "just now"), (240, "4 min ago"), (9000, "2 h ago"), (200_000, "2 days ago")]
    )
    def test_ago(self, seconds, said):
        assert format_time_ago(NOW - timedelta(seconds=seconds), NOW) == said

    @pytest.mark.parametrize(
        ("elapsed", "usual", "percent"), [(10, 40.0, 25), (400, 40.0, 95), (10, None, None), (None, 40.0, None)]
    )
    def test_progress_is_a_part_of_the_usual_time_and_never_done(self, elapsed, usual, percent):
        assert compute_progress_percent(elapsed, usual) == percent

    @pytest.mark.parametrize(
        ("seconds", "said"), [(41.0, "about 40 s"), (90.0, "about 2 min"), (1.0, "about 5 s"), (None, None)]
    )
    def test_usual(self, seconds, said):
        assert format_typical_duration(seconds) == said

    @pytest.mark.parametrize(("usual", "shown"), [(40.0, (25, "about 40 s")), (None, (None, None))])
    def test_a_card_compares_a_start_with_how_long_starts_usually_take(self, usual, shown):
        launching = Instance(
            id=ID, session=ID, username="ada", project=ID, environment=ID, desired=DesiredState.RUNNING,
            observed=ObservedState.STARTING, requested_at=NOW - timedelta(seconds=10),
        )  # fmt: skip
        view = build_brief_session_view(ID, "Explore", "/", launching, PageContext(urls=URLS, now=NOW), usual)
        assert (view["progress"], view["usual"]) == shown

    def test_an_unknown_instance_is_said_to_be_unknown_and_when_it_was_seen(self):
        seen = Instance(
            id=ID, session=ID, username="ada", project=ID, environment=ID, desired=DesiredState.RUNNING,
            observed=ObservedState.UNKNOWN, last_seen=NOW, ready_at=NOW,
        )  # fmt: skip
        assert (
            format_status_sentence(seen, local=False) == "We cannot reach the cluster; last seen running at 09:42 UTC."
        )

    def test_plurals(self):
        assert [format_count(n, "repository") for n in (0, 1, 2)] == [
            "0 repositories",
            "1 repository",
            "2 repositories",
        ]


class TestFailures:
    def test_every_404_is_the_same(self):
        answers = [
            to_error_response(NotFoundError("No project x."), 500).to_dict(),
            to_error_response(NotFoundError("Other", code="x"), 500).to_dict(),
        ]
        assert answers[0] == answers[1]

    def test_details_never_stand_in_for_what_was_said(self):
        failure = to_error_response(ConflictError("No.", code="changed", details={"version": 2, "status": 200}), 500)
        assert failure.to_dict() == {"status": 409, "code": "changed", "message": "No.", "version": 2}

    def test_what_is_unavailable_says_when_to_try_again(self):
        assert to_error_response(UnavailableError("Busy.", retry_after=7), 500).headers == {"Retry-After": "7"}

    def test_a_request_that_an_ending_hub_cancels_is_to_be_tried_again(self):
        failure = to_error_response(None, 500)
        assert (failure.status, failure.code, failure.headers) == (503, "unavailable", {"Retry-After": "5"})

    def test_a_fault_of_ours_tells_nothing_of_itself(self):
        assert "secret" not in str(to_error_response(RuntimeError("secret"), 500).to_dict())


def test_failures_are_shown_for_the_days_that_have_any_the_last_first() -> None:
    found = [
        FailureCount(day=date(2026, 11, day), reason=reason, count=count)
        for day, reason, count in [(3, "crash_oom", 2), (9, "crash_oom", 1), (9, "pull_denied", 4)]
    ]
    view = build_failures_view(found, PageContext(urls=URLS, now=NOW))
    assert [(day["text"], day["total"]) for day in view["days"]] == [("9 Nov", 5), ("3 Nov", 2)]
    assert [(row["code"], row["counts"], row["total"]) for row in view["rows"]] == [
        ("pull_denied", [4, 0], 4),
        ("crash_oom", [1, 2], 3),
    ]
    assert (view["total"], view["most"]) == (7, 5)


@pytest.mark.parametrize(("reason", "offered"), [("culled_idle", True), ("culled_age", False)])
def test_keep_awake_is_offered_where_it_puts_something_off(reason: str, *, offered: bool) -> None:
    instance = Instance(
        id="i", session=ID, username="ada", project="p", environment="e", ready_at=NOW, last_activity=NOW
    )
    said = build_idle_view(instance, PlannedPause(at=NOW, warned_from=NOW, reason=reason), URLS, NOW)
    assert "pauses" in said
    assert bool(said["awake_url"]) is offered


@pytest.mark.parametrize(
    ("warnings", "title", "style"),
    [
        ("", "This image can be used", "running"),
        ("hint:old", "This image can be used, with 1 hint", "running"),
        ("hint:old hint:big warning:root_user", "This image can be used, with 1 problem and 2 hints", "running"),
        ("warning:no_shell", "This image can be used, with 1 problem", "running"),
        ("warning:no_command", "This image will probably not start: 1 problem", "warning"),
        (
            "hint:old warning:root_user warning:no_hub_server error:named_user",
            "This image will probably not start: 3 problems",
            "warning",
        ),
    ],
)
def test_a_checked_image_says_whether_it_will_start_and_counts_what_is_listed_below(warnings, title, style):
    parts = [each.split(":") for each in warnings.split()]
    hints = [ImageWarning(code=code, severity=WarningSeverity(severity), title="", text="") for severity, code in parts]
    checked = ImageInspection(
        image=parse_image_reference("quay.io/a/b:1"), verdict=InspectionResult.OK, checked_at=NOW, hints=tuple(hints)
    )
    shown = build_image_check_view(checked, ["linux/amd64"], NOW)
    assert (shown["title"], shown["style"]) == (title, style)
    assert [each["is_problem"] for each in shown["hints"]] == [severity != "hint" for severity, _ in parts]
