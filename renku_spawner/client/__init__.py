"""Python client of a hub's projects and sessions.

For example::

    with Client("https://hub.example.org", token) as hub:
        for session in hub.sessions("ada/climate"):
            print(session.title, session.instance.status)
"""

from __future__ import annotations

from .errors import Busy, ClientError, HubAway, NotAllowed, NotFound, NotUnderstood, Refused
from .hub_client import Client

__all__ = ["Busy", "Client", "ClientError", "HubAway", "NotAllowed", "NotFound", "NotUnderstood", "Refused"]
