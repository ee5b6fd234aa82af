"""Quantities are read as Kubernetes reads them, exactly, and said in words."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from renku_spawner.domain.quantities import format_cpu_quantity, format_size, format_size_quantity, parse_quantity

# The suffixes of https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ ("n" and "u" are
# in the parser of apimachinery and in its later documentation).
POWERS = {"Ki": (2, 10), "Mi": (2, 20), "Gi": (2, 30), "Ti": (2, 40), "Pi": (2, 50), "Ei": (2, 60), "n": (10, -9),
          "u": (10, -6), "m": (10, -3), "": (10, 0), "k": (10, 3), "M": (10, 6), "G": (10, 9), "T": (10, 12),
          "P": (10, 15), "E": (10, 18)}  # fmt: skip
DIGITS = "0123456789"


def reference(text: str) -> Fraction | None:
    """The grammar by hand: <number><suffix>, where <number> is <digits>, <digits>.<digits>, <digits>. or .<digits>
    and <suffix> one of the above or e or E with a signed whole number. None is what has no such form, a sign, more
    than 64 characters or an exponent beyond 99."""
    if len(text) > 64:
        return None
    end = 0
    while end < len(text) and text[end] in DIGITS + ".":
        end += 1
    number, suffix = text[:end], text[end:]
    whole, _, part = number.partition(".")
    if "." in part or not whole + part:
        return None
    power = POWERS.get(suffix) or _exponent(suffix)
    if power is None:
        return None
    return Fraction(int(whole + part), 10 ** len(part)) * Fraction(power[0]) ** power[1]


def _exponent(suffix: str) -> tuple[int, int] | None:
    sign = -1 if suffix[1:2] == "-" else 1
    digits = suffix[2:] if suffix[1:2] in ("+", "-") else suffix[1:]
    if suffix[:1] not in ("e", "E") or not digits or set(digits) - set(DIGITS) or int(digits) > 99:
        return None
    return 10, sign * int(digits)


def parsed(text: str) -> Fraction | None:
    try:
        return Fraction(parse_quantity(text))
    except ValueError:
        return None


NUMBERS = st.from_regex(r"[0-9]{0,30}\.?[0-9]{0,30}", fullmatch=True)
SUFFIXES = st.sampled_from(list(POWERS)) | st.from_regex(r"[eE][+-]?[0-9]{0,4}", fullmatch=True)


@given(
    st.tuples(NUMBERS, SUFFIXES).map("".join)
    | st.text(alphabet="0123456789.eE+-_ KMGTPiknum\u0661\n", max_size=12)
    | st.text()
)
@example("9999999999999999999.999999999Ei")
@example("0." + "1" * 60 + "Ki")
@example("0.1e-99")
@example("1e0000000000000000000000000000000000002")
@example("1Ei")
@example("1E")
@example("1e")
@example("1E1i")
@example(".")
@example("1.")
@example(".5")
@example("1_0")
@example("0x10")
@example("1e100")
@example("1" * 65)
def test_exactly_the_quantities_of_kubernetes_are_read_and_exactly(text: str) -> None:
    assert parsed(text) == reference(text)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("2.0", "2"),
        ("1500m", "1.5"),
        ("1e3", "1000"),
        ("10m", "0.01"),
        ("100", "100"),
        ("0", "0"),
    ],
)
def test_cpu_reads_as_a_number_of_cores(text: str, cores: str) -> None:
    assert format_cpu_quantity(text) == cores


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "0 B"), ("1", "1 B"), ("1500m", "1 B"), ("1023", "1023 B"), ("1Ki", "1 KiB"), ("512Mi", "512 MiB"),
        ("2Gi", "2 GiB"), ("1.5Ti", "1.5 TiB"), ("1G", "953.7 MiB"), ("1048575", "1 MiB"), ("100Gi", "100 GiB"),
        ("1000Gi", "1000 GiB"), ("2048Ei", "2048 EiB"), ("9" * 60 + "Ei", "9" * 60 + " EiB"),
    ],
)  # fmt: skip
def test_bytes_read_with_a_binary_unit(text: str, words: str) -> None:
    assert format_size_quantity(text) == words


@given(st.integers(0, 2**80))
def test_the_words_for_bytes_are_right_to_one_decimal(count: int) -> None:
    value, unit = format_size(count).split(" ")
    factor = 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(unit)
    assert abs(Fraction(value) * factor - count) <= Fraction(factor, 20)
    assert Fraction(value) < 1024 or unit == "EiB"
