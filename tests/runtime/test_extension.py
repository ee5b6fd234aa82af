"""What our extension counts, in the server of a session."""

import os
from pathlib import Path

from renku_session import size
from renku_session.hub import Hub


def test_a_size_counts_each_file_once_and_follows_no_link(tmp_path: Path) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    (work / "deep").mkdir(parents=True)
    elsewhere.write_bytes(b"x" * 10**7)
    (work / "link").symlink_to(elsewhere)
    empty = size.of(str(work))
    (work / "deep" / "data").write_bytes(b"x" * 10**6)
    full = size.of(str(work))
    os.link(work / "deep" / "data", work / "again")
    assert empty is not None and full is not None
    assert 10**6 <= full - empty < 10**6 + 8192
    assert size.of(str(work)) == full


def test_what_is_too_much_to_count_has_no_size(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(size, "_MOST", 2)
    for name in "abc":
        (tmp_path / name).touch()
    assert size.of(str(tmp_path)) is None


def test_without_a_hub_or_a_session_nobody_is_told() -> None:
    hub = {"JUPYTERHUB_API_URL": "http://hub/api", "JUPYTERHUB_API_TOKEN": "secret"}
    assert Hub.of({}) is None
    assert Hub.of(hub) is None
    assert Hub.of({**hub, "RENKU_SESSION_ID": "abc"})
