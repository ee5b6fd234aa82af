"""`renku-spawner export` and `apply`, against a real hub."""

from pathlib import Path

from renku_spawner.client import Client
from tests.client.typed import Run


def test_sessions_go_into_a_file_and_come_back_from_it(run: Run, session, client: Client, tmp_path: Path) -> None:
    project = client.project(session.project)
    exported = run("export", project.path)
    file = tmp_path / "renku.yaml"
    file.write_text(exported.out)
    assert (exported.code, f"project: {project.path}\n" in exported.out) == (0, True)
    assert run("export", project.id, "--json").json["sessions"][0]["title"] == "Explore"
    same = run("apply", "-f", str(file))
    assert (same.code, same.out, same.err) == (0, "Nothing changes.\n", "")

    more = "- title: More\n  environment: {ready_made: python}\n"
    file.write_text(exported.out.replace("memory: 1Gi", "memory: 2Gi") + more)
    look = run("apply", "-f", str(file), "--dry-run", "--exit-code")
    changes = "~ Explore\n    memory: 1Gi -> 2Gi\n+ More\n    environment: Python\n"
    needs = "    needs: 0.5 CPU, 1 GiB memory, 1 GiB disk\n"
    assert (look.code, look.err) == (8, "")
    assert look.out == f"{changes}{needs}Would be done: 1 added, 1 changed.\n"
    assert run("apply", "-f", "-", stdin=file.read_text()).out == look.out.replace("Would be done", "Done")
    assert run("apply", "-f", str(file), "--dry-run", "--exit-code").code == 0
    pruned = run("apply", project.path, "-f", "-", "--prune", stdin="version: 1\nsessions:\n" + more)
    assert (pruned.code, pruned.out) == (0, "- Explore\nDone: 1 removed.\n")
    assert [each.title for each in client.sessions(project.id)] == ["More"]


def test_a_file_that_cannot_be_applied_says_why(run: Run, session, client: Client, tmp_path: Path) -> None:
    path, file = client.project(session.project).path, tmp_path / "renku.yaml"
    for text, code, said in (
        ("version: 1", 2, "The file names no project"),
        ("a: &a 1", 1, "Line 1: anchors"),
        (f"version: 1\nproject: {path}\ncolour: red", 4, "colour: There is no such key. (line 3)"),
        (f"version: 1\nproject: alice/{'x' * 20}", 3, "There is no such page"),
        (f"project: {path}\nversion: 1\n#" + "x" * 70_000, 1, "larger than 64 kB"),
    ):
        file.write_text(text)
        done = run("apply", "-f", str(file))
        assert (done.code, said in done.err) == (code, True), done
    wrong = f"version: 1\nproject: {path}\nsessions:\n- title: A\n  environment: {{ready_made: R}}"
    file.write_text(wrong)
    look = run("apply", "-f", str(file), "--dry-run")
    assert (look.code, look.err) == (4, "renku-spawner: This cannot be applied.\n")
    assert "! sessions.0.environment.ready_made: This hub offers no such environment.\n" in look.out
    assert run("apply", "-f", str(tmp_path / "absent")).code == 1
