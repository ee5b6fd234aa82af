"""What the dashboard asks, a real Prometheus answers, from what a hub's own code has counted."""

from pathlib import Path

from tests.docs import dashboard, recording


def test_every_panel_shows_something_and_is_in_the_picture(tmp_path: Path) -> None:
    with dashboard.prometheus(tmp_path) as client:
        drawn = [(panel, dashboard.answered(client, panel)) for panel in dashboard.panels()]
    assert len(drawn) >= 15
    for panel, lines in drawn:
        assert lines, panel["title"]
        assert any(points for _, points in lines), panel["title"]
        assert all("{{" not in name for name, _ in lines), "a label of the legend that there is not"
        if panel["title"] != "Failures of work beside the requests":
            most = max(len(points) for _, points in lines)
            assert most > (recording.SECONDS - 600) / dashboard.STEP / 3, panel["title"]
    fresh, kept = dashboard.picture(drawn), dashboard.PICTURE.read_text()
    for panel in dashboard.panels():
        assert f">{panel['title']}<" in fresh
        assert f">{panel['title']}<" in kept, "please run: python -m tests.docs.dashboard"


def test_panels_have_names_and_places_of_their_own() -> None:
    panels = dashboard.panels()
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(target["datasource"]["uid"] == "${datasource}" for panel in panels for target in panel["targets"])
