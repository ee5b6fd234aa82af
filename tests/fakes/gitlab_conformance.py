"""What the conformance test of the fake GitLab compares: the recorded world, who asks, and what may differ."""

import base64
import json
import re
from functools import cache
from typing import Any

import httpx

from tests.fixtures.images import Made

from .compact import MARK, unpacked
from .gitlab import SCOPES, FakeGitLab
from .gitlab_bodies import DATA
from .gitlab_git import Submodule
from .gitlab_project import Project

Object = dict[str, Any]
# What is never the same twice. Everything else must be equal.
NORMALISED = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
    (r'("(?:queued_)?duration": )[\d.]+', r'\1"<seconds>"'),
    (r'("filename": "job.log", "size": )\d+', r'\1"<bytes>"'),
    (r'("details_path": "[^"]*/)\d+', r"\1<number>"),
    (r"(?<!sha256:)\b[0-9a-f]{64}\b", "<token or sha256>"),
    (r"\b[0-9a-f]{40}\b", "<object>"),  # trees and blobs; commits have got their recorded names before
    (r'("(?:iid|runner_manager)": )\d+', r'\1"<number>"'),
    (r'("created_at": )\d+', r'\1"<seconds>"'),  # of tokens
    (r"(\"expires_in(?:_seconds)?\": )(69\d\d|719\d)", r"\g<1>7200"),  # the recorded token is some minutes old
)
# Headers whose values are never the same twice; they must be there.
CHANGING = {"X-Gitlab-Meta", "X-Request-Id", "X-Runtime", "RateLimit-Observed", "RateLimit-Remaining"}
CHANGING |= {"RateLimit-Reset", "RateLimit-ResetTime", "X-Gitlab-Blob-Id"}
# Headers that belong to the connection or to the server in front; a registry's Etag was not always recorded.
DROPPED = {"Date", "Server", "Content-Length", "Connection", "Transfer-Encoding", "Etag"}
WRITES = "nobody here writes by the API"
PROXY = "one page of a proxy is enough"
# Recordings that the fake does not imitate, and why nobody needs them.
NOT_IMITATED = {
    "commit-statuses": "the state of CI is read from pipelines",
    "error-400-model-validation": WRITES,
    "error-405-moved-non-get": WRITES,
    "error-409-lock": WRITES,
    "error-502-gitlab-page": PROXY,
    "error-503-maintenance": WRITES,
    "error-504-nginx": PROXY,
    "jwt-auth-token-claims": "no answer of its own: what jwt-auth-token holds, compared there",
    "pipeline-bridges": "of a bridge only what it has begun is told",
    "tags": "releases and protected tags are not kept",
}
URL, REGISTRY = "https://gitlab.example.com", "registry.example.com"
COMMITS = {
    "ed677ba6d05c8f7cbcd17d7ddc169239f2c0fb1b": ("main", "Pin numpy", "1763647330 +0100"),
    "d1ff7f227136a525fa53ec3f69d03d58fd6af242": ("main", "Add Dockerfile", "1763971862 +0100"),
    "5172e4b10c7e8698fd23a2c1f52849b3b32f5310": ("main", "Break the build", "1763973600 +0100"),
    "066b97157ab24ebd9272d06f726b35b266839cb1": ("main", "Fix the build", "1763974531 +0100"),
}
GPU = "2141269e3a34de0f3ccfdc55b87d9106ac5fe365"
JANE = ("Jane Doe", "jane@example.com")
ENVIRONMENT = "name: base\ndependencies:\n  - python=3.12\n  - numpy=2.3\n"
DOCKERFILE = (
    "FROM registry.example.com/infra/base-images:2026.11\nCOPY environment.yml .\n"
    "RUN mamba env update -n base -f environment.yml\n"
)
VENDOR = Submodule("640d87e741e6aa4c669a82a4cd304787960513ab")
FILES: list[dict[str, str | bytes | None]] = [
    {".gitlab/note.md": "a\n", ".gitlab-ci.yml": "a\n", "environment.yml": ENVIRONMENT, "vendor": VENDOR},
    {"Dockerfile": DOCKERFILE},
    {".gitlab-ci.yml": "b\n"},
    {".gitlab-ci.yml": "c\nd\ne\n"},
]
DIGEST = "sha256:f96a2ff918309d0f5b3a300e950b138b0f346a28504f98e53fef06a9ffd10888"
INDEX = "sha256:c66a8eb7e6a7e395bf000e8884c7de131a5cf32a9f42de44a1b9ceaf47c8900e"


