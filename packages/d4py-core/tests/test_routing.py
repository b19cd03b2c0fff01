"""Items find their instance, in order, none lost and none twice."""

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py.engine.execution.routing import Router, copy_items
from dispel4py.engine.items.copying import copy_item, share_item
from dispel4py.engine.items.stable_hash import stable_hash
from dispel4py.engine.planning.grouping import Grouping
from dispel4py.engine.planning.plan import Route
from dispel4py.errors import GroupingError

batches = st.lists(st.lists(st.integers(0, 20), max_size=12), max_size=8)
instances = st.integers(1, 6)


class Collect:
    """Takes what routing cannot place."""

    def __init__(self):
        self.failed = []

    def __call__(self, error, item):
        self.failed.append((error, item))


def router(
    kind: str, count: int, *, keys=(), sender=0, copier=copy_item, on_error=None, in_order=False
) -> Router:
    route = Route(0, "output", 1, "input", Grouping(kind, tuple(keys)))
    return Router(route, count, sender, copier, on_error or Collect(), in_order)


def deliver(way: Router, batches) -> dict[int, list]:
    """What each instance got, in order."""
    received = defaultdict(list)
    for batch in batches:
        for instance, items in way.split(batch):
            received[instance] += items
    return dict(received)


def numbered(batches) -> list[list[tuple[int, int]]]:
    """The batches with each item a pair of a key and a number of its own."""
    number = iter(range(10**6))
    return [[(key, next(number)) for key in batch] for batch in batches]


def flat(batches) -> list:
    return [item for batch in batches for item in batch]


@given(batches, instances, st.integers(0, 10))
def test_m1_shuffled_items_go_to_one_instance_each_in_turn(batches, count, sender):
    batches = numbered(batches)

    received = deliver(router("shuffle", count, sender=sender), batches)

    assert sorted(flat(received.values()), key=lambda item: item[1]) == flat(batches)
    sizes = [len(received.get(i, ())) for i in range(count)]
    assert max(sizes) - min(sizes) <= 1
    assert all(items == sorted(items, key=lambda item: item[1]) for items in received.values())


def test_senders_start_shuffling_at_different_instances():
    firsts = [next(iter(router("shuffle", 3, sender=i).split(["a"])))[0] for i in range(4)]

    assert firsts == [0, 1, 2, 0]


@given(batches, instances)
def test_m1_equal_keys_meet_and_every_item_arrives_in_order(batches, count):
    batches = numbered(batches)

    received = deliver(router("group_by", count, keys=[0]), batches)

    assert sorted(flat(received.values()), key=lambda item: item[1]) == flat(batches)
    for instance, items in received.items():
        assert items == sorted(items, key=lambda item: item[1])
        assert {stable_hash(key) % count for key, _ in items} == {instance}


@given(batches, st.integers(2, 6))
def test_m1_senders_agree_on_the_instance_of_a_key(batches, count):
    batches = numbered(batches)

    here = deliver(router("group_by", count, keys=[0], sender=0), batches)
    there = deliver(router("group_by", count, keys=[0], sender=5), reversed(batches))

    assert {i: set(items) for i, items in here.items()} == {
        i: set(items) for i, items in there.items()
    }


@pytest.mark.parametrize("keys", [[0], ["name"], [0, 1], ["a", "b"]])
def test_m1_keys_that_python_calls_equal_meet_whatever_came_first(keys):
    spellings = [1, 1.0, True]
    items = [dict.fromkeys(keys, spelling) for spelling in (*spellings, *reversed(spellings))]

    assert len(deliver(router("group_by", 50, keys=keys), [items])) == 1


