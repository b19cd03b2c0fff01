"""Functions, and classes made in a call, are copied with all that hangs on them."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import functools
import logging
import threading
import types
import weakref
from typing import Any, ClassVar

import pytest

from dispel4py.engine.items.copying import copy_item


class Holder:
    """Something that is found by its name, and holds what pickle refuses."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.read = lambda: self.value

    def get(self) -> Any:
        return self.value


def closure(values: list[int]) -> Any:
    return lambda: list(values)


def default(values: list[int]) -> Any:
    return lambda given=values: list(given)


def keyword_default(values: list[int]) -> Any:
    return lambda *, given=values: list(given)


def attribute(values: list[int]) -> Any:
    def function() -> list[int]:
        return list(function.values)  # type: ignore[attr-defined]

    function.values = values  # type: ignore[attr-defined]
    return function


def within_a_function(values: list[int]) -> Any:
    inner = closure(values)
    return lambda: [*inner()]


def bound_method(values: list[int]) -> Any:
    return Holder(values).get


def bound_by_hand(values: list[int]) -> Any:
    return types.MethodType(lambda self: list(self.value), Holder(values))


def partial(values: list[int]) -> Any:
    return functools.partial(lambda given: [*given], values)


def cached(values: list[int]) -> Any:
    return functools.lru_cache(maxsize=3)(closure(values))


def wrapped(values: list[int]) -> Any:
    return functools.wraps(bound_method)(closure(values))


def dispatched(values: list[int]) -> Any:
    function = functools.singledispatch(lambda given: None)
    function.register(int, lambda given: list(values))
    function(1)  # from here on its cache knows that, too
    return functools.partial(function, 1)


def class_with_attribute(values: list[int]) -> Any:
    class Model:
        own = values

        def __call__(self) -> list[int]:
            return list(self.own)

    return Model()


def class_with_methods(values: list[int]) -> Any:
    class Base(abc.ABC):
        __slots__ = ()

        @staticmethod
        def static() -> list[int]:
            return values

        @abc.abstractmethod
        def __call__(self) -> list[int]: ...

    class Model(Base):
        __slots__ = ("cached", "name")

        def __init__(self) -> None:
            super().__init__()
            self.name = "model"

        @classmethod
        def of_class(cls) -> list[int]:
            return values

        @property
        def of_object(self) -> list[int]:
            return values

        def __call__(self) -> list[int]:
            assert self.name == "model"
            assert self.static() == self.of_class() == self.of_object
            return list(values)

    return Model()