@cache
def exchanges() -> Object:
    """Recordings by name: request, status, headers, body."""
    found: Object = json.loads((DATA / "exchanges.json").read_text())
    common = found.pop("headers")
    bodies = json.loads((DATA / "bodies.json").read_text())
    for case, (request, status, headers, body) in found.items():
        found[case] = (request, status, unpacked(common, headers), whole(body, bodies))
    return found


def whole(value: Any, bodies: Object) -> Any:
    if isinstance(value, list):
        return [whole(entry, bodies) for entry in value]
    return unpacked(bodies[value["of"]], {MARK: value[MARK]}) if isinstance(value, dict) and MARK in value else value


def named(*beginnings: str) -> list[str]:
    """Recordings that the fake imitates and whose names begin so."""
    return [case for case in exchanges() if case not in NOT_IMITATED and case.startswith(beginnings)]


def furnish(lab: FakeGitLab) -> dict[str, str]:
    """Make the world of the recordings; return the recorded names of commits by those that git has given them."""
    lab.external_url, lab.registry_host = URL, REGISTRY
    for number, name, full, space in ((7, "jane", "Jane Doe", 701), (9, "omar", "Omar Haddad", 702)):
        lab.user(name, id=number, name=full, namespace_id=space)
    lab.user("lena", id=11, name="Lena Fischer")
    lab.user("gus", id=13)
    astro = lab.group("astro", id=12)
    lab.group("astro/lab", id=15)
    lab.group("courses", id=21, visibility="public")
    lab.group("infra", id=30, visibility="internal")
    about = "Spectral fitting notebooks"
    spectra = lab.project("astro/lab/spectra", id=42, description=about, protected={"main"})
    lab.member(astro, "jane", 30)
    lab.member(spectra, "omar", 40)
    guest = {"name": "Guest with code", "description": "Guest that can read code", "read_code": True}
    guest |= {"admin_merge_request": False, "read_vulnerability": False, "read_runners": False}
    lab.member(spectra, "lena", 10, guest)
    spectra.members[11].expires_at = "2027-01-31"
    demo = lab.project("jane/notebook-demo", id=57)
    lab.project("courses/public-course", id=63, visibility="public")
    lab.project("infra/base-images", id=88, visibility="internal")
    lab.project("astro/old-survey", id=95, archived=True)
    for number in (63, 88, 95):
        lab.world.projects[number].push("main", {"README.md": "read\n"})
    lab.world.projects[95].last_activity = "2023-05-01T09:00:00.000Z"
    lab.world.old_paths["astro/lab/old-spectra"] = 42
    names = commits(spectra, demo)
    spectra.last_activity = demo.last_activity = "2026-11-24T08:31:05.210Z"
    pipelines(spectra, {recorded: real for real, recorded in names.items()})
    images(spectra)
    return names


def commits(spectra: Project, demo: Project) -> dict[str, str]:
    names = {}
    for (recorded, (branch, title, date)), files in zip(COMMITS.items(), FILES, strict=True):
        names[spectra.push(branch, files, message=f"{title}\n", author=JANE, date=date)] = recorded
        if title == "Add Dockerfile":
            spectra.repository.git("branch", "feature/gpu", "main")
    gpu = spectra.push("feature/gpu", {"gpu.txt": "x\n"}, message="Try gpu\n", author=JANE, date="1763917200 +0100")
    text = "".join(f"{line}\n" for line in range(40))
    first = demo.push("main", {"a": text}, message="Initial commit\n", author=JANE, date="1759305600 +0200")
    return names | {gpu: GPU, first: GPU}


def pipelines(spectra: Project, real: dict[str, str]) -> None:
    shas = list(real)
    build, test = {"name": "build-image"}, {"name": "test", "stage": "test"}
    log = exchanges()["job-trace"][3].encode()
    rows: list[tuple[int, int, str, list[Object]]] = [
        (90102, 0, "success", []),
        (90210, 1, "success", [build | {"id": 501011}, test | {"id": 501012}]),
        (90225, 2, "failed", [build | {"id": 501025, "log": log}, test | {"id": 501026, "status": "skipped"}]),
        (90230, 3, "running", [build | {"id": 501031}, test | {"id": 501032, "status": "created"}]),
    ]
    for number, at, status, jobs in rows:
        before = real[shas[at - 1]] if at else "0" * 40
        spectra.pipeline(real[shas[at]], status, jobs=jobs, id=number, iid=number, by="jane", before_sha=before)


