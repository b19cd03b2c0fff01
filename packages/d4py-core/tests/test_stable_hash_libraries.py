"""Group keys of other libraries meet what they equal; each test runs where the library is there."""

from __future__ import annotations

import datetime
import os
import pickle
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest

from dispel4py.engine.items.stable_hash import stable_hash

#: Library → keys that are equal, a line for each group.
EQUAL = {
    "pandas": """
        lib.Timestamp("2020-01-01"), datetime.datetime(2020, 1, 1)
        lib.Timestamp("2020-01-01T01", tz="Europe/Paris"), lib.Timestamp("2020-01-01", tz="UTC")
        lib.Timestamp("2020-01-01", tz="UTC"), datetime.datetime(2020, 1, 1, tzinfo=UTC)
        lib.Timestamp(-1500), lib.Timestamp(-1500).to_datetime64()
        lib.Timedelta(days=1), datetime.timedelta(hours=24)
        lib.Timedelta(-1500), lib.Timedelta(-1500).to_timedelta64()
        lib.Interval(0, 1), lib.Interval(0.0, 1.0)
        lib.Period("2020-01"), lib.Period("2020-01-15", freq="M")
    """,
    "sympy": """
        lib.Integer(3), 3, lib.Rational(6, 2)
        lib.Integer(10) ** 30, 10**30
        lib.Rational(1, 2), Fraction(1, 2)
        lib.Float(0.1), 0.1
        lib.oo, float("inf")
        -lib.oo, float("-inf")
    """,
    "gmpy2": """
        lib.mpz(3), 3
        lib.mpq(1, 2), Fraction(1, 2)
    """,
}
CASES = [(name, line.strip()) for name, text in EQUAL.items() for line in text.strip().split("\n")]


def keys(library: str, line: str) -> Any:
    names = {"datetime": datetime, "UTC": datetime.UTC, "Fraction": Fraction}
    return eval(line, {**names, "lib": pytest.importorskip(library)})


@pytest.mark.parametrize(("library", "line"), CASES)
def test_m1_keys_of_a_library_meet_what_they_equal(library: str, line: str) -> None:
    equal = keys(library, line)
    assert all(bool(key == equal[0]) for key in equal)
    assert len({stable_hash(key) for key in equal}) == 1


@pytest.mark.parametrize("library", EQUAL)
def test_m1_keys_of_a_library_hash_alike_in_every_process(library: str) -> None:
    pytest.importorskip(library)
    lines = ", ".join(f"({line})" for name, line in CASES if name == library)
    program = (
        f"import datetime, {library} as lib\n"
        "from fractions import Fraction\n"
        "from dispel4py.engine.items.stable_hash import stable_hash\n"
        "UTC = datetime.UTC\n"
        f"print([stable_hash(key) for keys in ({lines},) for key in keys])\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=100,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


@pytest.mark.parametrize(("library", "name"), [("pandas", "NaT"), ("pandas", "NA")])
def test_m1_missing_values_are_one_key(library: str, name: str) -> None:
    value = getattr(pytest.importorskip(library), name)
    assert stable_hash(value) == stable_hash(pickle.loads(pickle.dumps(value)))


def test_m1_classes_of_attrs_meet_by_the_fields_that_they_compare() -> None:
    attrs: Any = pytest.importorskip("attrs")

    @attrs.define
    class Station:
        code: str = attrs.field(eq=str.lower)
        level: int = 0
        seen: int = attrs.field(default=0, eq=False)

    one, other = Station("A", 1, 5), Station("a", True, 6)
    assert one == other
    assert stable_hash(one) == stable_hash(other) != stable_hash(Station("b", 1))


def test_m1_models_of_pydantic_meet_by_their_fields() -> None:
    pydantic: Any = pytest.importorskip("pydantic")

    class Station(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        code: str
        level: int = 0

    one, other = Station(code="A"), Station(code="A", level=0)
    assert one == other
    assert stable_hash(one) == stable_hash(other) != stable_hash(Station(code="B"))


@pytest.mark.parametrize("library", ["attrs", "pydantic"])
def test_m1_an_equality_of_its_own_is_refused_there_too(library: str) -> None:
    lib: Any = pytest.importorskip(library)
    body: dict[str, Any] = {"__eq__": lambda self, other: True, "__annotations__": {"code": str}}
    if library == "attrs":
        kind = lib.define(eq=False)(type("Own", (), body))
    else:
        kind = type("Own", (lib.BaseModel,), {**body, "__module__": __name__})
    with pytest.raises(TypeError, match="Own has no hash"):
        stable_hash(kind(code="a"))
