"""Asks a real Prometheus for each panel of the dashboard, and draws them: `python -m tests.docs.dashboard`.

Debian has no Grafana, so that the drawing is ours; what is asked, and of what, is not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import httpx

from tests.docs import recording
from tests.fixtures.ports import free_port

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "helm" / "renku-hub" / "dashboards" / "renku.json"
PICTURE = ROOT / "docs" / "pictures" / "dashboard.svg"
STEP = 120  # seconds between two points that are drawn
_COLUMNS, _WIDE, _HIGH, _MARGIN = 3, 400, 210, 12
_COLOURS = ("#1f77b4", "#d9622b", "#2a8f2a", "#b8860b", "#7b52ab", "#8c564b", "#c2418f", "#5f6b6d", "#1a9aa8", "#a33")

Line = tuple[str, list[tuple[float, float]]]  # what the legend says, and its points


@contextmanager
def prometheus(folder: Path) -> Iterator[httpx.Client]:
    """A server that knows the recording, until the block ends."""
    text = folder / "recording.txt"
    with text.open("w") as file:
        subprocess.run([sys.executable, "-m", "tests.docs.recording"], stdout=file, cwd=ROOT, check=True, timeout=120)
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")]
    subprocess.run(blocks, check=True, capture_output=True, timeout=120)
    (folder / "prometheus.yml").touch()
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
        "--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=error",
    ]  # fmt: skip
    server = subprocess.Popen(command)
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=300) as client:
            _until_ready(client)
            yield client
    finally:
        server.terminate()
        server.wait(60)


def _until_ready(client: httpx.Client) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            client.get("/-/ready").raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < end, "Prometheus is not ready"
            time.sleep(0.05)


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def answered(client: httpx.Client, panel: dict[str, Any]) -> list[Line]:
    """What the panel would show, as Prometheus has it."""
    return [line for target in panel["targets"] for line in _asked(client, target)]


def _asked(client: httpx.Client, target: dict[str, Any]) -> Iterator[Line]:
    begin = recording.BEGIN + 600  # rates need some time before them
    asked = {"query": target["expr"], "start": begin, "end": recording.BEGIN + recording.SECONDS, "step": STEP}
    answer = client.get("/api/v1/query_range", params=asked).json()
    assert answer["status"] == "success", answer
    for series in answer["data"]["result"]:
        name = target["legendFormat"]
        for label, value in series["metric"].items():
            name = name.replace(f"{{{{{label}}}}}", value)
        yield name, [(float(at), float(value)) for at, value in series["values"] if value not in ("NaN", "+Inf")]


# ---- the picture -----------------------------------------------------------------------------------------


def picture(drawn: list[tuple[dict[str, Any], list[Line]]]) -> str:
    rows = -(-len(drawn) // _COLUMNS)
    size = (_COLUMNS * (_WIDE + _MARGIN) + _MARGIN, rows * (_HIGH + _MARGIN) + _MARGIN)
    inside = "".join(
        f'<g transform="translate({_MARGIN + number % _COLUMNS * (_WIDE + _MARGIN)} '
        f'{_MARGIN + number // _COLUMNS * (_HIGH + _MARGIN)})">{_panel(*each)}</g>\n'
        for number, each in enumerate(drawn)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        f'font-family="DejaVu Sans, sans-serif" font-size="10">\n'
        f'<rect width="100%" height="100%" fill="#f2f3f5"/>\n{inside}</svg>\n'
    )


def _panel(panel: dict[str, Any], lines: list[Line]) -> str:
    frame = f'<rect width="{_WIDE}" height="{_HIGH}" rx="3" fill="#fff" stroke="#d5d8dc"/>'
    title = f'<text x="10" y="18" font-size="13" font-weight="bold">{escape(panel["title"])}</text>'
    words = f'<text x="10" y="32" fill="#555">{escape(panel["description"])}</text>'
    if panel["type"] == "stat":
        return frame + title + words + f'<text x="10" y="110" font-size="13">{escape(lines[0][0])}</text>'
    return frame + title + words + _plot(panel, lines) + _legend(lines)


def _plot(panel: dict[str, Any], lines: list[Line]) -> str:
    left, right, top, bottom = 42, _WIDE - 10, 42, _HIGH - 52
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    heights = _stacked(lines) if stacked else [[value for _, value in points] for _, points in lines]
    most = max((value for each in heights for value in each), default=0) or 1
    begin, whole = recording.BEGIN + 600, recording.SECONDS - 600
    said = [f'<text x="{left - 4}" y="{y + 3}" text-anchor="end" fill="#555">{_number(value, panel)}</text>'
            f'<path d="M{left} {y}H{right}" stroke="#e6e8eb"/>'
            for value, y in ((0, bottom), (most / 2, (top + bottom) / 2), (most, top))]  # fmt: skip
    for hour in range(7, 11):
        x = left + ((hour - 6) * 3600 - 600) / whole * (right - left)
        said.append(f'<text x="{x:.0f}" y="{bottom + 13}" text-anchor="middle" fill="#555">{hour}:00</text>')
    for number, ((_, points), values) in reversed(list(enumerate(zip(lines, heights, strict=True)))):
        spots = [
            (left + (at - begin) / whole * (right - left), bottom - value / most * (bottom - top))
            for (at, _), value in zip(points, values, strict=True)
        ]
        said.append(_shape(spots, bottom, _COLOURS[number % len(_COLOURS)], filled=stacked))
    return "".join(said)


def _stacked(lines: list[Line]) -> list[list[float]]:
    """Each on top of those before it, at each time."""
    below: dict[float, float] = {}
    found = []
    for _, points in lines:
        for at, value in points:
            below[at] = below.get(at, 0.0) + value
        found.append([below[at] for at, _ in points])
    return found


def _shape(spots: list[tuple[float, float]], bottom: float, colour: str, *, filled: bool) -> str:
    if not spots:
        return ""
    path = "M" + "L".join(f"{x:.0f} {y:.1f}" for x, y in spots)
    area = f'<path d="{path}V{bottom}H{spots[0][0]:.0f}Z" fill="{colour}" fill-opacity=".8"/>' if filled else ""
    return f'{area}<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>'


def _legend(lines: list[Line]) -> str:
    said, x, y = [], 10.0, _HIGH - 26
    for number, (name, _) in enumerate(lines):
        wide = 18 + 6.2 * len(name)
        if x + wide > _WIDE:
            x, y = 10.0, y + 14
        said.append(
            f'<path d="M{x:.0f} {y - 3}h10" stroke="{_COLOURS[number % len(_COLOURS)]}" stroke-width="3"/>'
            f'<text x="{x + 13:.0f}" y="{y}">{escape(name)}</text>'
        )
        x += wide
    return "".join(said)


def _number(value: float, panel: dict[str, Any]) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s" and 0 < value < 1:
        return f"{1000 * value:.0f} ms"
    shown = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return shown + (" s" if unit == "s" else "")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder)) as client:
        PICTURE.write_text(picture([(panel, answered(client, panel)) for panel in panels()]))


if __name__ == "__main__":
    main()
