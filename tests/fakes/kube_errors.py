"""Answers of the API server that are not the object asked for, in its own words."""

from typing import Any

PLAIN = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


class ApiError(Exception):
    """One refusal: either a Status object or (`text`) a plain line."""

    def __init__(
        self, status: int, message: str, reason: str = "", *, details: dict | None = None, metadata: dict | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason
        self.details, self.metadata = details, metadata or {}
        self.headers: dict[str, str] = {}
        self.text: str | None = None

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        body |= {"message": self.message} if self.message else {}
        body |= {"reason": self.reason} if self.reason else {}
        body |= {"details": self.details} if self.details is not None else {}
        return body | {"code": self.status}


def cause(reason: str, field: str, message: str) -> dict[str, str]:
    """One entry of details.causes; `reason` without its prefix FieldValue."""
    return {"reason": f"FieldValue{reason}", "message": message, "field": field}


def bad_request(message: str) -> ApiError:
    return ApiError(400, message, "BadRequest")


def not_found(resource: str, name: str) -> ApiError:
    return ApiError(404, f'{resource} "{name}" not found', "NotFound", details={"name": name, "kind": resource})


def no_such_path() -> ApiError:
    return ApiError(404, "the server could not find the requested resource", "NotFound", details={})


def plain(status: int, text: str, **headers: str) -> ApiError:
    error = ApiError(status, text)
    error.text = text + "\n"
    error.headers = PLAIN | {name.replace("_", "-"): value for name, value in headers.items()}
    return error


def too_many_requests() -> ApiError:
    return plain(429, "Too many requests, please try again later.", Retry_After="1")


def not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, message, "MethodNotAllowed", details={})


def exists(resource: str, name: str, dying: bool) -> ApiError:
    """Refuse to create what is there; `dying`: it is on its way out."""
    message = f'{"object is being deleted: " if dying else ""}{resource} "{name}" already exists'
    return ApiError(409, message, "AlreadyExists", details={"name": name, "kind": resource})


def conflict(resource: str, name: str) -> ApiError:
    message = (
        f'Operation cannot be fulfilled on {resource} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, message, "Conflict", details={"name": name, "kind": resource})


def wrong_uid(kind: str, name: str, wanted: str, found: str) -> ApiError:
    message = (
        f'Operation cannot be fulfilled on {kind} "{name}": the UID in the precondition ({wanted}) does not match '
        f"the UID in record ({found}). The object might have been deleted and then recreated"
    )
    return ApiError(409, message, "Conflict", details={"name": name, "kind": kind})


def forbidden(resource: str, name: str, why: str, causes: list[dict] | None = None) -> ApiError:
    details = {"name": name, "kind": resource} | ({"causes": causes} if causes else {})
    return ApiError(403, f'{resource} "{name}" is forbidden: {why}', "Forbidden", details=details)


def invalid(kind: str, name: str, causes: list[dict], group: str = "") -> ApiError:
    texts = [f"{found['field']}: {found['message']}" for found in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    full = f"{kind}.{group}" if group else kind
    details = {"name": name} | ({"group": group} if group else {}) | {"kind": kind, "causes": causes}
    details = {key: value for key, value in details.items() if value != ""}
    return ApiError(422, f'{full} "{name}" is invalid: {text}', "Invalid", details=details)


def expired(message: str, **metadata: str) -> ApiError:
    return ApiError(410, message, "Expired", metadata=metadata)