KINDS = [
    *(closure, default, keyword_default, attribute, within_a_function, bound_method),
    *(bound_by_hand, partial, cached, wrapped, dispatched),
    *(class_with_attribute, class_with_methods),
]
PLACES: dict[str, tuple[Any, Any]] = {
    "bare": (lambda it: it, lambda it: it),
    "tuple": (lambda it: (1, it), lambda it: it[1]),
    "list": (lambda it: [it], lambda it: it[0]),
    "dict": (lambda it: {"f": it}, lambda it: it["f"]),
    "object": (Holder, lambda it: it.value),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_m2_what_a_function_holds_is_copied_with_it(kind: Any, place: str) -> None:
    put, take = PLACES[place]
    values = [1]
    function = kind(values)
    copied = copy_item(put(function))

    values.append(2)

    assert take(copied)() == [1]
    assert function() == [1, 2]


def test_m2_the_sender_sees_nothing_of_what_the_receiver_does() -> None:
    values: list[int] = []
    copied = copy_item(values.append)

    copied(1)

    assert values == []


def test_m2_a_variable_that_is_bound_again_is_not_seen() -> None:
    def counting() -> Any:
        count = 0

        def add() -> int:
            nonlocal count
            count += 1
            return count

        return add

    add = counting()
    copied = copy_item(add)

    assert [add(), add(), copied()] == [1, 2, 1]


def test_m2_functions_of_one_item_still_share_a_variable() -> None:
    def pair() -> Any:
        count = 0

        def add() -> None:
            nonlocal count
            count += 1

        return add, lambda: count

    add, read = pair()
    own_add, own_read = copy_item({"add": add, "read": [read]}).values()

    own_add()

    assert (own_read[0](), read()) == (1, 0)


def test_m2_functions_that_call_themselves_or_each_other_can_be_copied() -> None:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    even.other = odd  # type: ignore[attr-defined]
    copied = copy_item([even, odd])

    assert copied[0](10)
    assert not copied[1](10)
    assert copied[0].other is copied[1] is not odd


def test_a_variable_without_a_value_stays_without() -> None:
    def broken() -> Any:
        if False:
            value = 1
        return lambda: value

    with pytest.raises(NameError, match="value"):
        copy_item(broken())()


def test_a_copied_function_looks_like_the_original() -> None:
    values = [0]

    def scale(x: int, /, by: int = 2, *, plus: int = 1) -> int:
        """Scale a number."""
        return by * x + plus + values[0]

    copied = copy_item(scale)

    assert copied(3) == 7
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(copied, name) == getattr(scale, name)
    assert copied.__globals__ is scale.__globals__


@pytest.mark.parametrize("it", [closure, Holder, Holder.get, len, collections.OrderedDict, types])
def test_what_a_module_holds_stays_as_it_is(it: Any) -> None:
    assert copy_item((it, lambda: 0))[0] is it


def test_classes_made_in_a_call_stay_as_they_are_where_nothing_in_them_can_change() -> None:
    @dataclasses.dataclass
    class Pick:
        time: float
        phases: list[str] = dataclasses.field(default_factory=list)

    Point = collections.namedtuple("Point", "x y")

    class Color(enum.Enum):
        RED = 1

    class Slotted:
        __slots__ = ("value",)
        limit = (1, "a", Color.RED)

        def __repr__(self) -> str:
            return super().__repr__()

    slotted = Slotted()
    slotted.value = [1]  # type: ignore[attr-defined]
    item = [Pick(1.0, ["P"]), Point(1, 2), Color.RED, slotted, Pick]

    copied: Any = copy_item(item)

    assert copied[:3] == item[:3]
    assert [type(part) for part in copied] == [type(part) for part in item]
    assert copied[4] is Pick
    assert copied[0].phases is not item[0].phases  # type: ignore[attr-defined]
    assert copied[3].value == [1]
    assert copied[3].value is not slotted.value  # type: ignore[attr-defined]


def test_m2_a_class_and_its_objects_belong_together_in_the_copy() -> None:
    values = [1]

    class Model:
        own = values

    own, instance = copy_item((Model, Model()))
    values.append(2)

    assert type(instance) is own is not Model
    assert (own.own, own.__name__, own.__qualname__) == ([1], Model.__name__, Model.__qualname__)


def test_m2_a_weak_reference_leads_to_the_copy() -> None:
    holder = Holder([1])

    copied, weak = copy_item((holder, weakref.ref(holder)))

    assert weak() is copied is not holder


class Own:
    """Says by itself how it is copied; pickle refuses it."""

    def __init__(self, values: list[int]) -> None:
        self.values, self.lock = values, threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Own:
        return Own(list(self.values))


def test_m2_what_says_how_it_is_copied_is_copied_so() -> None:
    values = [1]
    own = Own(values)

    def pair() -> Any:
        return lambda: list(own.values)

    read, copied = copy_item((pair(), own))
    values.append(2)

    assert read() == copied.values == [1]
    copied.values.append(3)
    assert read() == [1, 3]


def test_m2_arrays_that_a_function_holds_are_copied_and_writable() -> None:
    numpy = pytest.importorskip("numpy")
    weights = numpy.ones(3)
    fixed = numpy.zeros(3)
    fixed.setflags(write=False)
    read = copy_item(lambda: (weights, fixed))

    weights[:] = 5

    assert read()[0].tolist() == [1, 1, 1]
    assert all(array.flags.writeable for array in read())


def test_m2_what_a_copied_class_cannot_change_stays_as_it_is() -> None:
    class Registry(type):
        pass

    class Registered(metaclass=Registry):
        known: ClassVar[list[int]] = []

    class Guarded:
        values: ClassVar[list[int]] = [1]
        guard = threading.Lock()
        log = logging.getLogger(__name__)
        kind = Registered

    class OnlyGuarded:
        guard = threading.Lock()

    own, registered, only = copy_item((Guarded, Registered, OnlyGuarded))

    assert own is not Guarded
    assert own.values is not Guarded.values
    assert (own.guard, own.log, own.kind) == (Guarded.guard, Guarded.log, Registered)
    assert registered is Registered  # only its metaclass knows how to make it
    assert only is OnlyGuarded
