"""From raw samples to ratios beside their bars: what is printed and what stands in results.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from . import class_report, cluster_report, gitlab_report, image_report
from .hubs import ROOT
from .lines import Line, spread
from .measures import Plan, Sample

Samples = dict[str, list[Sample]]
# Of the home page of plain JupyterHub with as many named servers; None has no bar.
PAGE_BARS = {1: 1.2, 50: None, 100: 0.85, 1000: 0.11}
_ABOUT = """\
# What it costs

Written by `make bench`; never edited. The raw samples stand in `samples.json`.

CPU-ms are user and system time of the hub's process for one request. Ratios are of two hubs in the same
run, whose requests take turns: the median of the rounds, the least and the greatest. A bar is met
when the greatest ratio meets it. Every session on a page has been started and paused by who looks at it.
Hubs are asked directly, without their proxies, on SQLite; the same page is asked for again and again,
so that what either hub keeps in memory is there.

Not measured: real image pulls, thousands of websockets, several machines, PostgreSQL over a network.
"""


def lines(samples: Samples, plan: Plan) -> list[Line]:
    """Every figure that the plan asks for. Raises AssertionError if a sample for one is missing."""
    return [*_pages(samples["pages"], plan), *_growth(samples["growth"], plan), *_streams(samples["streams"], plan),
            *_front(samples["front"])]  # fmt: skip


def _of(samples: list[Sample], count: int, **case: Any) -> list[Sample]:
    """The samples of a case, by round. Raises AssertionError unless there are so many."""
    found = sorted((s for s in samples if case.items() <= s.items()), key=lambda s: s["round"])
    assert len(found) == count, f"{len(found)} of {count} samples of {case}"
    return found


def _ratios(over: list[Sample], under: list[Sample]) -> list[float]:
    return [a["cpu"] / b["cpu"] for a, b in zip(over, under, strict=True)]


def _pages(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for size in plan.sizes:
        for at_once in plan.at_once:
            case = {"size": size, "at_once": at_once}
            ours, plain = (_of(samples, plan.rounds, page=page, **case) for page in ("ours", "plain"))
            what = f"B1: project page of {size} to home page with {size}, {at_once} at once"
            note = f"{_middle(ours, 'cpu')} to {_middle(plain, 'cpu')} CPU-ms; {_waits(ours)} to {_waits(plain)}"
            yield spread(_ratios(ours, plain), what=what, bar=PAGE_BARS.get(size), note=note)
    largest = max(plan.sizes)
    of_fifty, of_most = (
        _of(samples, plan.rounds, page="ours", size=s, at_once=1) for s in (_middle_size(plan), largest)
    )
    what = f"B1: project page of {largest} to its own of {_middle_size(plan)}"
    yield spread(_ratios(of_most, of_fifty), what=what, bar=1.2)
    size = max(s["bytes"] for s in samples if s["page"] == "ours") / 1000
    yield Line(what="B1: largest project page", value=size, least=size, most=size, bar=80, unit="kB")


def _middle_size(plan: Plan) -> int:
    """The smallest size that fills a page, or the largest there is."""
    return next((size for size in sorted(plan.sizes) if size >= 20), max(plan.sizes))


def _growth(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    first = _of(samples, plan.rounds, stored=plan.stored[0])
    for stored in plan.stored[1:]:
        more = _of(samples, plan.rounds, stored=stored)
        what = f"B2: project page of 20, {stored:,} to {plan.stored[0]} stored sessions"
        note = f"{_middle(more, 'cpu')} to {_middle(first, 'cpu')} CPU-ms; {_waits(more)} to {_waits(first)}"
        yield spread(_ratios(more, first), what=what, bar=1.15, note=note)
    counts = [s["statements"] for s in samples]
    note = f"and {max(s['of_the_hub'] for s in samples)} of the hub itself, as on any of its pages"
    yield spread(counts, what="B2: our SQL statements for the page", bar=8, unit="statements", note=note)
    varies = max(counts) - min(counts)
    yield Line(
        what="B2: … and how their number varies", value=varies, least=varies, most=varies, bar=0, unit="statements"
    )
    for stored in plan.stored:
        costs = [s["scrape"] for s in _of(samples, plan.rounds, stored=stored) if "scrape" in s]  # not in older samples
        if costs:
            what = f"Scrape: /hub/metrics with {stored:,} stored sessions, and as many instances up to 10,000"
            yield spread(costs, what=what, bar=None, unit="CPU-ms")


def _streams(samples: list[Sample], plan: Plan) -> Iterator[Line]:
    for people in (1, plan.streams):
        found = [s for s in samples if s["people"] == people]
        assert found, f"no sample of streams of {people}"
        sample = found[-1]
        share = sample["share"] * 100
        note = (
            f"{sample['delivered']} of {sample['published']} events delivered, p50 {sample['p50']} ms, "
            f"p99 {sample['p99']} ms; without events {sample['idle_share'] * 100:.2g} %"
        )
        whose = "one person" if people == 1 else f"{people} people"
        what = f"Streams: {sample['streams']} of {whose}, two events a second to all"
        yield Line(what=what, value=share, least=share, most=share, bar=3, unit="% of a core", note=note)


def _front(samples: list[Sample]) -> Iterator[Line]:
    home, page = (next(s for s in samples if s["page"] == name) for name in ("home", "project"))
    size = page["gzipped"] / 1000
    note = f"{', '.join(page['files'])}; {page['bytes'] / 1000:.3g} kB before compression"
    yield Line(what="B14: our JavaScript, compressed", value=size, least=size, most=size, bar=15, unit="kB", note=note)
    count = len(page["fetched"])
    note = f"scripts, styles and pictures; the hub's page of tokens needs {len(home['fetched'])}"
    yield Line(
        what="B14: requests for the project page", value=count, least=count, most=count, bar=None, unit="", note=note
    )
    foreign = len(page["third_party"])
    yield Line(what="B14: … of them to third parties", value=foreign, least=foreign, most=foreign, bar=0, unit="",
               note="that every action works without JavaScript is shown in tests/browser")  # fmt: skip


def _middle(samples: list[Sample], key: str) -> str:
    return f"{median(s[key] for s in samples):.3g}"


def _waits(samples: list[Sample]) -> str:
    return f"p50 {_middle(samples, 'p50')}, p99 {_middle(samples, 'p99')} ms"


def table(found: list[Line]) -> str:
    head = "| what | median | least to greatest | bar | | |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *(line.text() for line in found)])


def origin(*more: str) -> dict[str, Any]:
    """When, of which commit and on which machine."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _said("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(_said("git", "status", "--porcelain", "--", "renku_spawner", "templates")),
        "machine": f"{_processor()}, {platform.machine()}, {_cores()} cores, {platform.system()} {platform.release()}",
        "versions": {name: version(name) for name in ("jupyterhub", "sqlalchemy", "tornado", "jinja2", *more)}
        | {"python": platform.python_version()},
        "load": Path("/proc/loadavg").read_text().split()[:3],
    }


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    rows = Path("/proc/cpuinfo").read_text().splitlines()
    return next((row.partition(":")[2].strip() for row in rows if row.startswith("model name")), "unknown processor")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def text(raw: dict[str, Any]) -> str:
    """results.md, made of what stands in samples.json."""
    plan = Plan(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw["plan"].items()})
    where = f"{_where(raw)}; {plan.rounds} rounds of {plan.requests} requests."
    pages = f"{_ABOUT}\n{where}\n\n{table(lines(raw['samples'], plan))}\n"
    parts = {
        "cluster": cluster_report.section, "images": image_report.section, "gitlab": gitlab_report.section,
        "class": class_report.section,
    }  # fmt: skip
    more = [section(raw[part], _where, table) for part, section in parts.items() if part in raw]
    return "\n".join([pages, *more])


