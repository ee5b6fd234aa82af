"""The chart hands the dashboard, the alerts and the address of the metrics to whoever runs Prometheus and Grafana."""

import json
import re
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.chart.rendered import HELMS, Z2JH, changed, rendered
from tests.docs import dashboard, monitoring

YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
ON = {f"renku.monitoring.{name}.enabled": True for name in ("dashboard", "alerts", "serviceMonitor")}


@pytest.mark.parametrize("helm", HELMS)
def test_the_files_arrive_unchanged_where_they_are_wanted(helm: str) -> None:
    done = changed(helm, {**ON, "renku.monitoring.alerts.labels": {"release": "prometheus"}})
    board = done.one("ConfigMap", "try-dashboard")
    kubernetes_validate.validate(board, "1.32", strict=True)
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["renku.json"]) == json.loads(dashboard.DASHBOARD.read_text())
    rules = done.one("PrometheusRule", "try-hub")
    assert rules["spec"] == yaml.safe_load(monitoring.ALERTS.read_text())
    assert rules["metadata"]["labels"]["release"] == "prometheus"


def test_the_metrics_are_read_at_the_hubs_own_path_with_a_token_of_a_secret() -> None:
    done = changed(HELMS[0], {**ON, "jupyterhub.hub.baseUrl": "/jupyter"})
    monitor = done.one("ServiceMonitor", "try-hub")
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/jupyter/hub/metrics"
    assert endpoint["authorization"]["credentials"] == {"name": "hub", "key": "hub.services.prometheus.apiToken"}
    assert monitor["spec"]["selector"]["matchLabels"] == {"component": "hub", "release": "try"}


def test_nothing_of_it_is_made_where_nobody_has_asked() -> None:
    """Clusters without the operator of Prometheus do not know its kinds."""
    kinds = {one["kind"] for one in rendered(HELMS[0], "trying-out").objects()}
    assert not {"PrometheusRule", "ServiceMonitor"} & kinds


def test_the_values_of_the_document_are_ones_that_both_charts_take(tmp_path: Path) -> None:
    [text] = [block for block in YAML.findall(monitoring.PAGE.read_text()) if "serviceMonitor" in block]
    (file := tmp_path / "values.yaml").write_text(text)
    done = rendered(HELMS[0], "trying-out", "-f", str(file))
    assert {"PrometheusRule", "ServiceMonitor"} <= {one["kind"] for one in done.objects()}
    jsonschema.Draft7Validator(json.loads((Z2JH / "values.schema.json").read_text())).validate(done.given())
    assert done.given()["hub"]["loadRoles"]["prometheus"]["services"] == list(done.given()["hub"]["services"])
    allowed = done.one("NetworkPolicy", "try-hub")["spec"]["ingress"]
    assert yaml.safe_load(text)["renku"]["networkPolicies"]["hubIngress"][0] in allowed