def test_m1_several_keys_are_one_key():
    items = [{"a": i // 8, "b": i % 8, "c": i} for i in range(64)] * 2

    received = deliver(router("group_by", 4, keys=["a", "b"]), [items])

    assert len(received) == 4
    for group in received.values():
        assert all(sum(other == item for other in group) == 2 for item in group)


def test_m1_keys_that_are_no_keys_of_a_dict_meet_too():
    items = [{"k": {"x": 1, "y": [2]}}, {"k": {"y": [2.0], "x": True}}] * 3

    assert list(deliver(router("group_by", 50, keys=["k"]), [items]).values()) == [items]


@given(batches, instances)
def test_m1_all_brings_every_item_to_every_instance(batches, count):
    received = deliver(router("all", count), batches)

    expected = flat(batches)
    assert received == (dict.fromkeys(range(count), expected) if batches else {})


@given(batches, instances)
def test_m1_global_brings_every_item_to_instance_0(batches, count):
    received = deliver(router("global", count), batches)

    assert received == ({0: flat(batches)} if batches else {})


def test_m2_instances_get_copies_of_their_own():
    item = {"list": [1]}

    (_, first), (_, second), (_, third) = router("all", 3).split([item])
    first[0]["list"].append(2)
    second[0]["list"].clear()

    assert third == [{"list": [1]}]


def test_shared_items_are_one_object_everywhere():
    item = [1]

    parts = list(router("all", 3, copier=share_item).split([item]))

    assert all(part[0] is item for _, part in parts)


def test_batches_of_what_cannot_change_are_shared():
    batch = [1, "a"]

    assert copy_items(batch, copy_item) is batch
    assert copy_items([[1]], copy_item) == [[1]]


KINDS = [("shuffle", []), ("group_by", [0]), ("all", []), ("global", [])]


@pytest.mark.parametrize(("kind", "keys"), KINDS)
@given(batches, instances)
def test_parts_in_order_follow_each_other_as_the_items_do(kind, keys, batches, count):
    batches = numbered(batches)
    way = router(kind, count, keys=keys, in_order=True)

    for batch in batches:
        copies = count if kind == "all" else 1
        parts = list(way.split(batch))
        assert flat(items for _, items in parts) == [item for item in batch for _ in range(copies)]


@pytest.mark.parametrize(("kind", "keys"), KINDS)
@given(batches, instances)
def test_parts_in_order_bring_each_instance_the_same(kind, keys, batches, count):
    batches = numbered(batches)

    assert deliver(router(kind, count, keys=keys, in_order=True), batches) == deliver(
        router(kind, count, keys=keys), batches
    )


@pytest.mark.parametrize("in_order", [False, True])
def test_route_of_an_item_does_not_depend_on_the_size_of_batches(in_order):
    for kind, keys in KINDS:
        items = numbered([[i % 5 for i in range(60)]])[0]
        cut = [items[:1], items[1:8], [], items[8:50], items[50:]]

        assert deliver(router(kind, 4, keys=keys, in_order=in_order), cut) == deliver(
            router(kind, 4, keys=keys, in_order=in_order), [items]
        )


# Keys that cannot be read or hashed


class Unhashable:
    __hash__ = None

    def __eq__(self, other):
        return True


class Explosive:
    def __hash__(self):
        raise OSError("boom")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("item", "what", "cause"),
    [
        ({"other": 1}, "cannot be read from {'other': 1}", "KeyError: 'word'"),
        (5, "cannot be read from 5", "TypeError: 'int' object is not subscriptable"),
        ({"word": print}, "cannot be hashed", "TypeError: builtin_function_or_method has no hash"),
        ({"word": Unhashable()}, "cannot be hashed", "TypeError: Unhashable has no hash"),
        ({"word": Explosive()}, "cannot be hashed", "TypeError: Explosive has no hash"),
    ],
    ids=["missing", "not subscriptable", "function", "unhashable", "explosive"],
)
def test_error_of_an_unreadable_key_names_item_input_and_grouping(item, what, cause, count):
    collect = Collect()
    good = {"word": "a"}

    received = deliver(
        router("group_by", count, keys=["word"], on_error=collect), [[good, item, good]]
    )

    assert flat(received.values()) == [good, good]
    ((error, failed),) = collect.failed
    assert failed is item
    assert isinstance(error, GroupingError)
    assert f"the group key {what}" in str(error)
    assert f"input 'input' is grouped by ['word'] ({cause}" in str(error)
    assert error.__cause__ is not None


class Name(str):
    """A name, whatever its case; equal to plain strings as well."""

    def __eq__(self, other):
        return self.lower() == str(other).lower()

    def __hash__(self):
        return hash(self.lower())


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("wrap", [lambda key: key, lambda key: (1, key)], ids=["bare", "tuple"])
def test_m1_key_that_equals_a_cached_one_by_its_own_eq_is_refused(wrap, together):
    collect = Collect()
    way = router("group_by", 9, keys=[0], on_error=collect)
    plain, own = (wrap("a"), 1), (wrap(Name("A")), 2)
    batches = [[plain, own, plain]] if together else [[plain], [own], [plain]]

    received = deliver(way, batches)

    assert flat(received.values()) == [plain, plain]
    ((error, failed),) = collect.failed
    assert failed is own
    assert "Name has no hash that is the same in every process" in str(error)


@pytest.mark.parametrize("count", [1, 3])
def test_error_of_a_key_whose_hash_raises_names_the_key(count):
    collect = Collect()
    good, bad = (Decimal(1), "x"), (Decimal("sNaN"), "y")

    received = deliver(
        router("group_by", count, keys=[0], on_error=collect), [[good, bad, good], [bad]]
    )

    assert flat(received.values()) == [good, good]
    assert [failed for _, failed in collect.failed] == [bad, bad]


@pytest.mark.parametrize(
    ("item", "keys", "advice"),
    [
        ((1, 2), [3], "by [3] (IndexError: tuple index out of range); this tuple has 2 elements"),
        ((1, 2), ["k"], "a tuple has elements by number: send dicts, or group by numbers"),
        ({"a": 1}, ["k"], "(KeyError: 'k'); this dict has the keys 'a': send items that have it"),
        (7, [0], "items that are grouped have to be tuples, lists or dicts"),
    ],
)
def test_key_that_an_item_lacks_is_answered_with_the_receiver_and_what_to_send(item, keys, advice):
    collect = Collect()
    route = Route(0, "output", 1, "left", Grouping("group_by", tuple(keys)))

    deliver(Router(route, 3, 0, copy_item, collect, receiver="Join1"), [[item]])

    ((error, failed),) = collect.failed
    assert failed is item
    assert "input 'left' of Join1 is grouped" in str(error)
    assert advice in str(error)


class Pairs:
    """An item whose `__getitem__` raises StopIteration where there is no such key."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def __getitem__(self, key):
        return next(value for name, value in self.pairs if name == key)


@pytest.mark.parametrize("count", [2, 3])
def test_an_item_whose_key_raises_stop_iteration_is_an_error_and_no_other_is_lost(count):
    """It would end a `map` over the items, and those that follow would be lost."""
    bad = Pairs(("b", 1))
    good = [Pairs(("a", number)) for number in range(4)]
    failed = Collect()
    way = router("group_by", count, keys=["a"], on_error=failed)
    received = deliver(way, [[*good[:2], bad, *good[2:]]])
    got = [item for items in received.values() for item in items]
    assert sorted(item.pairs for item in got) == [item.pairs for item in good]
    ((error, item),) = failed.failed
    assert item is bad
    assert "cannot be read" in str(error)
    assert "StopIteration" in str(error)


def test_cached_keys_are_limited():
    from dispel4py.engine.execution import routing

    way = router("group_by", 3, keys=[0])
    limit = routing._CACHED_KEYS

    received = deliver(way, [[(i, "x") for i in range(limit + 100)]])

    assert len(way._instance_of) == limit
    assert sum(map(len, received.values())) == limit + 100
