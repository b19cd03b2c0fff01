"""Copies of items: nobody sees what another does to its own."""

import collections
import re
import threading
import types
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py.engine.items.copying import cannot_carry, copy_item, share_item
from dispel4py.engine.items.immutable_types import IMMUTABLE, is_numpy_scalar
from dispel4py.errors import ItemError

items = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda parts: st.one_of(
        st.lists(parts, max_size=4),
        st.tuples(parts, parts),
        st.dictionaries(st.text(), parts, max_size=4),
        st.builds(bytearray, st.binary()),
        st.builds(lambda part: types.SimpleNamespace(part=part), parts),
    ),
    max_leaves=10,
)


def mutable_parts(item) -> list:
    """An item and what it holds, as far as it can change."""
    if isinstance(item, types.SimpleNamespace):
        return [item, *mutable_parts(item.part)]
    if isinstance(item, dict):
        return [item, *(part for value in item.values() for part in mutable_parts(value))]
    if isinstance(item, list | tuple):
        own = [item] if isinstance(item, list) else []
        return own + [part for value in item for part in mutable_parts(value)]
    return [item] if isinstance(item, bytearray) else []


class Stubborn:
    """Neither pickle nor deepcopy can do anything with it."""

    def __reduce_ex__(self, protocol):
        raise RuntimeError("I stay")


def holding(held):
    return lambda: held


@given(items)
def test_m2_copy_is_equal_and_shares_nothing_that_can_change(item):
    copied = copy_item(item)

    assert copied == item
    assert type(copied) is type(item)
    theirs = {id(part) for part in mutable_parts(item)}
    assert not theirs & {id(part) for part in mutable_parts(copied)}


@pytest.mark.parametrize("item", [5, 2.5, "text", b"bytes", None, (1, "a"), range(3), 1j])
def test_immutable_items_are_not_copied(item):
    assert copy_item(item) is item


@pytest.mark.parametrize(
    "item", [date(2000, 1, 1), timedelta(1), Decimal("0.1"), Fraction(1, 3), UUID(int=1)], ids=str
)
def test_immutable_items_of_modules_that_the_program_has_imported_are_not_copied(item):
    assert copy_item(item) is item
    assert copy_item([item])[0] is item
    assert copy_item({"a": [item]})["a"][0] is item


def test_every_type_that_is_called_immutable_is_hashable():
    assert all(kind.__hash__ for kind in IMMUTABLE)
    assert type(None) not in IMMUTABLE


