"""The fake GitLab's API on repositories: branches, commits, tags, trees, files, differences."""

import base64
import hashlib
from typing import Any

from .gitlab_call import Call, Refusal, Reply, message, route, wrong
from .gitlab_ci import seen_pipeline
from .gitlab_git import Object, Repository, Unknown
from .gitlab_lists import by_offset, number, place
from .gitlab_project import Project

FILES = ("api", "read_api", "read_repository")


def code(call: Call) -> Project:
    """The project of the path; raises Refusal unless the caller may read its code."""
    project = call.project
    if project.more.get("repository_access_level") == "disabled":
        raise message(404, "Repository Not Found")
    if not project.reads_code(call.user):
        raise message(403, "Forbidden")
    return project


def linked(call: Call, project: Project, commit: Object) -> Object:
    return commit | {"web_url": f"{call.lab.link_url}/{project.path}/-/commit/{commit['id']}"}


def found(repository: Repository, ref: str, what: str) -> str:
    try:
        return repository.sha(ref)
    except Unknown:
        raise message(404, f"{what} Not Found") from None


@route("/projects/:id/repository/branches", slow=True)
def branches(call: Call) -> Reply:
    project, word = code(call), call.query.get("search", "")
    names = [ref[11:] for ref in sorted(project.repository.refs()) if ref.startswith("refs/heads/")]
    return by_offset(call, [name for name in names if _fits(name, word)], lambda name: _branch(call, project, name))


def _fits(name: str, word: str) -> bool:
    if word.startswith("^"):
        return name.startswith(word[1:])
    return name.endswith(word[:-1]) if word.endswith("$") else word in name


@route("/projects/:id/repository/branches/:branch", slow=True)
def branch(call: Call) -> Reply:
    project, name = code(call), call.args["branch"]
    if ".." in name or name.startswith("-") or " " in name:
        raise Refusal(400, {"message": "The branch refname is invalid"})
    if f"refs/heads/{name}" not in project.repository.refs():
        raise message(404, "Branch Not Found")
    return Reply(_branch(call, project, name))


def _branch(call: Call, project: Project, name: str) -> Object:
    protected = name in project.protected
    return {
        "name": name,
        "commit": linked(call, project, project.repository.one(f"refs/heads/{name}")),
        "merged": False,
        "protected": protected,
        "developers_can_push": False,
        "developers_can_merge": protected,
        "can_push": project.pushes(call.user),
        "default": name == project.default_branch,
        "web_url": f"{call.lab.link_url}/{project.path}/-/tree/{name}",
    }


@route("/projects/:id/repository/tags", slow=True)
def tags(call: Call) -> Reply:
    project = code(call)
    if call.query.get("order_by", "updated") not in {"name", "updated", "version"}:
        raise wrong("order_by does not have a valid value")
    names = [ref[10:] for ref in project.repository.refs() if ref.startswith("refs/tags/")]
    return by_offset(call, sorted(names, reverse=True), lambda name: _tag(call, project, name))


@route("/projects/:id/repository/tags/:tag", slow=True)
def tag(call: Call) -> Reply:
    project = code(call)
    found(project.repository, f"refs/tags/{call.args['tag']}", "Tag")
    return Reply(_tag(call, project, call.args["tag"]))


def _tag(call: Call, project: Project, name: str) -> Object:
    target = project.repository.refs()[f"refs/tags/{name}"]
    commit = linked(call, project, project.repository.one(f"refs/tags/{name}"))
    body: Object = {"name": name, "message": "", "target": target, "commit": commit, "release": None}
    return body | {"protected": False, "created_at": None}


@route("/projects/:id/repository/commits", slow=True)
def commits(call: Call) -> Reply:
    project, query = code(call), call.query
    start = found(project.repository, query.get("ref_name") or project.default_branch, "Commit")
    flags = [f"--{name}={query[name]}" for name in ("since", "until", "author") if query.get(name)]
    flags += ["--first-parent"] if call.asks("first_parent") else []
    flags += ["--all"] if call.asks("all") else [start]
    rows = project.repository.log(*flags, *(["--", query["path"]] if query.get("path") else []))
    return by_offset(call, rows, lambda one: linked(call, project, one), counted=False)


@route("/projects/:id/repository/commits/:sha", slow=True)
def commit(call: Call) -> Reply:
    project = code(call)
    sha = found(project.repository, call.args["sha"], "Commit")
    last = seen_pipeline(call, project, sha)
    body = linked(call, project, project.repository.one(sha)) | {"stats": project.repository.stats(sha)}
    return Reply(body | {"status": last and last["status"], "project_id": project.id, "last_pipeline": last})


