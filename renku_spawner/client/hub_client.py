"""`Client`: one method for each call of a hub's API. A test compares its endpoints with the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic, sleep
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel

from ..domain.session_files import DocumentPart
from ..web.administration.forms import OrphansBody, PauseAllBody, PauseBody
from ..web.administration.schemas import (
    AdminInstanceAnswer,
    AdminInstanceList,
    AuditAnswer,
    AuditList,
    ClaimAnswer,
    ClaimList,
    EnvironmentStartsAnswer,
    EnvironmentStartsList,
    FailureAnswer,
    FailureList,
    NodeList,
    OrphansAnswer,
    PauseAllAnswer,
    RemovedAnswer,
)
from ..web.environments.schemas import (
    ArchiveBody,
    EnvironmentBody,
    EnvironmentChangeBody,
    MoveBody,
    ReadyMadeAnswer,
    RollBackBody,
    StateBody,
)
from ..web.images.schemas import BuiltImageList, CheckBody, CheckedAnswer, DismissalBody, RevisionBody, SoftwareAnswer
from ..web.instances.schemas import (
    ContentsAnswer,
    InstanceAnswer,
    InstanceList,
    LogAnswer,
    MyInstanceAnswer,
    OwnAnswer,
    ProgressAnswer,
)
from ..web.schemas import (
    AwakeBody,
    HealthAnswer,
    ProjectBody,
    ProjectChangeBody,
    RemovalBody,
    SessionBody,
    SessionChangeBody,
    StartBody,
)
from ..web.sessions.schemas import (
    CopyBody,
    EnvironmentAnswer,
    EnvironmentList,
    FoundSessionAnswer,
    FoundSessionListAnswer,
    PlanAnswer,
    ProjectAnswer,
    ProjectEntryAnswer,
    ProjectList,
    ResourceClassAnswer,
    ResourceClassList,
    RevisionAnswer,
    RevisionList,
    SessionAnswer,
    SessionList,
)
from ..web.storages.schemas import (
    AskedStorageAnswer,
    AskedStorageList,
    OwnCredentialsBody,
    StorageAnswer,
    StorageBody,
    StorageChangeBody,
    StorageCredentialsBody,
    StorageList,
)
from .connection import READ_TIMEOUT_SECONDS, HubConnection, HubEndpoint
from .errors import Busy, HubAway


class EmptyAnswer(BaseModel):
    """An empty response, or one that the client ignores."""


GET_HEALTH = HubEndpoint("GET", "/health", HealthAnswer)
LIST_PROJECTS = HubEndpoint("GET", "/projects", ProjectList)
ADD_PROJECT = HubEndpoint("POST", "/projects", ProjectAnswer, ProjectBody)
GET_PROJECT = HubEndpoint("GET", "/projects/{project}", ProjectAnswer)
CHANGE_PROJECT = HubEndpoint("PATCH", "/projects/{project}", ProjectAnswer, ProjectChangeBody)
REMOVE_PROJECT = HubEndpoint("DELETE", "/projects/{project}", EmptyAnswer)
REMOVE_MEMBER = HubEndpoint("DELETE", "/projects/{project}/members/{name}", EmptyAnswer)

SEARCH_SESSIONS = HubEndpoint("GET", "/search", FoundSessionListAnswer)
LIST_SESSIONS = HubEndpoint("GET", "/projects/{project}/sessions", SessionList)
ADD_SESSION = HubEndpoint("POST", "/projects/{project}/sessions", SessionAnswer, SessionBody)
COPY_SESSION = HubEndpoint("POST", "/projects/{project}/sessions/{session}/copy", SessionAnswer, CopyBody)
GET_SESSION = HubEndpoint("GET", "/projects/{project}/sessions/{session}", SessionAnswer)
CHANGE_SESSION = HubEndpoint("PATCH", "/projects/{project}/sessions/{session}", SessionAnswer, SessionChangeBody)
REMOVE_SESSION = HubEndpoint("DELETE", "/projects/{project}/sessions/{session}", EmptyAnswer, RemovalBody)
START_SESSION = HubEndpoint("POST", "/projects/{project}/sessions/{session}/start", InstanceAnswer, StartBody)
STREAM_SESSION_EVENTS = HubEndpoint("GET", "/projects/{project}/sessions/{session}/events", ProgressAnswer)
EXPORT_SESSION_FILE = HubEndpoint("GET", "/projects/{project}/export", DocumentPart)
APPLY_SESSION_FILE = HubEndpoint("POST", "/projects/{project}/apply", PlanAnswer, DocumentPart)
LIST_REVISIONS = HubEndpoint("GET", "/projects/{project}/sessions/{session}/revisions", RevisionList)
SET_REVISION = HubEndpoint("POST", "/projects/{project}/sessions/{session}/revision", SessionAnswer, RevisionBody)
DISMISS_IMAGE_UPDATE = HubEndpoint(
    "POST", "/projects/{project}/sessions/{session}/dismissal", SessionAnswer, DismissalBody
)
LIST_PACKAGES = HubEndpoint("GET", "/projects/{project}/sessions/{session}/packages", SoftwareAnswer)
LIST_CI_IMAGES = HubEndpoint("GET", "/projects/{project}/images", BuiltImageList)
CHECK_IMAGE = HubEndpoint("POST", "/images/check", CheckedAnswer, CheckBody)

LIST_STORAGES = HubEndpoint("GET", "/projects/{project}/storages", StorageList)
ADD_STORAGE = HubEndpoint("POST", "/projects/{project}/storages", StorageAnswer, StorageBody)
CHANGE_STORAGE = HubEndpoint("PATCH", "/projects/{project}/storages/{storage}", StorageAnswer, StorageChangeBody)
REMOVE_STORAGE = HubEndpoint("DELETE", "/projects/{project}/storages/{storage}", EmptyAnswer)
CHECK_STORAGE = HubEndpoint("POST", "/projects/{project}/storages/{storage}/check", StorageAnswer)
LIST_REQUESTED_CREDENTIALS = HubEndpoint("GET", "/projects/{project}/sessions/{session}/credentials", AskedStorageList)
ENTER_CREDENTIALS = HubEndpoint(
    "POST", "/projects/{project}/sessions/{session}/credentials", AskedStorageList, OwnCredentialsBody
)
DELETE_CREDENTIALS = HubEndpoint("DELETE", "/storages/{storage}/credentials", EmptyAnswer)

GET_OWN_SESSION = HubEndpoint("GET", "/me", OwnAnswer)
LIST_MY_INSTANCES = HubEndpoint("GET", "/sessions", InstanceList)
STREAM_MY_EVENTS = HubEndpoint("GET", "/sessions/events", ProgressAnswer)
GET_SESSION_BY_ID = HubEndpoint("GET", "/sessions/{session}", SessionAnswer)
GET_INSTANCE_CONTENTS = HubEndpoint("GET", "/sessions/{session}/contents", ContentsAnswer)
PAUSE_INSTANCE = HubEndpoint("POST", "/sessions/{session}/pause", InstanceAnswer)
KEEP_INSTANCE_AWAKE = HubEndpoint("POST", "/sessions/{session}/keep-awake", InstanceAnswer, AwakeBody)
RESTORE_INSTANCE = HubEndpoint("POST", "/sessions/{session}/restore", InstanceAnswer)
DOWNLOAD_INSTANCE_FILES = HubEndpoint("GET", "/sessions/{session}/data", EmptyAnswer)
DELETE_INSTANCE = HubEndpoint("DELETE", "/sessions/{session}/instance", InstanceAnswer)
GET_INSTANCE_LOGS = HubEndpoint("GET", "/sessions/{session}/logs", LogAnswer)

LIST_RESOURCE_CLASSES = HubEndpoint("GET", "/resource-classes", ResourceClassList)
LIST_ENVIRONMENTS = HubEndpoint("GET", "/environments", EnvironmentList)
ADD_ENVIRONMENT = HubEndpoint("POST", "/environments", ReadyMadeAnswer, EnvironmentBody)
GET_ENVIRONMENT = HubEndpoint("GET", "/environments/{environment}", ReadyMadeAnswer)
CHANGE_ENVIRONMENT = HubEndpoint("PATCH", "/environments/{environment}", ReadyMadeAnswer, EnvironmentChangeBody)
ARCHIVE_ENVIRONMENT = HubEndpoint("POST", "/environments/{environment}/archive", ReadyMadeAnswer, ArchiveBody)
SET_ENVIRONMENT_STATE = HubEndpoint("POST", "/environments/{environment}/state", ReadyMadeAnswer, StateBody)
ROLL_BACK_ENVIRONMENT = HubEndpoint("POST", "/environments/{environment}/revision", ReadyMadeAnswer, RollBackBody)
MOVE_ENVIRONMENT = HubEndpoint("POST", "/environments/{environment}/move", ReadyMadeAnswer, MoveBody)

LIST_ALL_INSTANCES = HubEndpoint("GET", "/admin/instances", AdminInstanceList)
PAUSE_INSTANCE_FOR_USER = HubEndpoint("POST", "/admin/pause", EmptyAnswer, PauseBody)
LIST_NODES = HubEndpoint("GET", "/admin/nodes", NodeList)
PAUSE_ALL_INSTANCES = HubEndpoint("POST", "/admin/pause-all", PauseAllAnswer, PauseAllBody)
RESTORE_INSTANCE_FOR_USER = HubEndpoint("POST", "/admin/restore", EmptyAnswer, PauseBody)
LIST_ORPHANS = HubEndpoint("GET", "/admin/orphans", OrphansAnswer)
REMOVE_ORPHANS = HubEndpoint("DELETE", "/admin/orphans", RemovedAnswer, OrphansBody)
LIST_CLAIMS = HubEndpoint("GET", "/admin/claims", ClaimList)
LIST_FAILURES = HubEndpoint("GET", "/admin/failures", FailureList)
LIST_ENVIRONMENT_STARTS = HubEndpoint("GET", "/admin/launches", EnvironmentStartsList)
LIST_AUDIT_EVENTS = HubEndpoint("GET", "/admin/audit", AuditList)

UNSETTLED_STATUSES = ("launching", "stopping")
MAX_HUB_OUTAGE_SECONDS = 60.0  # for which a restart may make the hub unavailable
DELETION_TIMEOUT_SECONDS = 60.0  # a pod usually ends within this time
_DELETION_POLL_INTERVAL_SECONDS = 3.0
_RECONNECT_DELAY_SECONDS = 1.0  # after a stream has ended or failed
_MAX_LOG_LINES = 1000
_YAML_MEDIA_TYPE = "application/yaml"


class Client:
    """A client of one hub, as one user.

    *url* is the hub's address, or that of any of its pages; *token* is a JupyterHub API token, made on the hub's page
    *Token*. Projects are given by id or path, sessions by id. Request bodies and responses are the models of
    `renku_spawner.client.models`. Lists are iterators that fetch further pages when they are needed.

    Every call may raise ClientError: NotAllowed, NotFound, Refused, Busy, HubAway or NotUnderstood.
    A client is not thread-safe. Used with `with`, it closes its connections at the end.
    """

    def __init__(self, url: str, token: str, *, timeout: float = READ_TIMEOUT_SECONDS) -> None:
        """Prepare the connection; *timeout* is in seconds without a byte of a response.

        Raises:
            NotUnderstood: *url* is not a valid address.
        """
        self._wire = HubConnection(url, token, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, '…')"

    def close(self) -> None:
        self._wire.close()

    @property
    def url(self) -> str:
        """The hub's address, without a trailing slash."""
        return self._wire.api.removesuffix("/hub/api")

    def address(self, path: str) -> str:
        """Return the browser's URL for *path*: the `url` of an instance, or any other path or URL of a response."""
        parts = urlsplit(self.url)
        return path if urlsplit(path).netloc else f"{parts.scheme}://{parts.netloc}/{path.lstrip('/')}"

    def whoami(self) -> str:
        """Return the name of the token's user."""
        return self._wire.get_user_name()

    def health(self) -> HealthAnswer:
        """Return the health of everything that Renku depends on; admins also get it by name.

        Raises:
            Busy: the database is unavailable.
        """
        return self._wire.request(GET_HEALTH)

    def resource_classes(self) -> list[ResourceClassAnswer]:
        """List the resource classes, the smallest first."""
        return self._wire.request(LIST_RESOURCE_CLASSES).items

    # Projects

    def projects(self, search: str = "") -> Iterator[ProjectEntryAnswer]:
        """Iterate over the projects that the user can see, each with the user's instance of its default session."""
        return self._wire.iterate_items(LIST_PROJECTS, {"search": search})

    def project(self, project: str) -> ProjectAnswer:
        return self._wire.request(GET_PROJECT, project=project)

    def add_project(self, new: ProjectBody) -> ProjectAnswer:
        return self._wire.request(ADD_PROJECT, new)

    def change_project(self, project: str, change: ProjectChangeBody) -> ProjectAnswer:
        """Change a project; only the fields that were given to the constructor of *change* are sent."""
        return self._wire.request(CHANGE_PROJECT, change, project=project)

    def remove_project(self, project: str) -> None:
        self._wire.request(REMOVE_PROJECT, project=project)

    def remove_member(self, project: str, name: str) -> None:
        """Remove a member from a project; with the user's own name: leave it."""
        self._wire.request(REMOVE_MEMBER, project=project, name=name)

    # Sessions

    def search_sessions(self, search: str = "", package: str = "", into: str = "") -> Iterator[FoundSessionAnswer]:
        """Iterate over sessions of all visible projects, one for each image; *package* is like `xarray>=2025`.

        With *into*, a project that the user may change, its own sessions are left out.
        """
        return self._wire.iterate_items(SEARCH_SESSIONS, {"search": search, "package": package, "into": into})

    def sessions(self, project: str, search: str = "") -> Iterator[SessionAnswer]:
        """Iterate over the sessions of a project, each with the user's own instance."""
        return self._wire.iterate_items(LIST_SESSIONS, {"search": search}, project=project)

    def session(self, project: str, session: str) -> SessionAnswer:
        return self._wire.request(GET_SESSION, project=project, session=session)

    def session_by_id(self, session: str) -> SessionAnswer:
        """Return a session of any project that the user can see."""
        return self._wire.request(GET_SESSION_BY_ID, session=session)

    def add_session(self, project: str, new: SessionBody) -> SessionAnswer:
        return self._wire.request(ADD_SESSION, new, project=project)

    def copy_session(
        self, project: str, session: str, to: str, *, title: str | None = None, default: bool = False
    ) -> SessionAnswer:
        """Copy a session to the project *to*; the default *title* is that of the original, with a number if taken."""
        body = CopyBody(project=to, title=title, default=default)
        return self._wire.request(COPY_SESSION, body, project=project, session=session)

    def change_session(self, project: str, session: str, change: SessionChangeBody) -> SessionAnswer:
        """Change a session; only the fields that were given to the constructor of *change* are sent."""
        return self._wire.request(CHANGE_SESSION, change, project=project, session=session)

    def remove_session(self, project: str, session: str, *, new_default: str | None = None) -> None:
        """Remove a session; if it is the default, *new_default* becomes the new one, or else the oldest session."""
        body = RemovalBody(new_default=new_default) if new_default else RemovalBody()
        self._wire.request(REMOVE_SESSION, body, project=project, session=session)

    def revisions(self, project: str, session: str) -> list[RevisionAnswer]:
        """List the revisions of a session's environment, the newest first."""
        return self._wire.request(LIST_REVISIONS, project=project, session=session).items

    def set_revision(self, project: str, session: str, wanted: RevisionBody) -> SessionAnswer:
        """Accept a newer image, return to an earlier revision, or choose another environment or image."""
        return self._wire.request(SET_REVISION, wanted, project=project, session=session)

    def dismiss(self, project: str, session: str, digest: str) -> SessionAnswer:
        """Dismiss the newer image with that digest."""
        body = DismissalBody(digest=digest)
        return self._wire.request(DISMISS_IMAGE_UPDATE, body, project=project, session=session)

    # Images

    def packages(self, project: str, session: str, search: str = "") -> SoftwareAnswer:
        """Return the software installed in a session's image. Raises NotFound also if it is not known."""
        return self._wire.request(LIST_PACKAGES, query={"search": search}, project=project, session=session)

    def built_images(self, project: str, repository: str = "", branch: str = "") -> BuiltImageList:
        """List the images that CI built from a branch of one of the project's repositories."""
        return self._wire.request(LIST_CI_IMAGES, query={"repository": repository, "branch": branch}, project=project)

    def check_image(self, asked: CheckBody) -> CheckedAnswer:
        """Inspect an image in its registry, and check whether it can run as a session."""
        return self._wire.request(CHECK_IMAGE, asked)

    # The user's own instances

    def me(self) -> OwnAnswer:
        """Return the session in which the calling program runs; this needs the session's own token."""
        return self._wire.request(GET_OWN_SESSION)

    def mine(self) -> Iterator[MyInstanceAnswer]:
        """Iterate over the user's instances in all projects, also in those that the user can no longer see."""
        return self._wire.iterate_items(LIST_MY_INSTANCES)

    def start(
        self,
        project: str,
        session: str,
        *,
        resource_class: str | None = None,
        empty_disk: bool = False,
        without_storages: Iterable[str] = (),
        version: int | None = None,
        launch_version: str = "",
    ) -> InstanceAnswer:
        """Start or resume a session, and return as soon as the start is under way; a running session is no error.

        The default *resource_class* is the smallest that fits. *empty_disk* starts with a new disk after `volume_lost`.
        *without_storages* are the directories of storages to leave out of this start. *version* and *launch_version*
        are those of the session as it was read.

        Raises:
            Refused: `changed`, if the session has another version by now; nothing is started.
        """
        body = StartBody(
            resource_class=resource_class, empty_disk=empty_disk, without_storages=list(without_storages),
            version=version, launch_version=launch_version,
        )  # fmt: skip
        return self._wire.request(START_SESSION, body, project=project, session=session)

    def pause(self, session: str) -> InstanceAnswer:
        """Pause an instance; its files are kept. Raises NotFound if there is no instance."""
        return self._wire.request(PAUSE_INSTANCE, session=session)

    def keep_awake(self, session: str, seconds: int | None = None) -> InstanceAnswer:
        """Exempt an instance from idle pausing for *seconds*: an hour by default; 0 ends the exemption.

        Raises:
            Refused: the hub does not allow it.
        """
        return self._wire.request(KEEP_INSTANCE_AWAKE, AwakeBody(seconds=seconds), session=session)

    def restore(self, session: str) -> InstanceAnswer:
        """Restore an instance's data from the trash. Raises NotFound if there is no instance."""
        return self._wire.request(RESTORE_INSTANCE, session=session)

    def contents(self, session: str) -> ContentsAnswer:
        """Return the size of an instance's files, and its unsaved work. Raises NotFound if there is no instance."""
        return self._wire.request(GET_INSTANCE_CONTENTS, session=session)

    def download(self, session: str) -> Iterator[bytes]:
        """Iterate over the chunks of an archive with all files of a paused instance.

        It is a `.tar.zst` or a `.tar.gz`: `domain.downloads.detect_archive_format` tells by its first bytes.

        Raises:
            HubAway: the download broke off.
            Refused: the session runs (`download_running`), or there are no files.
        """
        return self._wire.stream_chunks(DOWNLOAD_INSTANCE_FILES, session=session)

    def delete_data(self, session: str, *, wait: float = DELETION_TIMEOUT_SECONDS) -> bool:
        """Delete the instance and its files for good, and return whether they are gone.

        False means that it takes longer than *wait* seconds; the hub then finishes it by itself.

        Raises:
            NotFound: there is no instance.
        """
        end = monotonic() + wait
        while self._wire.request_until_done(DELETE_INSTANCE, session=session) is not None:
            if monotonic() >= end:
                return False
            sleep(_DELETION_POLL_INTERVAL_SECONDS)
        return True

    def logs(self, session: str, lines: int = 200) -> list[str]:
        """Return the last *lines* of an instance's log, 1 to 1000."""
        return self._wire.request(GET_INSTANCE_LOGS, query={"lines": lines}, session=session).lines

    def follow_logs(self, session: str, lines: int = 200, *, every: float = 1.0) -> Iterator[list[str]]:
        """Iterate without end over an instance's log: the last *lines*, then new ones, polled *every* so many seconds.

        Lines are missing if the instance prints more than a thousand between two polls.
        """
        known: list[str] = []
        yield self.logs(session, lines) if lines else []
        known = self.logs(session, _MAX_LOG_LINES)
        while True:
            sleep(every)
            now = self.logs(session, _MAX_LOG_LINES)
            if new := find_new_log_lines(known, now):
                yield new
            known = now

    def events(self) -> Iterator[ProgressAnswer]:
        """Iterate over status changes of the user's instances, until the hub ends the stream (after 15 minutes)."""
        return self._wire.stream_events(STREAM_MY_EVENTS)

    def session_events(self, project: str, session: str) -> Iterator[ProgressAnswer]:
        """Iterate over status changes of the user's instance, until it has settled or the hub ends the stream."""
        return self._wire.stream_events(STREAM_SESSION_EVENTS, project=project, session=session)

    def until_settled(self, project: str, session: str) -> Iterator[ProgressAnswer]:
        """Iterate over status changes until the instance neither starts nor stops; survives a restart of the hub.

        Raises ClientError: HubAway or Busy once the hub has been unavailable for a minute.
        """
        last_contact = monotonic()
        while True:
            pause = _RECONNECT_DELAY_SECONDS
            try:
                for progress in self.session_events(project, session):
                    last_contact = monotonic()
                    yield progress
                    if progress.status not in UNSETTLED_STATUSES:
                        return
            except HubAway:
                if monotonic() - last_contact > MAX_HUB_OUTAGE_SECONDS:
                    raise
            except Busy as busy:
                if busy.code == "stream_replaced":  # the hub is available
                    last_contact = monotonic()
                if monotonic() - last_contact > MAX_HUB_OUTAGE_SECONDS:
                    raise
                pause = max(pause, busy.retry_after or 0)
            sleep(pause)

    # Sessions as code

    def export(self, project: str) -> str:
        """Export a project's sessions as YAML, to keep it in git and to apply it again."""
        return self._wire.request_text(EXPORT_SESSION_FILE, _YAML_MEDIA_TYPE, project=project)

    def export_document(self, project: str) -> DocumentPart:
        """Export the project's sessions as a parsed document."""
        return self._wire.request(EXPORT_SESSION_FILE, project=project)

    def apply(
        self, project: str, document: DocumentPart | str, *, dry_run: bool = False, prune: bool = False
    ) -> PlanAnswer:
        """Create and change a project's sessions as *document* (YAML text or parsed) says. Idempotent.

        A *dry_run* only reports the changes. With *prune*, sessions that the document does not name are removed, unless
        other users have data in them.

        Raises:
            Refused: `fields` has the errors by their path in the document.
        """
        query = {name: "true" for name, wanted in (("dry_run", dry_run), ("prune", prune)) if wanted}
        if isinstance(document, str):
            return self._wire.send_content(
                APPLY_SESSION_FILE, document.encode(), _YAML_MEDIA_TYPE, query, project=project
            )
        return self._wire.request(APPLY_SESSION_FILE, document, query, project=project)

    # Storages of projects, and the user's own credentials for them

    def storages(self, project: str) -> list[StorageAnswer]:
        """List a project's storages, without their credentials."""
        return self._wire.request(LIST_STORAGES, project=project).items

    def add_storage(self, project: str, new: StorageBody) -> StorageAnswer:
        """Add a storage; the hub checks that it can be opened before it is saved."""
        return self._wire.request(ADD_STORAGE, new, project=project)

    def change_storage(self, project: str, storage: str, change: StorageChangeBody) -> StorageAnswer:
        """Change a storage; *storage* is its id or its directory, here and below."""
        return self._wire.request(CHANGE_STORAGE, change, project=project, storage=storage)

    def remove_storage(self, project: str, storage: str) -> None:
        """Remove a storage from a project; the files in it are kept."""
        self._wire.request(REMOVE_STORAGE, project=project, storage=storage)

    def check_storage(self, project: str, storage: str) -> StorageAnswer:
        """Check again whether a storage can be opened."""
        return self._wire.request(CHECK_STORAGE, project=project, storage=storage)

    def asked_credentials(self, project: str, session: str) -> list[AskedStorageAnswer]:
        """List the storages of a session that need the user's own credentials."""
        return self._wire.request(LIST_REQUESTED_CREDENTIALS, project=project, session=session).items

    def enter_credentials(
        self,
        project: str,
        session: str,
        secrets: Mapping[str, Mapping[str, str]],
        *,
        asked: Sequence[AskedStorageAnswer],
        keep: bool = True,
    ) -> list[AskedStorageAnswer]:
        """Enter the user's own credentials, by the storages' directories.

        *asked* is the result of `asked_credentials` from before the user typed them; the credentials are valid only for
        these versions of the storages. Without *keep* the hub uses them for starts of the next hour only.

        Raises:
            Refused: `changed`, if an editor has changed one of these storages since; no credentials were used.
            KeyError: a directory is not in *asked*.
        """
        storages = {storage.directory: storage for storage in asked}
        entered = [
            StorageCredentialsBody.model_validate(
                {"id": storages[name].id, "version": storages[name].version, "secrets": dict(typed)}
            )
            for name, typed in secrets.items()
        ]
        body = OwnCredentialsBody(storages=entered, keep=keep)
        return self._wire.request(ENTER_CREDENTIALS, body, project=project, session=session).items

    def forget_credentials(self, storage: str) -> None:
        """Delete the user's own credentials for a storage, given by its id."""
        self._wire.request(DELETE_CREDENTIALS, storage=storage)

    # Ready-made environments

    def environments(self, search: str = "", *, keyword: str = "", state: str = "") -> Iterator[EnvironmentAnswer]:
        """Iterate over the ready-made environments on offer; admins may ask for another *state*, or for `all`."""
        query = {"search": search, "keyword": keyword, "state": state}
        return self._wire.iterate_items(LIST_ENVIRONMENTS, query)

    def environment(self, environment: str) -> ReadyMadeAnswer:
        """Return a ready-made environment in any state, with its use and its history."""
        return self._wire.request(GET_ENVIRONMENT, environment=environment)

    def add_environment(self, new: EnvironmentBody) -> ReadyMadeAnswer:
        return self._wire.request(ADD_ENVIRONMENT, new)

    def change_environment(self, environment: str, change: EnvironmentChangeBody) -> ReadyMadeAnswer:
        return self._wire.request(CHANGE_ENVIRONMENT, change, environment=environment)

    def archive_environment(self, environment: str, why: ArchiveBody) -> ReadyMadeAnswer:
        """Archive an environment: no new session starts from it."""
        return self._wire.request(ARCHIVE_ENVIRONMENT, why, environment=environment)

    def set_environment_state(self, environment: str, state: StateBody) -> ReadyMadeAnswer:
        """Offer, deprecate or archive an environment."""
        return self._wire.request(SET_ENVIRONMENT_STATE, state, environment=environment)

    def roll_environment_back(self, environment: str, wanted: RollBackBody) -> ReadyMadeAnswer:
        return self._wire.request(ROLL_BACK_ENVIRONMENT, wanted, environment=environment)

    def move_environment(self, environment: str, to: MoveBody) -> ReadyMadeAnswer:
        return self._wire.request(MOVE_ENVIRONMENT, to, environment=environment)

    # For admins

    def all_instances(
        self, *, status: str = "", owner: str = "", project: str = "", reason: str = ""
    ) -> Iterator[AdminInstanceAnswer]:
        """Iterate over the instances of all users, the latest start first. The audit log records this call."""
        query = {"status": status, "owner": owner, "project": project, "reason": reason}
        return self._wire.iterate_items(LIST_ALL_INSTANCES, query)

    def pause_for(self, username: str, session: str) -> None:
        """Pause a user's instance; its owner is told that an admin did it."""
        self._wire.request(PAUSE_INSTANCE_FOR_USER, PauseBody(username=username, session=session))

    def nodes(self) -> NodeList:
        """Return the number of running and of stopping sessions on each node of the cluster."""
        return self._wire.request(LIST_NODES)

    def pause_all(self, node: str | None = None, *, dry_run: bool = False) -> int:
        """Pause all sessions of a node, or of the hub, and return their number; a dry run only counts them."""
        wanted = PauseAllBody(node=node, all=node is None, dry_run=dry_run)
        return self._wire.request(PAUSE_ALL_INSTANCES, wanted).sessions

    def restore_for(self, username: str, session: str) -> None:
        """Restore a user's data from the trash. The audit log records this call."""
        self._wire.request(RESTORE_INSTANCE_FOR_USER, PauseBody(username=username, session=session))

    def orphans(self) -> OrphansAnswer:
        """List resources without a database record, and records without resources; at most 200 of each kind."""
        return self._wire.request(LIST_ORPHANS)

    def remove_orphans(self, orphans: OrphansBody) -> RemovedAnswer:
        """Remove orphaned resources for good; those that `orphans` would no longer list are left alone."""
        return self._wire.request(REMOVE_ORPHANS, orphans)

    def claims(self, owner: str = "") -> Iterator[ClaimAnswer]:
        """Iterate over the claims and folders with users' files, the oldest first. The audit log records this call."""
        return self._wire.iterate_items(LIST_CLAIMS, {"owner": owner})

    def failures(self) -> list[FailureAnswer]:
        """List the number of failed starts of the last 30 days, by day and reason."""
        return self._wire.request(LIST_FAILURES).items

    def starts(self) -> Iterator[EnvironmentStartsAnswer]:
        """Iterate over the statistics of starts by environment: their results and durations."""
        return self._wire.iterate_items(LIST_ENVIRONMENT_STARTS)

    def audit(self, *, actor: str = "", action: str = "") -> Iterator[AuditAnswer]:
        """Iterate over the audit log, the latest event first: actions and views of admins, and refused requests."""
        return self._wire.iterate_items(LIST_AUDIT_EVENTS, {"actor": actor, "action": action})


def find_new_log_lines(known: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the lines of *now* that follow its longest overlap with the end of *known*.

    Without an overlap, as after another start of the session, that is all of *now*.
    """
    for start in range(max(0, len(known) - len(now)), len(known)):
        length = len(known) - start
        if known[-1] == now[length - 1] and list(known[start:]) == list(now[:length]):
            return list(now[length:])
    return list(now)
