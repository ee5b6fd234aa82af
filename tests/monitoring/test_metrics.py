"""What is counted, and how Prometheus gets it: beside the hub's own metrics, few series, no names."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, enable_created_metrics, generate_latest
from traitlets.config import Config

import renku_spawner
from renku_spawner.context import database_health
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.observability.metrics import RENKU_REGISTRY, TASK_NAMES, _RenkuCollector
from tests.docs import dashboard, monitoring
from tests.fixtures.renku import until

from .scraping import scraped

MOST = 200
NAMES = {"alice", "bob", "carol", "climate", "explore", "python", "localhost", "127.0.0.1"}


def named() -> set[str]:
    """The metrics that the dashboard and the alerts ask for."""
    return {
        name
        for file in (dashboard.DASHBOARD, monitoring.ALERTS)
        for name in re.findall(r"\brenku_[a-z_]+(?=[{\[ )>]|$)", file.read_text(), re.MULTILINE)
    }


def test_a_second_registration_is_refused_and_changes_nothing():
    with pytest.raises(ValueError, match="Duplicated"):
        REGISTRY.register(_RenkuCollector())


def test_the_table_of_metrics_is_up_to_date():
    text = monitoring.PAGE.read_text()
    assert text == monitoring.page(text), "please run: python -m tests.docs.monitoring"
    assert monitoring.page(text.replace("`renku_calls_total`", "`renku_calls`")) == text


def test_each_piece_of_work_beside_the_requests_is_counted_from_the_first():
    """A name that is not in the list would be a new series at its first failure."""
    code = "\n".join(file.read_text() for file in Path(renku_spawner.__file__).parent.rglob("*.py"))
    named = re.findall(r'record_task_(?:success|failure)\("(\w+)"\)', code)
    named += re.findall(r'_run_startup_task\(\s*"(\w+)"', code)
    jobs = {job for job in re.findall(r'PeriodicJob\(\s*name="(\w+)"', code) if job in TASK_NAMES}
    assert jobs | set(named) == set(TASK_NAMES)


def test_created_series_are_off_unless_an_admin_enables_them_again():
    enable_created_metrics()
    renku_spawner.install(Config())
    text = generate_latest(REGISTRY).decode()
    assert "_created" not in text
    assert "renku_launches_total" in text
    enable_created_metrics()
    text = generate_latest(REGISTRY).decode()
    renku_spawner.install(Config())
    assert "renku_launches_created" in text


def test_each_metric_says_what_it_is():
    for family in RENKU_REGISTRY.collect():
        assert family.name.startswith("renku_")
        assert len(family.documentation) > 20


async def test_the_life_of_sessions_is_counted_in_series_that_are_there_from_the_first(renku_hub, monkeypatch):
    monkeypatch.setattr(database_health, "DATABASE_CHECK_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(database_health, "DATABASE_CHECK_PAUSE_FACTOR", 1)
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice, start = hub.client("alice"), f"api/renku/projects/{session.project}/sessions/{session.id}/start"
    before = await scraped(hub)
    assert (await alice.post(start, json={"resource_class": "none"})).status_code == 409
    assert (await alice.post(start, json={})).status_code in (200, 202)
    await hub.becomes(session, InstanceStatus.RUNNING)

    async def counted() -> bool:
        return (await scraped(hub))["renku_instances", "running"] == 1

    await until(counted, why="the running one is counted")
    await alice.post(f"api/renku/sessions/{session.id}/pause")
    await hub.becomes(session, InstanceStatus.PAUSED)
    after = await scraped(hub)
    more = {key: value - before[key] for key, value in after.items()}
    assert (more["renku_launches_total", "", "ready"], more["renku_launches_total", "policy", "refused"]) == (1, 1)
    assert more["renku_session_ends_total", "ended"] == 1
    assert more["renku_launch_seconds_count",] == 1
    assert more["renku_launch_stage_seconds_count", "waiting"] == 1
    assert more["renku_database_seconds_count", "write"] > 0
    assert before.keys() == after.keys()
    assert len(after) <= MOST
    assert named() <= {key[0] for key in after}
    assert len([key for key in after if key[0] == "renku_build_info"]) == 1, "one hub after another in this process"
    assert not NAMES & {label for key in after for label in key}