@route("/projects/:id/repository/compare", slow=True)
def compare(call: Call) -> Reply:
    """`commits` are those of `to` that `from` has not, oldest first."""
    project, query = code(call), call.query
    for name in ("from", "to"):
        if not query.get(name):
            raise wrong(f"{name} is missing, {name} is empty" if name not in query else f"{name} is empty")
    ends = [found(project.repository, query[name], "Ref") for name in ("from", "to")]
    rows = [linked(call, project, one) for one in project.repository.log("--reverse", f"{ends[0]}..{ends[1]}")]
    dots = ".." if call.asks("straight") else "..."
    diffs = _diffs(project.repository, ends[0] + dots + ends[1]) if ends[0] != ends[1] else []
    web = f"{call.lab.link_url}/{project.path}/-/compare/{ends[0]}{dots}{ends[1]}"
    body = {"commit": rows[-1] if rows else None, "commits": rows, "diffs": diffs, "compare_timeout": False}
    return Reply(body | {"compare_same_ref": ends[0] == ends[1], "web_url": web})


def _diffs(repository: Repository, between: str) -> list[Object]:
    rows = []
    for line in repository.git("diff", "--raw", "--no-abbrev", "--no-renames", between).decode().splitlines():
        about, path = line.split("\t")
        old, new, _, _, kind = about[1:].split(" ")
        text = repository.git("diff", "--no-renames", between, "--", path).decode(errors="replace")
        row = {"diff": text[text.find("@@") :] if "@@" in text else "", "collapsed": False, "too_large": False}
        row |= {"new_path": path, "old_path": path, "a_mode": old, "b_mode": new, "new_file": kind == "A"}
        rows.append(row | {"renamed_file": False, "deleted_file": kind == "D", "generated_file": False})
    return rows


@route("/projects/:id/repository/tree", slow=True)
def tree(call: Call) -> Reply:
    project, path = code(call), call.query.get("path", "")
    sha = found(project.repository, call.query.get("ref") or project.default_branch, "Tree")
    rows = project.repository.tree(sha, path, deep=call.asks("recursive"))
    if not rows and path:
        raise message(404, "invalid revision or path Not Found")
    if call.query.get("pagination") != "keyset":
        return by_offset(call, rows, lambda row: row)
    ids = [row["id"] for row in rows]
    start = ids.index(call.query["page_token"]) + 1 if call.query.get("page_token") in ids else 0
    some, size = rows[start:], min(number(call, "per_page", 20), 100)
    if len(some) <= size:
        return Reply(some)
    following = place(call, call.query | call.args | {"page_token": some[size - 1]["id"]})
    return Reply(some[:size], headers={"Link": f'<{following}>; rel="next"'})


@route("/projects/:id/repository/files/:path", scopes=FILES, slow=True)
def file(call: Call) -> Reply:
    if not call.query.get("ref"):
        raise wrong("ref is missing, ref is empty" if "ref" not in call.query else "ref is empty")
    about, content = _file(call)
    return Reply(about | {"content": base64.b64encode(content).decode()}, headers=_shown(about))


@route("/projects/:id/repository/files/:path/raw", scopes=FILES, slow=True)
def raw(call: Call) -> Reply:
    about, content = _file(call)
    name = about["file_name"]
    headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache, no-store, must-revalidate"}
    headers["Content-Disposition"] = f"inline; filename=\"{name}\"; filename*=UTF-8''{name}"
    return Reply(content, headers=headers | _shown(about))


def _file(call: Call) -> tuple[Object, bytes]:
    project, path = code(call), call.args["path"]
    ref = call.query.get("ref") or "HEAD"
    sha = found(project.repository, project.default_branch if ref == "HEAD" else ref, "Commit")
    try:
        content = project.repository.file(sha, path)
    except Unknown:
        raise message(404, "File Not Found") from None
    entry = project.repository.git("ls-tree", sha, "--", path).decode().split()
    about: dict[str, Any] = {"file_name": path.rpartition("/")[2], "file_path": path, "size": len(content)}
    about |= {"encoding": "base64", "content_sha256": hashlib.sha256(content).hexdigest(), "ref": ref}
    about |= {"blob_id": entry[2], "commit_id": sha, "execute_filemode": entry[0] == "100755"}
    last = project.repository.log("-1", sha, "--", path)[0]["id"]
    return about | {"last_commit_id": last}, content


def _shown(about: Object) -> dict[str, str]:
    names = {key: "-".join(part.capitalize() for part in key.split("_")) for key in about}
    return {
        f"X-Gitlab-{names[key]}": str(value).lower() if value in (True, False) else str(value)
        for key, value in about.items()
    }
