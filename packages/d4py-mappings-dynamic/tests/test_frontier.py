"""The frontier: which PEs are complete, found by counting in the order of the graph."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_dynamic.driver.frontier import Frontier
from dispel4py import GenericPE, WorkflowGraph
from dispel4py.engine.planning.plan import make_plan


class Plain(GenericPE):
    """Has no life cycle, so is not postprocessed."""

    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")


class Opens(Plain):
    def _preprocess(self):
        pass


class Closes(Plain):
    def _postprocess(self):
        pass


@st.composite
def plans(draw):
    """Plans of random graphs: any PE may feed any later one, more than once."""
    pes = [draw(st.sampled_from([Plain, Opens, Closes]))() for _ in range(draw(st.integers(1, 7)))]
    graph = WorkflowGraph()
    order = draw(st.permutations(range(len(pes))))
    for i in order:
        graph.add(pes[i])
    for destination in range(1, len(pes)):
        for source in draw(st.lists(st.integers(0, destination - 1), max_size=3)):
            graph.connect(pes[source], "output", pes[destination], "input")
    return make_plan(graph)


class Model:
    """A model of the counts of a run: tasks end one by one, and may add others downstream."""

    def __init__(self, plan, draw):
        self.plan, self.draw = plan, draw
        self.count = {pe.index: 0 for pe in plan.pes}
        self.finished = []
        self.left = 30
        for root in plan.roots:
            self.count[root.index] = draw(st.integers(0, 2))

    def end_a_task(self):
        busy = [pe for pe, count in self.count.items() if count]
        if not busy:
            return False
        pe = self.draw(st.sampled_from(busy))
        self.count[pe] -= 1
        for routes in self.plan.pes[pe].routes.values():
            for route in routes:
                if self.left and self.draw(st.booleans()):
                    self.left -= 1
                    self.count[route.destination] += 1
        return True

    def finish(self, pes):
        for pe in pes:
            assert pe not in self.finished, "finished twice"
            # Nothing more can come to it, and it has nothing left to do.
            assert self.count[pe] == 0
            for source in self.plan.pes[pe].upstream:
                assert self.count[source] == 0
                assert source in self.finished or self.plan.pes[source].pe.__class__ is Plain
            self.finished.append(pe)
            self.count[pe] += 1  # the task that postprocesses it, which may write


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_c1_a_pe_is_finished_after_all_upstream_and_the_run_always_ends(data):
    plan = data.draw(plans())
    model = Model(plan, data.draw)
    fed = {root.index: data.draw(st.integers(0, 5)) for root in plan.roots}
    frontier = Frontier(plan, {root for root, calls in fed.items() if calls})
    for _ in range(1000):
        if frontier.complete:
            break
        for root in sorted(frontier.feeding):
            assert root not in model.finished
            if fed[root] == 0:
                frontier.feeding.discard(root)
            else:
                fed[root] -= 1
                model.count[root] += data.draw(st.integers(0, 2))
        watched = frontier.watched
        to_finish = frontier.advance(dict(model.count))
        model.finish(to_finish)
        for _ in range(data.draw(st.integers(0, 3))):
            model.end_a_task()
        if not frontier.feeding and frontier.watched == watched and not to_finish:
            model.end_a_task()
    assert frontier.complete
    assert not any(model.count.values())
    expected = {pe.index for pe in plan.pes if type(pe.pe) is not Plain}
    assert set(model.finished) == expected


def chain(*pes):
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in itertools.pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return make_plan(graph)


def test_i3_every_pe_with_a_life_cycle_is_finished_even_without_items():
    frontier = Frontier(chain(Opens(), Plain(), Closes()), set())
    no_tasks = {0: 0, 1: 0, 2: 0}
    assert frontier.advance(no_tasks) == [0]
    assert frontier.advance(no_tasks) == [2]  # 1 has no life cycle
    assert frontier.advance(no_tasks) == []
    assert frontier.complete


def test_c1_a_root_that_is_still_fed_is_not_complete():
    frontier = Frontier(chain(Plain(), Plain()), {0})
    assert frontier.watched == []
    assert frontier.advance({0: 0, 1: 0}) == []
    assert not frontier.complete
    frontier.feeding.clear()
    frontier.advance({0: 0, 1: 0})
    assert frontier.complete


def test_c1_one_unfinished_task_keeps_everything_downstream_open():
    frontier = Frontier(chain(Plain(), Closes(), Closes()), set())
    assert frontier.advance({0: 1, 1: 0, 2: 0}) == []
    assert frontier.watched == [0]
    assert frontier.advance({0: 0, 1: 1, 2: 0}) == []
    assert frontier.watched == [1]
    assert frontier.advance({0: 0, 1: 0, 2: 5}) == [1]
    assert frontier.advance({0: 0, 1: 1, 2: 5}) == []
    assert frontier.advance({0: 0, 1: 0, 2: 5}) == []
    assert frontier.advance({0: 0, 1: 0, 2: 0}) == [2]
    assert not frontier.complete
    assert frontier.advance({0: 0, 1: 0, 2: 0}) == []
    assert frontier.complete


def test_a_pe_is_finished_once():
    frontier = Frontier(chain(Closes()), set())
    assert frontier.advance({0: 0}) == [0]
    assert frontier.advance({0: 1}) == []
    assert frontier.advance({0: 0}) == []
    assert frontier.watched == []
