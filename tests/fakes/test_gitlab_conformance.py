"""The fake GitLab's API answers as GitLab's recorded exchanges do, request by request."""

from contextlib import contextmanager, nullcontext

import pytest

from tests.fakes.compact import differences
from tests.fakes.gitlab_conformance import NOT_IMITATED, exchanges, expected, named

# Who asks, where it is not jane.
ASKING = {
    "error-401-no-token": None,
    "project-63-anonymous": None,
    "project-42-as-guest": "gus",
    "error-403-forbidden": "gus",
    "error-403-registry-guest": "gus",
    "protected-branches": "omar",
}
FAULTS = {
    "error-429-application": "429 json:60",
    "error-429-rack-attack": "429:1342",
    "error-500": "500",
    "error-502-nginx": "502",
    "error-503-unavailable": "503",
}
# Beginnings of what other tests imitate.
ELSEWHERE = ("oauth-", "git-", "jwt-", "registry-v2-", "error-401-", "projects-large-")
API = [case for case in named("") if case not in named(*ELSEWHERE)]


def test_what_is_not_imitated_was_recorded():
    assert set(exchanges()) >= NOT_IMITATED.keys()


@contextmanager
def guest(lab, spectra):
    lab.member(spectra, "gus", 10)
    yield
    lab.remove_member(spectra, "gus")


@contextmanager
def old_images(lab, spectra):
    old = spectra.registry("old")
    old.id, old.status, old.cleaned_at = 312, "delete_scheduled", spectra.images[0].cleaned_at
    yield
    spectra.images.remove(old)


@contextmanager
def broken_pipeline(lab, spectra):
    body = exchanges()["pipeline-yaml-error"][3]
    before = next(one.sha for one in spectra.pipelines if one.id == 90210)
    more = {"yaml_errors": body["yaml_errors"], "before_sha": before}
    made = spectra.pipeline(body["sha"], "failed", jobs=[], id=90001, by="jane", **more)
    yield
    spectra.pipelines.remove(made)


@contextmanager
def no_code(lab, spectra):
    spectra.more["repository_access_level"] = "disabled"
    yield
    del spectra.more["repository_access_level"]


@contextmanager
def blocked(lab, spectra):
    lab.world.users["jane"].state = "blocked"
    yield
    lab.world.users["jane"].state = "active"


@contextmanager
def without_terms(lab, spectra):
    lab.world.users["jane"].terms_accepted = False
    yield
    lab.world.users["jane"].terms_accepted = True


# What the note of a recording says, brought about and undone.
STATES = {
    "project-42-as-guest": guest,
    "error-403-forbidden": guest,
    "error-403-registry-guest": guest,
    "registry-repositories-tags": old_images,
    "pipeline-yaml-error": broken_pipeline,
    "error-404-repository-disabled": no_code,
    "error-403-blocked-user": blocked,
    "error-403-terms": without_terms,
}


@pytest.mark.parametrize("case", API)
async def test_the_api_answers_as_recorded(case, gitlab_client):
    gitlab_client.lab.mode = FAULTS.get(case, "ok")
    method, path = exchanges()[case][0].split(" ")[:2]
    path = path.replace("?...&", "?membership=true&pagination=keyset&order_by=id&sort=asc&archived=false&")
    more = {}
    if case == "error-403-insufficient-scope":
        more["headers"] = {"Authorization": f"Bearer {gitlab_client.lab.token('jane', ('read_user',))}"}
    with STATES[case](gitlab_client.lab, gitlab_client.lab.world.projects[42]) if case in STATES else nullcontext():
        got = await gitlab_client.send(method, path, who=ASKING.get(case, "jane"), **more)
    assert not differences(expected(case), got)


async def test_long_lists_are_not_counted(gitlab_client):
    """The recorded bodies are short ones, whatever was asked."""
    projects = gitlab_client.lab.world.projects
    some = dict.fromkeys(range(100000, 110001), projects[42])
    projects |= some
    got = await gitlab_client.send("GET", "/api/v4/projects?per_page=2")
    for number in some:
        del projects[number]
    assert got | {"body": None} == expected("projects-large-offset") | {"body": None}
    assert len(got["body"]) == 2


SPOILT = {"expired": "expire", "revoked": "revoke"}


@pytest.mark.parametrize("case", ["bad-token", "expired", "revoked", "no-token"])
async def test_tokens_that_are_no_good_are_refused_as_recorded(case, gitlab_client):
    token = gitlab_client.lab.token("jane")
    if case in SPOILT:
        getattr(gitlab_client.lab, SPOILT[case])("jane")
    headers = {"bad-token": {"Authorization": "Bearer nothing"}, "no-token": {}}
    more = headers.get(case, {"Authorization": f"Bearer {token}"})
    got = await gitlab_client.send("GET", "/api/v4/user", headers=more)
    assert got == expected(f"error-401-{case}")
