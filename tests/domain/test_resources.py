"""Which resources may be asked for, and which class somebody gets."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.access import Person
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.resource_classes import (
    ResourceClass,
    ResourceRequirements,
    build_no_fitting_class_message,
    check_resource_requirements,
    find_unmet_requirements,
    list_fitting_classes,
    sort_resource_classes,
)

SMALL = ResourceClass(name="small", cpu="1", memory="2Gi", disk="10Gi")
MEDIUM = ResourceClass(name="medium", cpu="4", memory="8Gi", disk="50Gi")
WIDE = ResourceClass(name="wide", cpu="32", memory="8Gi", disk="50Gi", users=frozenset({"ada"}))
GPU = ResourceClass(name="gpu", cpu="4", memory="16Gi", gpu=1, disk="200Gi", groups=frozenset({"ai"}))
CLASSES = [SMALL, MEDIUM, WIDE, GPU]
ADA, BOB = Person(name="ada"), Person(name="bob", groups=frozenset({"ai"}))


@pytest.mark.parametrize(
    "needs",
    [
        ResourceRequirements(cpu="10m", memory="16Mi", disk="16Mi"),
        ResourceRequirements(cpu="1024", memory="64Ti", gpu=64, disk="1Pi"),
    ],
)
def test_the_widest_range_includes_its_ends(needs: ResourceRequirements) -> None:
    assert check_resource_requirements(needs) is needs


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_resource_requirements(ResourceRequirements(cpu="0", memory="x", gpu=-1, disk="2Pi"))
    assert list(refusal.value.fields) == ["cpu", "memory", "gpu", "disk"]


def test_requirements_count_in_cores_bytes_and_devices() -> None:
    needs = ResourceRequirements(cpu="500m", memory="1Gi", gpu=2, disk="1k")
    assert needs.get_amounts() == {"cpu": Decimal("0.5"), "memory": 1024**3, "gpu": 2, "disk": 1000}


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (ResourceRequirements(), "0.5 CPU, 1 GiB memory, 1 GiB disk"),
        (ResourceRequirements(cpu="2", memory="1500Mi", gpu=1, disk="1Ti"), "2 CPU, 1.5 GiB memory, 1 GPU, 1 TiB disk"),
    ],
)
def test_requirements_read_as_words(needs: ResourceRequirements, words: str) -> None:
    assert needs.summary == words
    assert build_no_fitting_class_message(needs) == f"None of your classes has {words}; ask an admin."


@pytest.mark.parametrize(("size", "words"), [(SMALL, "1 CPU, 2 GiB"), (GPU, "4 CPU, 16 GiB, 1 GPU")])
def test_a_class_shows_its_size(size: ResourceClass, words: str) -> None:
    assert size.size_label == words


@pytest.mark.parametrize(
    ("users", "groups", "ada", "bob"),
    [
        (None, None, True, True),
        (frozenset(), None, False, False),
        (None, frozenset(), False, False),
        (frozenset({"ada"}), None, True, False),
        (None, frozenset({"ai"}), False, True),
        (frozenset({"ada"}), frozenset({"ai"}), True, True),
    ],
)
def test_a_class_is_for_its_users_and_groups(
    users: frozenset[str] | None, groups: frozenset[str] | None, ada: bool, bob: bool
) -> None:
    size = ResourceClass(name="x", cpu="1", memory="1Gi", users=users, groups=groups)
    assert (size.is_usable_by(ADA), size.is_usable_by(BOB)) == (ada, bob)


@pytest.mark.parametrize(
    ("person", "needs", "names"),
    [
        (ADA, ResourceRequirements(), ["small", "medium", "wide"]),
        (BOB, ResourceRequirements(), ["small", "medium", "gpu"]),
        (ADA, ResourceRequirements(cpu="5"), ["wide"]),
        (BOB, ResourceRequirements(cpu="5"), []),
        (BOB, ResourceRequirements(gpu=1), ["gpu"]),
        (ADA, ResourceRequirements(disk="11Gi"), ["medium", "wide"]),
        (ADA, ResourceRequirements(memory="8Gi"), ["medium", "wide"]),
        (ADA, ResourceRequirements(memory="8193Mi"), []),
    ],
)
def test_somebody_gets_the_classes_that_are_theirs_and_large_enough(
    person: Person, needs: ResourceRequirements, names: list[str]
) -> None:
    assert [c.name for c in list_fitting_classes(CLASSES, person, needs)] == names


def test_smallest_first_means_gpu_then_memory_then_cpu_then_disk_in_whatever_order_they_come() -> None:
    for classes in permutations(CLASSES):
        assert [c.name for c in sort_resource_classes(classes)] == ["small", "medium", "wide", "gpu"]


@pytest.mark.parametrize(
    ("classes", "needs", "wrong"),
    [
        (CLASSES, ResourceRequirements(), {}),
        ([], ResourceRequirements(), {"cpu": "There is no resource class that you may use; ask an admin."}),
        (CLASSES, ResourceRequirements(cpu="64"), {"cpu": "No class has 64 CPU; the largest, wide, has 32 CPU."}),
        (CLASSES, ResourceRequirements(gpu=2), {"gpu": "No class has 2 GPU; the largest, gpu, has 1 GPU."}),
        (
            CLASSES,
            ResourceRequirements(disk="1Ti"),
            {"disk": "No class has 1 TiB disk; the largest, gpu, has 200 GiB disk."},
        ),
        (
            [SMALL],
            ResourceRequirements(cpu="2", memory="4Gi"),
            {
                "cpu": "No class has 2 CPU; the largest, small, has 1 CPU.",
                "memory": "No class has 4 GiB memory; the largest, small, has 2 GiB memory.",
            },
        ),
        (
            CLASSES,
            ResourceRequirements(cpu="32", memory="16Gi"),
            {"memory": "No single class has all of this together; please lower one requirement."},
        ),
    ],
)
def test_what_no_class_has_is_said_with_the_largest(
    classes: list[ResourceClass], needs: ResourceRequirements, wrong: dict[str, str]
) -> None:
    assert find_unmet_requirements(classes, needs) == wrong


NEEDS = st.builds(
    ResourceRequirements,
    cpu=st.integers(10, 40_000).map("{}m".format),
    memory=st.integers(16, 20_000).map("{}Mi".format),
    gpu=st.integers(0, 2),
    disk=st.integers(1, 250).map("{}Gi".format),
)


@given(NEEDS)
def test_a_requirement_is_unmet_exactly_if_nothing_fits(needs: ResourceRequirements) -> None:
    everybody = [SMALL, MEDIUM]
    fits = list_fitting_classes(everybody, ADA, needs)
    assert bool(find_unmet_requirements(everybody, needs)) == (not fits)
    if SMALL.meets_requirements(needs):
        assert fits == [SMALL, MEDIUM]
