"""Every template with example values: well formed, safe, complete without JavaScript, and small."""

import re
from typing import Any

import pytest
from jinja2 import StrictUndefined, UndefinedError

from tests.web import examples
from tests.web.examples import BASE, FRAME, PAGES, SESSIONS, project_page
from tests.web.generated import PAGES as TEMPLATE_VIEWS
from tests.web.generated import generate_page
from tests.web.rendering import HOSTILE, TEMPLATES, Page, hub_environment, hub_values, ours, render

GENERATED = {
    f"{template} {seed}": (template, generate_page(template, seed)) for template in TEMPLATE_VIEWS for seed in range(4)
}
EXAMPLES = PAGES | GENERATED
each_page = pytest.mark.parametrize("name", EXAMPLES)
SAFE_KEYS = {"status", "kind", "state", "nav", "back", "value", "visibility"}
ADDRESSES = re.compile(r"(url|page|action|cancel|link|next|open|pause|resume|remove|change|leave|launch|use)$")


def poisoned(value: Any, key: str = "") -> Any:
    """Give *value* with hostile text in the place of each text that users or images may have written."""
    if isinstance(value, dict):
        return {k: poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    if not isinstance(value, str) or key in SAFE_KEYS or ADDRESSES.search(key) or key.endswith("_at"):
        return value
    return HOSTILE


@each_page
def test_a_page_is_well_formed_with_unique_ids(name: str) -> None:
    page = Page(ours(render(*EXAMPLES[name])) + "</main>")
    assert page.faults == []
    assert page.stack == []
    ids = page.all("id")
    assert sorted(set(ids)) == sorted(ids)


@each_page
def test_labels_descriptions_and_links_of_a_page_lead_somewhere(name: str) -> None:
    page = Page(ours(render(*EXAMPLES[name])))
    ids = set(page.all("id"))
    wanted = set(page.all("for")) | {target for text in page.all("aria-labelledby") for target in text.split()}
    wanted |= {target for text in page.all("aria-describedby") for target in text.split()}
    wanted |= {url[1:] for url in page.all("href") if url.startswith("#")}
    wanted |= {url[1:] for attribute in ("data-live", "data-renew") for url in page.all(attribute)}
    assert wanted <= ids


@each_page
def test_a_page_has_no_inline_style_script_or_handler(name: str) -> None:
    page = Page(ours(render(*EXAMPLES[name])))
    assert [tag for tag, _ in page.elements if tag in ("script", "style")] == []
    keys = {key for _, attributes in page.elements for key in attributes}
    assert [key for key in keys if key == "style" or key.startswith("on")] == []


@each_page
def test_every_action_is_a_form_with_a_token(name: str) -> None:
    page = Page(ours(render(*EXAMPLES[name])))
    posts = [form for form in page.forms if form[0].get("method") == "post"]
    assert all(sum(field.get("name") == "_xsrf" for field in fields) == 1 for _, *fields in posts)
    assert all(form.get("action") for form, *_ in page.forms)
    gets = [form for form in page.forms if form[0].get("method") == "get"]
    assert len(gets) + len(posts) == len(page.forms)
    assert all(field.get("name") != "_xsrf" for _, *fields in gets for field in fields)


@each_page
def test_hostile_text_is_shown_as_text(name: str) -> None:
    template, values = EXAMPLES[name]
    page = Page(ours(render(template, poisoned(values))))
    assert page.faults == []
    assert [tag for tag, _ in page.elements if tag in ("script", "img")] == []
    assert [key for _, attributes in page.elements for key in attributes if key.startswith("on")] == []


@each_page
def test_user_text_never_stands_in_a_script(name: str) -> None:
    template, values = EXAMPLES[name]
    whole = render(template, poisoned(values))
    plain = render(template, values)
    assert re.findall("<script.*?</script>", whole, re.S) == re.findall("<script.*?</script>", plain, re.S)


@each_page
def test_addresses_follow_the_base_url(name: str) -> None:
    template, values = EXAMPLES[name]
    moved = "/@/space%20word/hub/"
    page = Page(render(template, {**FRAME, **_moved(values, moved)}, moved))
    local = [url for attribute in ("href", "action", "formaction", "src") for url in page.all(attribute)]
    assert [url for url in local if url.startswith("/hub/")] == []


def _moved(value: Any, base_url: str) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item, base_url) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, base_url) for item in value]
    return value.replace(BASE, base_url) if isinstance(value, str) and value.startswith(BASE) else value


