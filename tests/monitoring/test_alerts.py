"""Each rule fires when it should and not before, says what to do, and links to the page that says more."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.docs import monitoring

RULES = monitoring.ALERTS
_STARTS = "renku_launches_total"

# alert: (series of a hub that is well, what is wrong with which, minutes until it fires, its labels)
CASES: dict[str, tuple[dict[str, str], dict[str, str], int, dict[str, str]]] = {
    "RenkuHubUnseen": ({'renku_build_info{version="0"}': "1x60"}, {'renku_build_info{version="0"}': "stale"}, 6, {}),
    "RenkuClusterUnheard": (
        {"renku_watch_age_seconds": "0+20x5 0+20x5 0 130 0x50"}, {"renku_watch_age_seconds": "0+60x60"}, 5, {}
    ),
    "RenkuNeighbourAway": (
        {'renku_neighbour_away{neighbour="gitlab"}': "0x9 1x3 0x40"},
        {'renku_neighbour_away{neighbour="gitlab"}': "1x60"},
        6,
        {"neighbour": "gitlab"},
    ),
    "RenkuStartsFail": (
        {f'{_STARTS}{{outcome="ready"}}': "0+9x60", f'{_STARTS}{{outcome="failed", group="crash"}}': "0+9x60"},
        {f'{_STARTS}{{outcome="failed", group="schedule"}}': "0+9x60"},
        40,
        {},
    ),
    "RenkuStartsSlow": (
        {'renku_launch_seconds_bucket{le="60"}': "0+5x60", 'renku_launch_seconds_bucket{le="600"}': "0+5x60",
         'renku_launch_seconds_bucket{le="+Inf"}': "0+5x60"},
        {'renku_launch_seconds_bucket{le="60"}': "0+1x60"},
        50,
        {},
    ),
    "RenkuSessionsLost": (
        {'renku_session_ends_total{group="ended"}': "0+9x60", 'renku_session_ends_total{group="platform"}': "0x60"},
        {'renku_session_ends_total{group="platform"}': "0+1x60"},
        16,
        {},
    ),
    "RenkuSessionsUnknown": (
        {'renku_instances{status="unknown"}': "3x5 0x55"},
        {'renku_instances{status="unknown"}': "3x60"},
        11,
        {"status": "unknown"},
    ),
    "RenkuSettingsRefused": ({"renku_settings_refused": "0x9 1x3 0x40"}, {"renku_settings_refused": "1x60"}, 6, {}),
    "RenkuDatabaseBusy": (
        {"renku_database_given_up_total": "2x60"}, {"renku_database_given_up_total": "2x10 3x50"}, 12, {}
    ),
    "RenkuDatabaseSlow": (
        {f'renku_database_seconds_bucket{{kind="write", le="{le}"}}': "0+99x60" for le in ("0.1", "0.5", "+Inf")},
        {'renku_database_seconds_bucket{kind="write", le="0.1"}': "0+90x60"},
        30,
        {"kind": "write"},
    ),
    "RenkuTaskStale": (
        {'renku_task_last_success_timestamp_seconds{task="counting"}': "1+60x60",
         'renku_task_last_success_timestamp_seconds{task="access"}': "0x60"},
        {'renku_task_last_success_timestamp_seconds{task="counting"}': "1x60"},
        11,
        {"task": "counting"},
    ),
    "RenkuTaskFails": (
        {'renku_task_failures_total{task="access"}': "0x5 1x55",
         'renku_task_failures_total{task="counting"}': "0+1x60"},
        {'renku_task_failures_total{task="access"}': "0+1x60"},
        12,
        {"task": "access"},
    ),
}  # fmt: skip


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=300)


def expected(rule: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """The alert as Prometheus would send it."""
    said = {}
    for name, text in rule["annotations"].items():
        said[name] = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda label: labels[label[1]], text)
    return {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": said}


def trials(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """One hub that is well all the time, and one that is not, of which nothing is said at the first minute."""
    well, wrong, minutes, labels = CASES[rule["alert"]]
    ill = {name: "_x60" if values == "stale" else values for name, values in {**well, **wrong}.items()}
    fires = [expected(rule, labels)]
    return [
        _test(rule, well, {minute: [] for minute in (0, 5, 12, minutes, 50)}),
        _test(rule, ill, {0: [], minutes: fires}),
    ]


def _test(rule: dict[str, Any], series: dict[str, str], said: dict[int, list[Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"alertname": rule["alert"], "eval_time": f"{minute}m", "exp_alerts": alerts}
            for minute, alerts in said.items()
        ],
    }


def test_the_rules_are_ones_that_prometheus_takes() -> None:
    done = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    rules = monitoring.rules()
    assert {rule["alert"] for rule in rules} == set(CASES)
    told = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [t for r in rules for t in trials(r)]}
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(told))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(yaml.safe_dump(told).replace("severity: critical", "severity: warning"))
    assert promtool("test", "rules", str(file)).returncode != 0, "a wrong expectation is noticed"


def test_each_alert_says_what_to_do_and_where_more_is_written() -> None:
    page = monitoring.PAGE.read_text()
    for rule in monitoring.rules():
        assert len(rule["annotations"]["description"]) > 60
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
        assert f"### {rule['alert']}\n" in page
