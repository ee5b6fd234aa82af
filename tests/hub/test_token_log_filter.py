"""Tokens are hidden in log records, and a record that is not written costs nothing."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from tornado.log import access_log, app_log, gen_log

from renku_spawner.hub.startup import add_token_log_filter


class Recording(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class Costly:
    """An argument that counts how often it is formatted, as JupyterHub's query the database."""

    formatted = 0

    def __str__(self) -> str:
        self.formatted += 1
        return "/hub/?token=secret"


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A hub's logger as traitlets configures it: with the level DEBUG, whatever the log level of its handler."""
    loggers = [logging.Logger("hub", logging.DEBUG), access_log, app_log, gen_log]
    filters = [list(logger.filters) for logger in loggers]
    yield loggers[0]
    for logger, before in zip(loggers, filters, strict=True):
        logger.filters[:] = before


def add_filter(log: logging.Logger, level: int) -> Recording:
    handler = Recording(level)
    log.addHandler(handler)
    add_token_log_filter(SimpleNamespace(log=log))
    return handler


def test_a_record_that_no_handler_writes_is_not_formatted(log: logging.Logger) -> None:
    handler, argument = add_filter(log, logging.WARNING), Costly()
    # made directly: the suite's own factory formats all records, to look for tokens in them
    log.handle(logging.LogRecord("hub", logging.DEBUG, __file__, 1, "Asked for %s", (argument,), None))
    assert (argument.formatted, handler.messages) == (0, [])


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
def test_tokens_are_hidden_in_what_is_written(log: logging.Logger, level: int) -> None:
    handler = add_filter(log, level)
    log.warning("Asked for %s", Costly())
    assert handler.messages == ["Asked for /hub/?token=[hidden]"]


def test_tokens_are_hidden_for_a_handler_that_is_added_later(log: logging.Logger) -> None:
    add_filter(log, logging.WARNING)
    log.addHandler(later := Recording(logging.DEBUG))
    log.debug("Asked for %s", Costly())
    assert later.messages == ["Asked for /hub/?token=[hidden]"]


def test_tokens_are_hidden_for_a_handler_of_a_logger_above(log: logging.Logger) -> None:
    log.parent = logging.Logger("above", logging.DEBUG)
    log.parent.addHandler(above := Recording(logging.DEBUG))
    add_filter(log, logging.WARNING)
    log.debug("Asked for %s", Costly())
    assert above.messages == ["Asked for /hub/?token=[hidden]"]
