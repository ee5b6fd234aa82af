"""What was found in an image is kept by its digest, the most trusted finding last."""

from dataclasses import replace

import pytest

from renku_spawner.domain.environments import EnvironmentKind
from renku_spawner.domain.sessions import Session
from renku_spawner.domain.software import MAX_PACKAGES, PackageKind, SoftwareOrigin, SoftwarePackage
from renku_spawner.persistence.database import Database, Transaction

from .made import DIGEST, NOW, environment, installed, later, project, revision, session, sighting

OTHER = "sha256:" + "b" * 64


def test_what_was_found_is_read_back(db: Database) -> None:
    found = replace(installed(("numpy", "2.3"), ("naïve", "1")), more=7)
    with db.write() as tx:
        assert tx.software.save(DIGEST, found)
    with db.read() as tx:
        assert tx.software.get(DIGEST) == replace(found, packages=tuple(sorted(found.packages)))
        assert tx.software.get(OTHER) is None
        assert (tx.software.get_origin(DIGEST), tx.software.get_origin(OTHER)) == (SoftwareOrigin.IMAGE, None)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (SoftwareOrigin.IMAGE, SoftwareOrigin.IMAGE, True),
        (SoftwareOrigin.IMAGE, SoftwareOrigin.PROBE, True),
        (SoftwareOrigin.PROBE, SoftwareOrigin.SBOM, True),
        (SoftwareOrigin.SBOM, SoftwareOrigin.SBOM, True),
        (SoftwareOrigin.SBOM, SoftwareOrigin.PROBE, False),
        (SoftwareOrigin.PROBE, SoftwareOrigin.IMAGE, False),
    ],
)  # fmt: skip
def test_a_finding_gives_way_to_one_with_as_much_trust(
    db: Database, before: SoftwareOrigin, after: SoftwareOrigin, kept: bool
) -> None:
    old, new = installed(("a", "1"), origin=before), installed(("b", "2"), origin=after, now=later(9))
    with db.write() as tx:
        tx.software.save(DIGEST, old)
    with db.write() as tx:
        assert tx.software.save(DIGEST, new) is kept
    with db.read() as tx:
        assert tx.software.get(DIGEST) == (new if kept else old)


def test_the_hubs_own_python_is_never_kept_as_an_image(db: Database) -> None:
    with pytest.raises(ValueError, match="not those of an image"), db.write() as tx:
        tx.software.save(DIGEST, installed(("a", "1"), origin=SoftwareOrigin.HUB))
    with db.read() as tx:
        assert tx.software.get(DIGEST) is None


def test_as_many_packages_as_there_may_be_fit(db: Database) -> None:
    many = tuple(
        SoftwarePackage(name=f"{number:04}{'n' * 196}", version="1" * 100, kind=PackageKind.R)
        for number in range(MAX_PACKAGES)
    )
    found = replace(installed(), packages=many)
    with db.write() as tx:
        tx.software.save(DIGEST, found)
    with db.read() as tx:
        assert tx.software.get(DIGEST) == found


def of_session(tx: Transaction, path: str, digest: str) -> Session:
    """A session of a project's own environment with that image."""
    where = project(tx, path)
    own = environment(tx, path, kind=EnvironmentKind.EXTERNAL, project=where.id)
    made = session(tx, where, own)
    tx.environments.add_revision(own.id, revision(digest), by="ada", now=NOW)
    return made


def test_what_no_session_may_start_or_accept_is_forgotten_when_it_is_old(db: Database) -> None:
    ready_made, kept, left, closed, tagged, nobodys, young = (f"sha256:{digit * 64}" for digit in "1234567")
    with db.write() as tx:
        made = environment(tx, "Ready-made")
        tx.environments.add_revision(made.id, revision(ready_made), by="admin", now=NOW)
        of_session(tx, "ada/kept", kept)
        tx.sessions.delete(of_session(tx, "ada/left", left).id, NOW)
        tx.projects.delete(of_session(tx, "ada/closed", closed).project, NOW)
        tx.images.save(sighting(digest=tagged))
        for digest in (ready_made, kept, left, closed, tagged, nobodys):
            tx.software.save(digest, installed(("numpy", "2.3")))
        tx.software.save(young, replace(installed(("numpy", "2.3")), found_at=later(60)))
        assert (tx.software.prune(later(30)), tx.software.prune(later(30))) == (3, 0)
        found = {each for each in (ready_made, kept, left, closed, tagged, nobodys, young) if tx.software.get(each)}
    assert found == {ready_made, kept, tagged, young}
