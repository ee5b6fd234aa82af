"""The user that an image names: its numbers, and what is none."""

import pytest

from renku_spawner.domain import facts, image_user
from renku_spawner.domain.environment import NewRevision, RunConfiguration
from renku_spawner.domain.errors import Invalid
from renku_spawner.domain.image_user import Ids

OWN = RunConfiguration(image_user=True)


def known(user: str) -> dict:
    return facts.as_json(facts.ImageFacts(digest="sha256:" + "0" * 64, user=user))


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("1001", Ids(uid=1001, gid=None)), ("65532:65532", Ids(uid=65532, gid=65532)), ("999:0", Ids(uid=999, gid=0)),
        ("1000:users", Ids(uid=1000, gid=None)), ("1000:", Ids(uid=1000, gid=None)), ("007", Ids(uid=7, gid=None)),
    ],
)  # fmt: skip
def test_a_number_is_run_as_it_stands_there(user: str, found: Ids) -> None:
    image_user.check(OWN, known(user))
    run = image_user.applied(NewRevision(image="x", repository="x", facts=known(user), run=OWN))
    assert (run.uid, run.group) == (found.uid, found.gid)


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("", "root"), ("0", "root"), ("000:5", "root"), ("root:root", "root"), (":5", "root"),
        ("jovyan", "“jovyan”"), ("roots", "“roots”"), ("-5", "“-5”"), ("٣", "“٣”"), ("2147483648", "“2147483648”"),
        ("9" * 90, "number"),
    ],
)  # fmt: skip
def test_root_and_a_name_are_refused_with_words(user: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        image_user.check(OWN, known(user))
    assert list(refused.value.fields) == ["image_user"]
    assert image_user.of(NewRevision(image="x", repository="x", facts=known(user), run=OWN)) is None


def test_of_what_nobody_knows_nothing_is_said() -> None:
    image_user.check(OWN, {})
    assert image_user.applied(NewRevision(image="x", repository="x", run=OWN)) == OWN


def test_who_has_not_chosen_it_is_not_asked() -> None:
    image_user.check(RunConfiguration(), known("root"))
    plain = NewRevision(image="x", repository="x", facts=known("1001:5"))
    assert image_user.applied(plain) == RunConfiguration()
