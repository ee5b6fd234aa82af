"""Faults are tried on hubs in processes of their own."""

import contextlib
import socket
import threading

import pytest

from tests.faults.own_hub import own_hub


@pytest.fixture
def own(tmp_path):
    """A function that starts a hub; what it leaves running ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(own_hub(tmp_path, **settings))


class Hanging:
    """A git host that takes connections and says nothing, until it breaks them all off."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._open, self._released = [], False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                if self._released:
                    connection.close()
                else:
                    self._open.append(connection)

    @property
    def asked(self):
        return len(self._open)

    def release(self):
        self._released = True
        while self._open:
            self._open.pop().close()

    def close(self):
        self.release()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def hanging():
    host = Hanging()
    yield host
    host.close()
