"""The demo's volume: what no repository should hold, and everybody may read."""

from __future__ import annotations

import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path

DESCRIPTION = "Daily weather at four stations, simulated"
_STATIONS = {"Arosa": 1878, "Davos": 1594, "Saentis": 2501, "Zermatt": 1608}
_FIRST, _DAYS = date(2020, 1, 1), 1461


def make(folder: Path) -> None:
    """Write what is missing: one table for each station."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, altitude in _STATIONS.items():
        file = folder / f"{name.lower()}.csv"
        if not file.exists():
            _write(file, name, altitude)


def _write(file: Path, name: str, altitude: int) -> None:
    chance = random.Random(name)
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["day", "temperature_c", "precipitation_mm"])
        for number in range(_DAYS):
            season = -math.cos(2 * math.pi * (number - 15) / 365.25)
            warmth = 15 - altitude / 154 + 9 * season + chance.gauss(0, 3)
            rain = chance.expovariate(0.2) if chance.random() < 0.4 else 0.0
            table.writerow([_FIRST + timedelta(days=number), f"{warmth:.1f}", f"{rain:.1f}"])
