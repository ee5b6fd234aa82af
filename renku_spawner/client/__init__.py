"""A hub's projects and sessions for programs: `Client(url, token)`.

For example::

    with Client("https://hub.example.org", token) as hub:
        for session in hub.sessions("ada/climate"):
            print(session.title, session.instance.status)
"""

from __future__ import annotations

from .errors import Busy, ClientError, HubAway, NotAllowed, NotFound, NotUnderstood, Refused
from .hub import Client

__all__ = ["Busy", "Client", "ClientError", "HubAway", "NotAllowed", "NotFound", "NotUnderstood", "Refused"]
