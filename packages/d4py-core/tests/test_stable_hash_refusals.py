"""Group keys that have no hash, or an equality of their own, are refused."""

import dataclasses
import enum
from collections import UserString, namedtuple
from fractions import Fraction

import pytest
from core_helpers.group_keys import needs_numpy, numpy

from dispel4py.engine.items.stable_hash import stable_hash


class ByIdentity:
    pass


class ByValue:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 5


@pytest.mark.parametrize(
    "key", [ByIdentity(), ByValue(), print, [ByIdentity()], {"a": (ByValue(),)}]
)
def test_key_without_a_hash_of_its_value_is_refused(key):
    with pytest.raises(TypeError, match="no hash that is the same in every process"):
        stable_hash(key)


def anything(self, other):
    return True


class OwnText(str):
    __eq__ = anything
    __hash__ = str.__hash__


class OwnNumber(int):
    __eq__ = anything
    __hash__ = int.__hash__


class OwnTuple(namedtuple("OwnTuple", "x")):
    __eq__ = anything
    __hash__ = tuple.__hash__


class OwnDict(dict):
    __eq__ = anything
    __hash__ = None


class OwnEnum(enum.Enum):
    RED = 1

    __eq__ = anything
    __hash__ = enum.Enum.__hash__


@dataclasses.dataclass(frozen=True)
class OwnDataclass:
    code: str

    def __eq__(self, other):
        return other.__class__ is self.__class__ and self.code == other.code

    def __hash__(self):
        return hash(self.code)


class OwnFraction(Fraction):
    __eq__ = anything
    __hash__ = Fraction.__hash__


@pytest.mark.parametrize(
    "key",
    [
        *(OwnText("a"), OwnNumber(1), OwnTuple(1), OwnDict(), OwnEnum.RED, OwnDataclass("a")),
        *(OwnFraction(1), UserString("a")),
    ],
    ids=lambda key: type(key).__name__,
)
def test_m1_key_with_an_equality_of_its_own_is_refused(key):
    name = type(key).__name__
    with pytest.raises(TypeError, match=rf"{name} has no hash .* follows {name}\.__eq__; group by"):
        stable_hash((key, 1))


def test_m1_view_of_other_than_bytes_is_refused():
    with pytest.raises(TypeError, match=r"memoryview of format 'd': group by its bytes"):
        stable_hash(memoryview(b"12345678").cast("d"))


@needs_numpy
def test_m1_numpy_scalar_with_an_equality_of_its_own_is_refused():
    kind = type("Own", (numpy.float64,), {"__eq__": anything, "__hash__": None})
    with pytest.raises(TypeError, match=r"Own\.__eq__|follows anything"):
        stable_hash(kind(1))


@needs_numpy
def test_arrays_are_no_keys():
    with pytest.raises(TypeError, match="no hash"):
        stable_hash(numpy.zeros(3))
