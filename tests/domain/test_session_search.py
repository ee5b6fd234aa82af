"""What may be written as a package, and which versions it means."""

import pytest

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.session_search import parse_package_requirement


@pytest.mark.parametrize(
    ("text", "versions", "others"),
    [
        ("xarray", ["2024.1", "1:3~beta"], []),
        ("xarray>=2025", ["2025.1", "2026.0rc1"], ["2024.11"]),
        ("xarray >= 2025, <2026", ["2025.12"], ["2026.1", "2024.1"]),
        ("R 4.5", ["4.5", "4.5.2"], ["4.4.3", "5.0"]),
        ("Python 3.13.*", ["3.13.1"], ["3.12.4"]),
        ("gdal==3.6.2", ["3.6.2", "1:3.6.2+dfsg-1"], ["3.6.3"]),
        ("tool>2", ["v3.0-git.abc"], ["nightly"]),
    ],
)
def test_a_version_fits_or_not(text: str, versions: list[str], others: list[str]) -> None:
    wanted = parse_package_requirement(text)
    assert wanted is not None
    assert [version for version in versions + others if wanted.is_met_by(version)] == versions


def test_names_are_compared_as_package_managers_do() -> None:
    wanted = parse_package_requirement("Scikit_Learn")
    assert wanted is not None
    assert wanted.names == {"scikit-learn", "scikit_learn"}


def test_no_text_is_no_requirement() -> None:
    assert parse_package_requirement("  ") is None


@pytest.mark.parametrize("text", ["xarray=>1", "==1", "a b c", "naïve", "x" * 201, "xarray>=" + "1" * 300, "%", "a\0"])
def test_anything_else_is_refused_at_its_field(text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_package_requirement(text)
    assert list(refused.value.fields) == ["package"]
