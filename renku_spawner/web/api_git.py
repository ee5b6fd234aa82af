"""The API of sessions themselves: what git inside asks for, with the session's own token."""

from __future__ import annotations

from pydantic import Field

from ..services import git_credentials
from . import own_token, throttle
from .answer_base import Answer
from .base_api import RenkuAPIHandler
from .bodies import Body, Text
from .operations import Operation
from .scopes import GIT


class GitAsked(Body):
    """What git says of the repository, of which it wants to know the password."""

    protocol: Text = Field(examples=["https"])
    host: Text = Field(description="With the port, if there is one", examples=["gitlab.example.org"])
    path: Text = Field(examples=["astro/lab/spectra.git"])

    def value(self) -> git_credentials.Asked:
        return git_credentials.Asked(protocol=self.protocol, host=self.host, path=self.path)


class CredentialAnswer(Answer):
    username: str = Field(examples=["oauth2"])
    password: str = Field(repr=False, description="Your GitLab access token, good for some minutes at least")


class GitCredential(RenkuAPIHandler):
    """Asked by `renku_spawner/runtime/clone/credential.sh`."""

    count = staticmethod(throttle.count_git)
    calls = {
        "post": Operation(
            summary="A password for git inside a session, asked for with the session's own token",
            scope=GIT, body=GitAsked, answer=CredentialAnswer, errors=(422, 429, 503),
        )
    }  # fmt: skip

    async def post(self) -> None:
        asked = self.body(GitAsked).value()
        session_id = await own_token.of_token(self.current_user, self.get_auth_token())
        found = await git_credentials.credential(self.parts, self.person, session_id, asked)
        self.answer(CredentialAnswer(username=found.username, password=found.password))