STRICT = hub_environment(StrictUndefined)
# Values that only some pages have and that parts of several pages, or the hub's own page, do without.
OPTIONAL = {
    "title_optional": False, "adding": False, "default_choice": False, "cancel": "",
    "announcement": None, "admin_access": False, "logo_url": None,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("template", TEMPLATE_VIEWS)
def test_templates_use_no_value_that_views_do_not_promise(template: str, seed: int) -> None:
    context = hub_values() | FRAME | OPTIONAL | generate_page(template, seed)
    assert "<main" in STRICT.get_template(template).render(context)


def test_a_key_that_no_view_has_is_noticed_in_a_template() -> None:
    read = STRICT.from_string("{% for row in rows %}{{ row.colour }}{% endfor %}")
    with pytest.raises(UndefinedError, match="colour"):
        read.render(generate_page("renku_projects.html", 1))


@pytest.mark.parametrize("name", PAGES)
def test_templates_use_no_value_that_examples_do_not_have(name: str) -> None:
    template, values = PAGES[name]
    assert "<main" in STRICT.get_template(template).render(hub_values() | FRAME | OPTIONAL | values)


def test_a_page_of_twenty_cards_weighs_at_most_80_kilobytes() -> None:
    twenty = [SESSIONS[number % len(SESSIONS)] for number in range(20)]
    page = render("renku_project.html", project_page(sessions=twenty))
    assert len(page.encode()) <= 80_000


@pytest.mark.parametrize("session", SESSIONS, ids=lambda s: f"{s['status']} {s['title'][:12]}")
def test_a_card_offers_what_the_status_allows(session: dict[str, Any]) -> None:
    card = ours(render("renku_project.html", project_page(sessions=[session], default=None)))
    page = Page(card)
    actions = {url.rsplit("/", 1)[1] for url in page.all("action") if "/sessions/" in url}
    startable = session["status"] in ("inactive", "paused", "failed")
    assert actions == ({"start"} if startable else {"pause"})
    offered = [text for text in ("Start", "Resume", "Try again", "Cancel", "Pause") if f"<span>{text}</span>" in card]
    words = {"inactive": ["Start"], "launching": ["Cancel"], "running": ["Pause"], "paused": ["Resume"]}
    assert offered == ([] if session["other"] else (words | {"failed": ["Try again"]}).get(session["status"], []))
    named = [f"<span>{verb} <em>{examples.RUNNING['title']}</em>" in card for verb in ("Open", "Pause")]
    assert named == [bool(session["other"])] * 2
    assert (session["open"] in page.all("href")) == (session["status"] in ("running", "unknown"))
    disabled = [attributes for tag, attributes in page.elements if tag == "button" and "disabled" in attributes]
    assert len(disabled) == (1 if session["blocked"] else 0)


def test_a_viewer_sees_no_button_that_changes_the_project() -> None:
    viewer = [session | {"may_write": False} for session in SESSIONS]
    values = project_page(sessions=viewer, project=examples.ABOUT_PROJECT | {"settings_url": None, "new_url": None})
    page = Page(ours(render("renku_project.html", values)))
    actions = {url.rsplit("/", 1)[1] for url in page.all("formaction") + page.all("href")}
    assert not actions & {"default", "edit", "delete", "settings", "new"}


@pytest.mark.parametrize("writes", [True, False])
def test_settings_speak_of_removing_only_to_those_who_may(writes: bool) -> None:
    values = PAGES["settings"][1]
    viewer = {} if writes else {"repositories_action": None, "storage_new": None}
    assert ("Removing one here" in render("renku_settings.html", values | viewer)) is writes


def test_a_start_without_history_has_a_bar_without_a_number() -> None:
    text = ours(render("renku_project.html", project_page(sessions=[examples.UNTIMED], default=None)))
    bars = [attributes for tag, attributes in Page(text).elements if tag == "progress"]
    assert ["value" in bar for bar in bars] == [False]
    assert "usually" not in text


def test_only_a_page_that_waits_reloads_itself_without_a_script() -> None:
    assert '<noscript><meta http-equiv="refresh"' in render(*PAGES["session-starting"])
    assert '<noscript><meta http-equiv="refresh"' not in render(*PAGES["session"])


def test_the_error_summary_leads_to_each_field() -> None:
    page = Page(ours(render(*PAGES["session-new-wrong"])))
    fields = {attributes["id"]: attributes for tag, attributes in page.elements if "id" in attributes}
    assert {"#environment", "#cpu", "#variables", "#repositories"} <= set(page.all("href"))
    assert fields["cpu"]["aria-invalid"] == "true"
    assert fields["cpu"]["aria-describedby"] == "cpu-error"


def test_every_template_is_shown_by_an_example() -> None:
    assert set(TEMPLATE_VIEWS) == {path.name for path in TEMPLATES.glob("renku_*.html")} - {"renku_page.html"}


def test_the_hubs_own_pages_lead_to_ours_once() -> None:
    page = hub_environment().get_template("page.html").render(hub_values())
    assert page.count("renku/projects") == 1
    assert render(*PAGES["projects"]).count(f'href="{BASE}renku/projects">') == 0
    assert render(*PAGES["projects"]).count('aria-current="true">Projects<') == 1


@pytest.mark.parametrize("kept", [True, False])
def test_the_page_of_a_stopped_session_promises_files_only_where_there_are_some(kept):
    values = generate_page("renku_stopped.html", 1) | {"kept": kept}
    assert ("Your files are kept" in render("renku_stopped.html", values)) is kept