def images(spectra: Project) -> None:
    found = spectra.registry()
    found.id, found.size, found.cleaned_at = 310, 4289314822, "2026-11-24T02:10:14.006Z"
    config = exchanges()["registry-tag-detail"][3]["revision"]
    documents = [json.dumps(exchanges()[f"registry-v2-{name}"][3]).encode() for name in ("config", "manifest", "index")]
    kinds = [f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index")]
    made = Made({f"sha256:{config}": documents[0]}, {DIGEST: (documents[1], kinds[0])}, DIGEST)
    created = "2026-11-24T08:20:41.000+00:00"
    for tag in ("d1ff7f2", "d1ff7f22", "main", "latest", "cache"):
        spectra.image(tag, made=made, created=created, total_size=1842203648)
    old = exchanges()["registry-tag-detail-reproducible"][3]
    spectra.image("ed677ba6", digest=old["digest"], created="1970-01-01T00:00:00.000+00:00", revision=old["revision"])
    found.tags["ed677ba6"].total_size = old["total_size"]
    gpu = spectra.registry("gpu")
    gpu.id, gpu.cleaned_at = 311, found.cleaned_at
    spectra.image("latest", name="gpu", made=Made({}, {INDEX: (documents[2], kinds[1])}, INDEX))


def normal(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    for pattern, shown in NORMALISED:
        text = re.sub(pattern, shown, text)
    return json.loads(text)


def expected(case: str) -> Object:
    _, status, headers, body = exchanges()[case]
    return answer(status, headers, body)


def answer(status: int, headers: Object, body: Any) -> Object:
    """What is compared; lists of projects by id, as those of the same moment come in any order."""
    kept = {key: "<changes>" if key in CHANGING else value for key, value in headers.items() if key not in DROPPED}
    if isinstance(body, list) and body and "path_with_namespace" in body[0]:
        body = sorted(body, key=lambda one: one["id"])
    return normal({"status": status, "headers": kept, "body": body})


class Client:
    """Sends recorded requests to the fake, and reads its answers as if it were at the recorded addresses."""

    def __init__(self, lab: FakeGitLab, names: dict[str, str], http: httpx.AsyncClient) -> None:
        self.lab, self.names, self.http = lab, names, http

    async def send(self, method: str, path: str, *, who: str | None = "jane", **more: Any) -> Object:
        """Send a request as somebody with a good token, or with `headers` or `auth` of one's own."""
        if who and not {"headers", "auth"} & more.keys():
            more["headers"] = {"Authorization": f"Bearer {self.lab.token(who, SCOPES)}"}
        if path.startswith("https://"):
            path = path.replace(f"https://{REGISTRY}", self.lab.registry_url)
        for real, recorded in self.names.items():
            path = path.replace(recorded, real)
        return self.read(await self.http.request(method, path, **more))

    def read(self, response: httpx.Response) -> Object:
        headers = {_cased(key): self.recorded(value) for key, value in response.headers.items()}
        text = self.recorded(response.text)
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        return answer(response.status_code, headers, body)

    def recorded(self, text: str) -> str:
        text = text.replace(self.lab.url, URL)
        for real, recorded in self.names.items():
            text = text.replace(real, recorded).replace(f'"{real[:8]}"', f'"{recorded[:8]}"')
        return text


def _cased(name: str) -> str:
    """A header's name as it was recorded."""
    found = name.title()
    for wrong, right in (("Www-", "WWW-"), ("Ratelimit-Resettime", "RateLimit-ResetTime"), ("Ratelimit", "RateLimit")):
        found = found.replace(wrong, right)
    return found


def claims(token: str) -> Object:
    """What a token of the registry says, but for its times and number."""
    middle = token.split(".")[1]
    found: Object = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return {key: value for key, value in found.items() if key not in {"jti", "iat", "nbf", "exp"}}
