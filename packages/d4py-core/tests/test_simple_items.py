"""Rules M of DESIGN.md on the mapping `simple`: which items arrive, where and as what."""

import pytest
from core_helpers.simple_graphs import Count, Each, Where, chain, outputs

from dispel4py import GenericPE, run


def test_m1_shuffle_brings_each_item_to_one_instance():
    got = outputs(chain(Count(), Where()), 20)

    assert [item for _, item in got] == list(range(1, 21))
    assert len({number for number, _ in got}) == 4


def test_m1_grouping_brings_equal_keys_to_one_instance():
    words = ["a", "b", 1, 1.0, True, (1, 2), (1.0, 2)] * 3
    source = Each(lambda word: {"word": word})

    got = outputs(chain(source, Where(["word"])), [{"input": word} for word in words])

    assert len(got) == len(words)
    instances = {}
    for number, item in got:
        instances.setdefault(item["word"], set()).add(number)
    assert [len(numbers) for numbers in instances.values()] == [1] * 4


def test_m1_all_reaches_every_instance():
    got = outputs(chain(Count(), Where("all")), 3)

    assert sorted(item for _, item in got) == [1] * 4 + [2] * 4 + [3] * 4
    assert len({number for number, _ in got}) == 4


def test_m1_global_reaches_one_instance():
    got = outputs(chain(Count(), Where("global")), 3)

    assert [item for _, item in got] == [1, 2, 3]
    assert len({number for number, _ in got}) == 1


class Sender(GenericPE):
    """Sends a list and changes it afterwards."""

    def __init__(self):
        super().__init__()
        self._add_output("output")
        self.row = [1]

    def process(self, inputs):
        self.write("output", self.row)
        self.row.append("after write")
        return {"output": self.row}

    def postprocess(self):
        self.row.append("after return")


def spoil(row):
    seen = list(row)
    row.clear()
    return seen


def test_m2_an_item_does_not_change_with_what_sender_or_sibling_do_later():
    source = Sender()
    graph = chain(source, Each(spoil))
    for _ in range(2):
        graph.connect(source, "output", Each(spoil), "input")
    expected = {"output": [[1], [1, "after write"]]}

    assert run(graph).outputs == {"Each1": expected, "Each2": expected, "Each3": expected}


def test_m2_results_are_not_changed_by_their_sender():
    assert outputs(chain(Sender())) == [[1], [1, "after write"]]


def test_m2_broadcast_instances_do_not_share():
    source = Each(lambda data: [data])

    got = outputs(chain(Count(), source, Each(spoil, numprocesses=3, grouping="all")))

    assert got == [[1]] * 3


def test_m2_share_items_hands_on_the_object_itself():
    keep = []
    source = Each(lambda data: keep)

    (got,) = outputs(chain(Count(), source, Each(lambda data: data)), share_items=True)

    assert got is keep


def test_m2_anything_that_can_be_copied_may_be_an_item():
    class Local:
        value = 5

    got = outputs(chain(Count(), Each(lambda data: [Local(), lambda: data]), Each()), 2)

    assert [(type(one), two()) for one, two in got] == [(Local, 1), (Local, 2)]


def test_m3_items_of_an_edge_stay_in_order_between_two_instances():
    # Each instance of Where passes on what it got in order; see what the next in line gets.
    graph = chain(Count(), Where(numprocesses=3), Where(numprocesses=2))

    ways = {}
    for receiver, (sender, item) in outputs(graph, 100):
        ways.setdefault((sender, receiver), []).append(item)

    assert len(ways) > 3
    assert sorted(item for items in ways.values() for item in items) == list(range(1, 101))
    assert all(items == sorted(items) for items in ways.values())


@pytest.mark.parametrize("nothing", [None, {}])
def test_m4_nothing_returned_sends_nothing(nothing):
    class Silent(Where):
        def process(self, inputs):
            return nothing

    assert run(chain(Count(), Silent()), inputs=3).outputs == {}


def test_m4_write_sends_any_number_of_times():
    class Repeats(Where):
        def process(self, inputs):
            for _ in range(inputs["input"]):
                self.write("output", inputs["input"])

    assert outputs(chain(Count(), Repeats(), Each()), 3) == [1, 2, 2, 3, 3, 3]
