"""What a project says of where it lives."""

from dataclasses import replace

from renku_spawner.domain.projects import Repository

from .values import project

EXTRA = Repository(directory="tools", url="https://git.example.org/ada/tools.git")
OWN = replace(EXTRA, directory="climate", url="https://gitlab.example.org/ada/climate.git", fixed=True)


def test_a_project_of_gitlab_is_its_own_first_repository_and_one_of_the_hub_has_none() -> None:
    there, here = project(source="gitlab", repositories=(OWN, EXTRA)), project(source="hub", repositories=(EXTRA,))
    assert (there.own_repository, here.own_repository) == (OWN, None)
    assert (there.is_hub_project, here.is_hub_project) == (False, True)
