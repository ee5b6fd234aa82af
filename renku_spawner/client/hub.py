"""The client: what people do with projects and their sessions."""

from __future__ import annotations

from collections.abc import Iterator

from . import calls, models
from .admin import Admin
from .documents import Documents
from .instances import Instances
from .storages import Storages


class Client(Instances, Documents, Admin, Storages):
    """One user at one hub.

    *url* is the hub's address, or that of any of its pages; *token* one of JupyterHub, made on the hub's page
    *Token*. A project is named by its id or its path, a session by its id; bodies and answers are the models of
    `renku_spawner.client.models`. Lists are iterators that ask for more when they come to it.

    Every call raises ClientError: NotAllowed, NotFound, Refused, Busy, HubAway or NotUnderstood.
    It is made for one thread. Used with `with`, its connections are closed at the end.
    """

    # ---- projects -------------------------------------------------------------------------------

    def projects(self, search: str = "") -> Iterator[models.ProjectEntryAnswer]:
        """The projects that one may see, with one's own instance of the default session of each."""
        for page in self._wire.pages(calls.PROJECTS, {"search": search}):
            yield from page.items

    def project(self, project: str) -> models.ProjectAnswer:
        return self._wire.ask(calls.PROJECT, project=project)

    def add_project(self, new: models.ProjectBody) -> models.ProjectAnswer:
        return self._wire.ask(calls.PROJECT_ADD, new)

    def change_project(self, project: str, change: models.ProjectChangeBody) -> models.ProjectAnswer:
        """Of *change* only what was given to its constructor is sent, and changes."""
        return self._wire.ask(calls.PROJECT_CHANGE, change, project=project)

    def remove_project(self, project: str) -> None:
        self._wire.ask(calls.PROJECT_REMOVE, project=project)

    def remove_member(self, project: str, name: str) -> None:
        """With one's own name: leave."""
        self._wire.ask(calls.MEMBER_REMOVE, project=project, name=name)

    # ---- sessions -------------------------------------------------------------------------------

    def sessions(self, project: str, search: str = "") -> Iterator[models.SessionAnswer]:
        """The sessions of a project, with one's own instance of each."""
        for page in self._wire.pages(calls.SESSIONS, {"search": search}, project=project):
            yield from page.items

    def session(self, project: str, session: str) -> models.SessionAnswer:
        return self._wire.ask(calls.SESSION, project=project, session=session)

    def session_by_id(self, session: str) -> models.SessionAnswer:
        """A session of any project that one may see."""
        return self._wire.ask(calls.SESSION_BY_ID, session=session)

    def add_session(self, project: str, new: models.SessionBody) -> models.SessionAnswer:
        return self._wire.ask(calls.SESSION_ADD, new, project=project)

    def copy_session(
        self, project: str, session: str, to: str, *, title: str | None = None, default: bool = False
    ) -> models.SessionAnswer:
        """Make a session of the project *to* that runs the same; without a *title* the same one, numbered if taken."""
        body = models.CopyBody(project=to, title=title, default=default)
        return self._wire.ask(calls.SESSION_COPY, body, project=project, session=session)

    def change_session(self, project: str, session: str, change: models.SessionChangeBody) -> models.SessionAnswer:
        """Of *change* only what was given to its constructor is sent, and changes."""
        return self._wire.ask(calls.SESSION_CHANGE, change, project=project, session=session)

    def remove_session(self, project: str, session: str, *, new_default: str | None = None) -> None:
        """*new_default* is the session that becomes the project's default, if this one is; else the oldest."""
        body = models.RemovalBody(new_default=new_default) if new_default else models.RemovalBody()
        self._wire.ask(calls.SESSION_REMOVE, body, project=project, session=session)

    def revisions(self, project: str, session: str) -> list[models.RevisionAnswer]:
        """The history of a session's environment, the newest first."""
        return self._wire.ask(calls.REVISIONS, project=project, session=session).items

    def set_revision(self, project: str, session: str, wanted: models.RevisionBody) -> models.SessionAnswer:
        """Accept a newer image, go back to an earlier one, or take another."""
        return self._wire.ask(calls.REVISION_SET, wanted, project=project, session=session)

    def dismiss(self, project: str, session: str, digest: str) -> models.SessionAnswer:
        """Say no more of the newer image with that digest."""
        body = models.DismissalBody(digest=digest)
        return self._wire.ask(calls.DISMISSAL, body, project=project, session=session)

    def take_successor(self, project: str, session: str, seen: models.SuccessorBody) -> models.SessionAnswer:
        """Change a session to the successor of its environment."""
        return self._wire.ask(calls.SUCCESSOR_TAKE, seen, project=project, session=session)

    # ---- images ---------------------------------------------------------------------------------

    def packages(self, project: str, session: str, search: str = "") -> models.SoftwareAnswer:
        """What is installed in a session's image. Raises NotFound also if nobody knows that."""
        return self._wire.ask(calls.PACKAGES, query={"search": search}, project=project, session=session)

    def built_images(self, project: str, repository: str = "", branch: str = "") -> models.BuiltImageList:
        """What CI has built of a branch of one of the project's repositories."""
        return self._wire.ask(calls.BUILT_IMAGES, query={"repository": repository, "branch": branch}, project=project)

    def check_image(self, asked: models.CheckBody) -> models.CheckedAnswer:
        """What a registry says of an image, and whether a session can be made from it."""
        return self._wire.ask(calls.IMAGE_CHECK, asked)
