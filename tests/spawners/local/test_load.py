"""What instances use of processors: a program that calculates is seen, whoever began it, and one that sleeps is not."""

import sys
from pathlib import Path

import pytest

from renku_spawner.spawners.local import process
from renku_spawner.spawners.local.process import CPUMeter, measure_cpu_seconds, stop_server_process

from .test_process import SLEEP, start, until

BELOW = (
    "import os, subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {!r}], env={{}}, start_new_session=True)"
)
LOOP = "while True: pass"
COMMANDS = {"busy": LOOP, "below": BELOW.format(LOOP)}


@pytest.fixture
async def running(tmp_path):
    """Folders of instances that calculate, by themselves and by a program without a mark, and of one that sleeps."""
    commands = {name: [sys.executable, "-S", "-c", code] for name, code in COMMANDS.items()} | {"asleep": SLEEP}
    folders = {name: tmp_path / name for name in commands}
    for name, folder in folders.items():
        folder.mkdir()
        await start(folder, commands[name])
    yield folders
    for folder in folders.values():
        await stop_server_process(folder, grace=0)


def used(folders: dict[str, Path]) -> dict[str, float]:
    found = measure_cpu_seconds(list(folders.values()))
    return {name: found[folder] for name, folder in folders.items()}


async def test_who_calculates_uses_processors_and_who_sleeps_does_not(running):
    await until(lambda: min(used(running)[name] for name in COMMANDS) > 0.1)
    meter, folders = CPUMeter(least=0.01), list(running.values())
    assert meter.measure_cores(folders) == {}, "the first look has nothing to compare with"
    before = used(running)
    await until(lambda: min(used(running)[name] - before[name] for name in COMMANDS) > 0.1)
    cores = meter.measure_cores(folders)
    assert min(cores[running[name]] for name in COMMANDS) > 0
    assert cores[running["asleep"]] == 0.0


async def test_two_looks_shortly_after_each_other_tell_nothing(tmp_path):
    meter = CPUMeter()
    assert (meter.measure_cores([tmp_path]), meter.measure_cores([tmp_path])) == ({}, {})


async def test_who_has_ended_is_counted_with_whoever_waited_for_it(tmp_path):
    folder = tmp_path / "waits"
    folder.mkdir()
    begun = "subprocess.run([sys.executable, '-S', '-c', 'sum(range(10**7))'])"
    code = f"import subprocess, sys, time; {begun}; time.sleep(600)"
    pid = await start(folder, [sys.executable, "-S", "-c", code])
    await until(lambda: (found := process.find_process(pid)) and found.seconds > 0.05)
    assert measure_cpu_seconds([folder])[folder] > 0.05
    await stop_server_process(folder, grace=0)
