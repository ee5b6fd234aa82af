"""Clone one repository as its row says, without touching existing files."""

import os
import re
import shutil
import tempfile
import time

from runner import CloneFailed, CloneTimeout

UNFINISHED_PREFIX = ".renku-clone-"  # of unfinished clones, which the next run deletes


def check_row(row, protocols):
    """Raise CloneFailed for values that must never reach git; the hub has checked them before."""
    directory, url, ref = row["directory"], row["url"], row.get("ref")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}", directory) or directory.lower().endswith(".git"):
        raise CloneFailed("clone_failed", "This is not the name of a directory.")
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if scheme not in protocols or not host or "@" in host or not re.fullmatch(r"[!-~]{1,2000}", url):
        raise CloneFailed(
            "clone_failed", f"Only {' and '.join(protocols)} addresses without a user name can be cloned."
        )
    if ref is not None and not re.fullmatch(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/+#-]{0,199}", ref):
        raise CloneFailed("clone_ref", "This is not the name of a branch, a tag or a commit.")


def clone_repository(git, row):
    """Clone one repository unless it exists; return outcome and commit."""
    check_row(row, git.protocols)
    target = os.path.join(git.work, row["directory"])
    if os.path.lexists(os.path.join(target, ".git")):
        return "kept", None
    if os.path.lexists(target) and (os.path.islink(target) or not os.path.isdir(target) or os.listdir(target)):
        raise CloneFailed("clone_in_the_way", f"Something else is called {row['directory']} already.")
    new = tempfile.mkdtemp(prefix=f"{UNFINISHED_PREFIX}{row['directory']}-", dir=git.work)
    try:
        commit = fetch_repository(git, row, new)
        os.chmod(new, 0o755)
        os.rename(new, target)  # can replace an empty directory, but nothing else
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return "cloned", commit


def fetch_repository(git, row, new):
    """Clone into the empty folder *new*, as the row says; return the commit, None if the repository is empty."""
    deadline = time.monotonic() + git.timeout
    git(new, deadline, "clone", "--quiet", "--no-checkout", "--template=", "--", row["url"], new)
    check_out(git, new, deadline, row.get("ref"))
    if row.get("submodules"):
        git(new, deadline, "submodule", "--quiet", "update", "--init", "--recursive")
    if row.get("lfs"):
        pull_large_files(git, new, deadline, row["url"])
    return resolve_commit(git, new, deadline, "HEAD")


def check_out(git, folder, deadline, ref):
    """Check out the default branch, or *ref*: a branch (with its upstream, for later pulls), a tag or a commit."""
    if ref is None:
        if resolve_commit(git, folder, deadline, "HEAD"):
            git(folder, deadline, "checkout", "--quiet", "--force", "HEAD", "--")
    elif resolve_commit(git, folder, deadline, f"refs/remotes/origin/{ref}"):
        git(folder, deadline, "checkout", "--quiet", "--force", "-B", ref, "--track", f"refs/remotes/origin/{ref}")
    elif commit := resolve_commit(git, folder, deadline, f"refs/tags/{ref}") or find_commit(git, folder, deadline, ref):
        git(folder, deadline, "checkout", "--quiet", "--force", "--detach", commit, "--")
    else:
        raise CloneFailed("clone_ref", f"There is no branch, tag or commit {ref}.")


def resolve_commit(git, folder, deadline, name):
    """Return the commit of a name, None if there is none."""
    try:
        return git(folder, deadline, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except CloneTimeout:
        raise
    except CloneFailed:
        return None


def find_commit(git, folder, deadline, ref):
    """Return a commit by 7 to 40 hexadecimal digits; a full one is fetched if no branch or tag contains it."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", ref):
        return None
    found = resolve_commit(git, folder, deadline, ref)
    if not found and len(ref) == 40:
        try:
            git(folder, deadline, "fetch", "--quiet", "origin", ref)
        except CloneTimeout:
            raise
        except CloneFailed as error:
            raise error if error.code == "clone_disk_full" else CloneFailed("clone_ref", str(error)) from None
        found = resolve_commit(git, folder, deadline, ref)
    return found


def pull_large_files(git, folder, deadline, url):
    """Fetch the large files of the checked-out commit, and set up git-lfs in this repository.

    They always come from the repository's own server: an `.lfsconfig` may name a local path or ssh.
    """
    if not shutil.which("git-lfs"):
        raise CloneFailed("clone_failed", "It needs git-lfs, which is not installed here.")
    hooks = f"core.hooksPath={folder}/.git/hooks"  # git-lfs installs its hooks here; there are no others
    git(folder, deadline, "-c", hooks, "lfs", "install", "--local")
    server = f"lfs.url={url.rstrip('/').removesuffix('.git')}.git/info/lfs"
    git(folder, deadline, "-c", server, "lfs", "pull")
