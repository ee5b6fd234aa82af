"""The user that an image names: its numbers, and what is none."""

import pytest

from renku_spawner.domain.environments import NewRevision, RunConfiguration
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.image_metadata import (
    ImageMetadata,
    ImageUserIds,
    apply_image_user,
    check_image_user,
    get_image_user_ids,
    to_image_metadata_json,
)

OWN = RunConfiguration(image_user=True)


def known(user: str) -> dict:
    return to_image_metadata_json(ImageMetadata(digest="sha256:" + "0" * 64, user=user))


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("1001", ImageUserIds(uid=1001, gid=None)),
        ("65532:65532", ImageUserIds(uid=65532, gid=65532)),
        ("999:0", ImageUserIds(uid=999, gid=0)),
        ("1000:users", ImageUserIds(uid=1000, gid=None)),
        ("1000:", ImageUserIds(uid=1000, gid=None)),
        ("007", ImageUserIds(uid=7, gid=None)),
    ],
)
def test_a_number_is_run_as_it_stands_there(user: str, found: ImageUserIds) -> None:
    check_image_user(OWN, known(user))
    run = apply_image_user(NewRevision(image="x", repository="x", facts=known(user), run=OWN))
    assert (run.uid, run.group) == (found.uid, found.gid)


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("", "root"),
        ("0", "root"),
        ("000:5", "root"),
        ("root:root", "root"),
        (":5", "root"),
        ("jovyan", "“jovyan”"),
        ("roots", "“roots”"),
        ("-5", "“-5”"),
        ("٣", "“٣”"),
        ("2147483648", "“2147483648”"),
        ("9" * 90, "number"),
    ],
)
def test_root_and_a_name_are_refused_with_words(user: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as refused:
        check_image_user(OWN, known(user))
    assert list(refused.value.fields) == ["image_user"]
    assert get_image_user_ids(NewRevision(image="x", repository="x", facts=known(user), run=OWN)) is None


def test_of_what_nobody_knows_nothing_is_said() -> None:
    check_image_user(OWN, {})
    assert apply_image_user(NewRevision(image="x", repository="x", run=OWN)) == OWN


def test_who_has_not_chosen_it_is_not_asked() -> None:
    check_image_user(RunConfiguration(), known("root"))
    plain = NewRevision(image="x", repository="x", facts=known("1001:5"))
    assert apply_image_user(plain) == RunConfiguration()