def _where(raw: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in raw["versions"].items())
    changed = " with changes that are not committed" if raw["changed"] else ""
    return (
        f"{raw['date']}, commit {raw['commit']}{changed}; {raw['machine']}, load at the end "
        f"{' '.join(raw['load'])}; {versions}"
    )


def write(folder: Path, samples: Samples, plan: Plan, say: Callable[[str], object]) -> list[Line]:
    """Print the ratios, and write them as results.md and the samples as samples.json into *folder*."""
    _put(
        folder,
        {**origin(), "plan": vars(plan), "samples": samples, **_kept(folder, "cluster", "images", "gitlab", "class")},
    )
    found = lines(samples, plan)
    say(f"\n{table(found)}")
    return found


def write_cluster(
    folder: Path, samples: Samples, plan: cluster_report.Plan, say: Callable[[str], object]
) -> list[Line]:
    """The same for the measures on a cluster, which stand beside the others."""
    found = cluster_report.lines(samples, plan)
    say(f"\n{table(found)}")
    raw = json.loads((folder / "samples.json").read_text())
    measured = {**origin("kubernetes_asyncio", "jupyterhub-kubespawner"), "plan": vars(plan), "samples": samples}
    _put(folder, {**raw, "cluster": measured})
    return found


def write_images(folder: Path, samples: Samples, plan: image_report.Plan, say: Callable[[str], object]) -> list[Line]:
    """The same for what images cost."""
    found = image_report.lines(samples, plan)
    say(f"\n{table(found)}")
    measured = {**origin("aiohttp"), "plan": vars(plan), "samples": samples}
    _put(folder, {**json.loads((folder / "samples.json").read_text()), "images": measured})
    return found


def write_gitlab(folder: Path, samples: Samples, plan: gitlab_report.Plan, say: Callable[[str], object]) -> list[Line]:
    """The same for what projects in GitLab cost."""
    found = gitlab_report.lines(samples, plan)
    say(f"\n{table(found)}")
    measured = {**origin("python-gitlab", "oauthenticator"), "plan": vars(plan), "samples": samples}
    _put(folder, {**json.loads((folder / "samples.json").read_text()), "gitlab": measured})
    return found


def write_class(folder: Path, samples: Samples, plan: class_report.Plan, say: Callable[[str], object]) -> list[Line]:
    """The same for a class that starts together."""
    found = class_report.lines(samples, plan)
    say(f"\n{table(found)}")
    measured = {**origin("jupyterhub-kubespawner"), "plan": vars(plan), "samples": samples}
    _put(folder, {**json.loads((folder / "samples.json").read_text()), "class": measured})
    return found


def _kept(folder: Path, *parts: str) -> dict[str, Any]:
    """What earlier runs have left of the *parts* that this one does not measure."""
    path = folder / "samples.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    return {part: before[part] for part in parts if part in before}


def _put(folder: Path, raw: dict[str, Any]) -> None:
    (folder / "samples.json").write_text(json.dumps(raw, indent=1) + "\n")
    (folder / "results.md").write_text(text(json.loads(json.dumps(raw))))