@pytest.mark.parametrize(
    "item",
    [
        collections.OrderedDict(a=[1]),
        collections.defaultdict(list, a=[1]),
        collections.deque([[1]], maxlen=3),
        {(1, 2): {3}},
        frozenset({(1,)}),
        ([1], [2]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_m2_containers_are_copied_whole(item):
    copied = copy_item(item)

    assert copied == item
    assert type(copied) is type(item)


@pytest.mark.parametrize(
    "item",
    [
        {"trace": [1.0, 2.0], "station": "here", "meta": {"a": None}},
        [{"id": i, "name": "x"} for i in range(9)],
        [[i, i + 1] for i in range(9)],
        (1, [2], {"a": b"3"}, "4"),
        {"place": (1.0, 2.0), "values": [1.0]},
        {"place": (1.0, [2.0])},
        [1, [2], {3: 4}],
        [],
        {"a": [], "b": {}},
        {"deep": [{"a": [1]}]},
        {(1, 2): [3]},
        [{"a": bytearray(b"b")} for _ in range(9)],
        {"a": [bytearray(b"b")]},
    ],
    ids=str,
)
def test_m2_nested_lists_and_dicts_are_copied_and_not_shared(item):
    copied = copy_item(item)

    assert repr(copied) == repr(item)
    theirs = {id(part) for part in mutable_parts(item)}
    assert theirs
    assert not theirs & {id(part) for part in mutable_parts(copied)}


@pytest.mark.parametrize(
    "make", [lambda x: [x, 1, x], lambda x: {"a": x, "b": x}, lambda x: (x, x)]
)
def test_one_object_in_two_places_stays_one_object(make):
    copied = copy_item(make([1]))

    assert len({id(part) for part in mutable_parts(copied) if part == [1]}) == 1


def test_two_references_to_one_object_stay_one_object():
    shared = [1]

    first, second = copy_item([shared, shared])

    assert first is second
    assert first is not shared


def test_item_that_holds_itself_can_be_copied():
    item: list = [1]
    item.append(item)

    copied = copy_item(item)

    assert copied is not item
    assert copied[1] is copied


def test_m2_what_pickle_refuses_is_deep_copied():
    class Local:
        """Pickle does not find it by its name."""

        def __init__(self):
            self.inside = [1]

    item = Local()

    copied = copy_item(item)

    assert type(copied) is Local
    assert copied.inside == [1]
    assert copied.inside is not item.inside


def test_m2_functions_can_be_items():
    increase = lambda x: x + 1  # noqa: E731

    assert copy_item([increase])[0](1) == 2


def test_m2_arrays_are_copied_with_one_copy_of_their_data():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(10)
    holder = {"array": array, "column": array[::2]}

    copied = copy_item(holder)
    array[:] = 0

    assert copied["array"].tolist() == list(range(10))
    assert copied["column"].tolist() == [0, 2, 4, 6, 8]
    copied["array"][0] = 5  # and the copy can be written to


def test_m2_read_only_arrays_within_an_item_are_copied_writable():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12.0).reshape(3, 4)
    array.setflags(write=False)
    fixed = numpy.frombuffer(bytes(8), dtype=[("a", "i4"), ("b", ">f4")])
    item = {"plain": array, "fortran": [array.T], "strided": array[::2], "fixed": (fixed, fixed)}

    copied = copy_item(item)

    for own, theirs in (
        (copied["plain"], array),
        (copied["fortran"][0], array.T),
        (copied["strided"], array[::2]),
        (copied["fixed"][0], fixed),
    ):
        assert own.flags.writeable
        assert own.tolist() == theirs.tolist()
        assert own.dtype == theirs.dtype
    assert copied["fortran"][0].flags.f_contiguous
    assert copied["fixed"][0] is copied["fixed"][1]
    assert not array.flags.writeable


def test_numpy_scalars_are_not_copied():
    numpy = pytest.importorskip("numpy")
    scalars = [numpy.float64(1), numpy.int8(1), numpy.str_("a"), numpy.datetime64("2020")]

    assert all(copy_item(scalar) is scalar for scalar in scalars)
    assert not is_numpy_scalar(numpy.ndarray)
    record = numpy.array([(1,)], dtype=[("a", int)])[0]
    assert copy_item(record) is not record


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"fine": 1, "lock": threading.Lock()}, "because of the value at key 'lock' (a lock)"),
        ([1, threading.Lock()], "because of element 1 (a lock)"),
        (types.SimpleNamespace(guard=threading.Lock()), "because of attribute 'guard' (a lock)"),
        (holding(threading.Lock()), "because of variable 'held' (a lock): cannot pickle"),
        (Stubborn(), "cannot be handed on: RuntimeError: I stay"),
        # Python copies it, but no pickle carries it to where another mapping would have it go.
        ([re.match("a", "a")], "because of element 0 (a Match): cannot pickle 're.Match' object"),
    ],
    ids=["dict", "list", "object", "function", "stubborn", "copied by itself"],
)
def test_item_that_cannot_be_copied_names_what_is_to_blame(item, place):
    with pytest.raises(ItemError) as raised:
        copy_item(item)

    assert place in str(raised.value)
    assert f"of type {type(item).__name__} " in str(raised.value)
    assert str(raised.value).endswith("open files, locks and connections in preprocess()")
    assert raised.value.__cause__ is not None


def test_a_generator_is_refused_with_what_to_write_instead():
    with pytest.raises(ItemError, match=r"'generator' object; .* self\.write\(\) instead"):
        copy_item(n for n in range(3))


def test_a_coroutine_is_refused_with_what_to_send_instead():
    async def answer():
        return 1

    item = answer()
    with pytest.raises(ItemError, match=r"'coroutine' object; .*asyncio\.run\(\)"):
        copy_item(item)
    item.close()


def test_blame_is_given_without_a_place_where_none_is_found():
    assert "because of" not in str(cannot_carry(5, ValueError("no")))


def test_share_item_returns_the_item_itself():
    item = [1]

    assert share_item(item) is item


@pytest.mark.parametrize(
    "item_of", [lambda names: names, lambda names: [names, 1], lambda names: {"k": names}]
)
def test_m2_the_attributes_of_an_object_are_copied_as_any_dict_is(item_of):
    """Since Python 3.13 the garbage collector does not see what such a dict holds."""

    class Record:
        def __init__(self):
            self.values = [[1]]

    record = Record()
    copied = copy_item(item_of(vars(record)))
    record.values[0].append(2)
    record.values.append(3)
    assert copied == item_of({"values": [[1]]})
