"""What containers have written, and the answers of the log API."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .kube_errors import ApiError, bad_request
from .kube_validation import log_options

Object = dict[str, Any]
Lines = list[tuple[datetime, bytes]]
TRUE = {"true", "True", "1"}
WAITING = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
LOOK = 0.1  # seconds between two looks of a follower


class Output:
    """The output of all runs of one container; the last run is the current one."""

    def __init__(self) -> None:
        self.runs: list[Lines] = [[]]

    def write(self, text: str | bytes) -> None:
        raw = text.encode() if isinstance(text, str) else text
        self.runs[-1] += [(datetime.now(UTC), line) for line in raw.splitlines(keepends=True)]

    def restart(self) -> None:
        self.runs.append([])


class Logs:
    """Outputs by uid of the pod and name of the container."""

    def __init__(self) -> None:
        self.outputs: dict[tuple[str, str], Output] = {}

    def of(self, pod: Object, container: str) -> Output:
        return self.outputs.setdefault((pod["metadata"]["uid"], container), Output())


def statuses(pod: Object) -> dict[str, Object]:
    status = pod["status"]
    found = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return {one["name"]: one for one in found}


def chosen(pod: Object, wanted: str) -> str:
    """Return the container that is meant; raises ApiError(400)."""
    name = pod["metadata"]["name"]
    names = [one["name"] for one in pod["spec"]["containers"]]
    others = [one["name"] for one in pod["spec"].get("initContainers", [])]
    if wanted and wanted not in [*names, *others]:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    if not wanted and len(names) > 1:
        more = f" or one of the init containers: [{' '.join(others)}]" if others else ""
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]{more}"
        )
    return wanted or names[0]


def run(pod: Object, container: str, output: Output, previous: bool) -> Lines:
    """Return the lines of the run that is meant; raises ApiError(400) when there is none."""
    name = pod["metadata"]["name"]
    status = statuses(pod).get(container, {"state": {"waiting": {"reason": "ContainerCreating"}}})
    ended = "terminated" in status.get("lastState", {})
    if previous:
        if not ended:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return output.runs[-2] if len(output.runs) > 1 else output.runs[-1]
    if "waiting" in status["state"] and not ended:
        reason = status["state"]["waiting"].get("reason", "")
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {WAITING.get(reason, reason)}')
    return output.runs[-1]


class LogRequest:
    """One GET of pods/NAME/log."""

    def __init__(self, logs: Logs, pod: Object, query: Mapping[str, str]) -> None:
        name = pod["metadata"]["name"]
        self.tail, self.limit = (int(query[key]) if key in query else None for key in ("tailLines", "limitBytes"))
        if error := log_options(name, self.tail, self.limit):
            raise error
        self.query = query
        self.container = chosen(pod, query.get("container", ""))
        self.scheduled = "nodeName" in pod["spec"]
        if self.scheduled:
            output = logs.of(pod, self.container)
            self.lines = run(pod, self.container, output, query.get("previous") in TRUE)

    @property
    def follows(self) -> bool:
        return self.query.get("follow") in TRUE

    def show(self, lines: Lines) -> bytes:
        stamped = self.query.get("timestamps") in TRUE
        return b"".join((f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z ".encode() if stamped else b"") + line for at, line in lines)

    def body(self) -> bytes:
        lines = self.lines
        if since := self.query.get("sinceSeconds"):
            start = datetime.now(UTC) - timedelta(seconds=int(since))
            lines = [line for line in lines if line[0] >= start]
        if self.tail is not None:
            lines = lines[-self.tail :] if self.tail else []
        return self.show(lines)[: self.limit]

    async def more(self, running: Any) -> AsyncIterator[bytes]:
        """Yield what is written after `body` as long as `running()` says so."""
        seen = len(self.lines)
        while True:
            last = not running()
            if len(self.lines) > seen:
                text, seen = self.show(self.lines[seen:]), len(self.lines)
                yield text
            if last:
                return
            await asyncio.sleep(LOOK)


def unreachable(pod: Object, container: str) -> ApiError:
    """Return the answer when the node is lost."""
    host = pod["status"].get("hostIP", "10.245.0.10")
    path = f"containerLogs/{pod['metadata']['namespace']}/{pod['metadata']['name']}/{container}"
    return ApiError(500, f'Get "https://{host}:10250/{path}": dial tcp {host}:10250: connect: connection refused')
