"""The end of a log: quickly, whole lines, and nothing in it that must not be shown."""

import os

import pytest

from renku_spawner.spawners.logs import read_file_tail, redact_log


@pytest.fixture
def log(tmp_path):
    return tmp_path / "server.log"


def test_the_last_lines_are_returned(log):
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert read_file_tail(log, lines=3) == "line 997\nline 998\nline 999"


def test_a_short_log_is_returned_whole(log):
    log.write_text("one\ntwo")
    assert read_file_tail(log) == "one\ntwo"


def test_only_the_end_of_a_huge_log_is_read(log):
    with open(log, "wb") as file:
        file.truncate(10 * 1024**3)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    assert read_file_tail(log, lines=1) == "the end"


def test_a_line_that_is_cut_off_is_left_out(log):
    log.write_text("secret-" + "x" * 100 + "\nwhole\n")
    assert read_file_tail(log, limit=50) == "whole"


def test_a_word_that_is_cut_off_is_left_out(log):
    log.write_text("secret" * 100 + " word word")
    assert read_file_tail(log, limit=50) == "word word"


@pytest.mark.parametrize("kind", ["nothing", "folder", "link", "fifo"])
def test_what_is_no_plain_file_is_empty(log, tmp_path, kind):
    if kind == "folder":
        log.mkdir()
    elif kind == "link":
        (tmp_path / "secret").write_text("x")
        log.symlink_to(tmp_path / "secret")
    elif kind == "fifo":
        os.mkfifo(log)
    assert read_file_tail(log) == ""


def test_broken_characters_do_no_harm(log):
    log.write_bytes(b"a\xff\xfeb\n")
    assert read_file_tail(log) == "a\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /user/a/?token=abc123&x=1 HTTP", "GET /user/a/?token=[hidden]&x=1 HTTP"),
        ("access_token=abc;x", "access_token=[hidden];x"),
        ("PRIVATE_TOKEN=abc", "PRIVATE_TOKEN=[hidden]"),
        ('{"api_token": "abc", "x": 1}', '{"api_token": "[hidden]", "x": 1}'),
        ("Authorization: Bearer abc.def\nnext", "Authorization: [hidden]\nnext"),
        ("{'authorization': 'token abc'}", "{'authorization': [hidden]"),
        ("https://ada:hunter2@example.org/x", "https://[hidden]@example.org/x"),
        ("https://glpat-abc@example.org/x", "https://[hidden]@example.org/x"),
        ("password=hunter2 rest", "password=[hidden] rest"),
        ("aws_secret_access_key = wJalr/XUtnFEMI+K7=", "aws_secret_access_key = [hidden]"),
        ('{"SecretAccessKey": "wJalr/XUtnFEMI"}', '{"SecretAccessKey": "[hidden]"}'),
        ("aws_access_key_id=AKIAIOSFODNN7EXAMPLE", "aws_access_key_id=[hidden]"),
        ("with AKIAIOSFODNN7EXAMPLE and more", "with AKIA[hidden] and more"),
        ("ASIAIOSFODNN7EXAMPLE", "ASIA[hidden]"),
        ("cloned with glpat-abcDEF123_-xyz09.", "cloned with glpat-[hidden]"),
        ("'glpat-abcdefghijkl.01.0abcdef12'", "'glpat-[hidden]'"),
        ("gldt-abcDEF123_-xyz09 glrt-abcDEF123_-xyz09", "gldt-[hidden] glrt-[hidden]"),
        ("glcbt-1_abcDEF123, gloas-0123456789abcdef", "glcbt-[hidden], gloas-[hidden]"),
        ("GR1348941abcDEF123_-xyz09", "GR1348941[hidden]"),
        (f"ghp_{'a1' * 18} gho_{'a1' * 18}", "ghp_[hidden] gho_[hidden]"),
        (f"github_pat_11ABCDEFG0_{'a1' * 20}", "github_pat_[hidden]"),
        ("curl -H 'Basic YWRhOmh1bnRlcjI='", "curl -H 'Basic [hidden]'"),
        ("sent Bearer eyJhbGciOi1.eyJz.x-y_z", "sent Bearer [hidden]"),
        ("Basic initialization, basic authentication", "Basic initialization, basic authentication"),
        ("Basic HTTP/1.1 and Bearer of news", "Basic HTTP/1.1 and Bearer of news"),
        ("the ghp_ and glpat- prefixes, AKIA too", "the ghp_ and glpat- prefixes, AKIA too"),
        ("access keys are counted, as is a password", "access keys are counted, as is a password"),
        (
            "[I 2026-01-01 10:00:00.000 ServerApp] Writing cookie",
            "[I 2026-01-01 10:00:00.000 ServerApp] Writing cookie",
        ),
        ("see https://example.org/@ada", "see https://example.org/@ada"),
        ("tokens are counted", "tokens are counted"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("to\x1b[1mken=abc", "token=[hidden]"),
        ("a\x00b\x08c\x7fd\x9be", "abcde"),
        ("a\tb\nc", "a\tb\nc"),
        ("10%\r20%\r\ndone", "10%\n20%\ndone"),
        ("abc\u202edcba\u2066", "abcdcba"),
        ("<b>é 漢</b>", "<b>é 漢</b>"),
    ],
)
def test_what_must_not_be_shown_is_hidden(text, shown):
    assert redact_log(text) == shown


def test_given_secrets_are_hidden_in_every_form():
    text = "s3cr3t/x and s3cr3t%2Fx and s3cr3t/x-longer"
    assert redact_log(text, ["", "s3cr3t/x", "s3cr3t/x-longer"]) == "[hidden] and [hidden] and [hidden]"


def test_a_long_line_is_cut_where_no_secret_is_halved():
    front = "x " * 2040
    assert redact_log(f"{front}https://ada:{'hunter2' * 30}@example.org/\nnext") == f"{front}https:// [line cut]\nnext"
    assert redact_log("y" * 5000) == "y" * 4096 + " [line cut]"
    assert redact_log("z" * 4096) == "z" * 4096


def test_a_text_that_is_too_long_loses_its_front():
    lines = "".join(f"line {number} password=hunter2\n" for number in range(10_000))
    shown = redact_log(lines)
    assert len(shown) < 80_000
    assert shown.splitlines()[0].startswith("line ")
    assert "hunter" not in shown
    assert shown.endswith("line 9999 password=[hidden]\n")
