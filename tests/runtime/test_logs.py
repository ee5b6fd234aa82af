"""The end of a log: quickly, whole lines, and nothing in it that must not be shown."""

import os

import pytest

from renku_spawner.runtime.logs import redact, tail


@pytest.fixture
def log(tmp_path):
    return tmp_path / "server.log"


def test_the_last_lines_are_returned(log):
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert tail(log, lines=3) == "line 997\nline 998\nline 999"


def test_a_short_log_is_returned_whole(log):
    log.write_text("one\ntwo")
    assert tail(log) == "one\ntwo"


def test_only_the_end_of_a_huge_log_is_read(log):
    with open(log, "wb") as file:
        file.truncate(10 * 1024**3)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    assert tail(log, lines=1) == "the end"


def test_a_line_that_is_cut_off_is_left_out(log):
    log.write_text("secret-" + "x" * 100 + "\nwhole\n")
    assert tail(log, limit=50) == "whole"


def test_a_word_that_is_cut_off_is_left_out(log):
    log.write_text("secret" * 100 + " word word")
    assert tail(log, limit=50) == "word word"


@pytest.mark.parametrize("kind", ["nothing", "folder", "link", "fifo"])
def test_what_is_no_plain_file_is_empty(log, tmp_path, kind):
    if kind == "folder":
        log.mkdir()
    elif kind == "link":
        (tmp_path / "secret").write_text("x")
        log.symlink_to(tmp_path / "secret")
    elif kind == "fifo":
        os.mkfifo(log)
    assert tail(log) == ""


def test_broken_characters_do_no_harm(log):
    log.write_bytes(b"a\xff\xfeb\n")
    assert tail(log) == "a\ufffd\ufffdb"


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
    assert redact(text) == shown


def test_given_secrets_are_hidden_in_every_form():
    text = "s3cr3t/x and s3cr3t%2Fx and s3cr3t/x-longer"
    assert redact(text, ["", "s3cr3t/x", "s3cr3t/x-longer"]) == "[hidden] and [hidden] and [hidden]"
