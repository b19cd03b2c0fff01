"""What each workflow of `d4py_examples.graph_testing` has to give, whatever mapping runs it.

Written down by hand, as a closed form or a few lines of plain Python, from what each workflow's PEs
are meant to do: no mapping had a part in it.  Ids are those of rule G3, so a composite's PEs are
counted where the composite stands.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from d4py_conformance.expected.compare import Outputs
from dispel4py import WorkflowGraph

#: Capabilities of a mapping that a grouped input asks for: it makes its PE stateful (rule D1).
GROUPED = frozenset({"stateful", "group_by"})
BROADCAST = frozenset({"stateful", "broadcast"})


@dataclass(frozen=True)
class Case:
    """A workflow and what it has to give.

    Attributes:
        name: name of its module in `d4py_examples.graph_testing`.
        expected: number of iterations → PE id → output → items, in any order.
        sizes: numbers of iterations to run it with.
        needs: capabilities without which a mapping has to refuse it.
    """

    name: str
    expected: Callable[[int], Outputs]
    sizes: tuple[int, ...] = (1, 25)
    needs: frozenset[str] = frozenset()

    def graph(self) -> WorkflowGraph:
        """Return the workflow itself."""
        graph = import_module(f"d4py_examples.graph_testing.{self.name}").graph
        assert isinstance(graph, WorkflowGraph)
        return graph


def counting(*pe_ids: str, times: int = 1) -> Callable[[int], Outputs]:
    """Each of these PEs gives 1, 2, …, n, each number `times` times."""
    return lambda n: {pe_id: {"output": [*range(1, n + 1)] * times} for pe_id in pe_ids}


WORDS = (
    "Dispel4Py",
    "Earthquake",
    "Computing",
    "Seismology",
    "Modelling",
    "Analysis",
    "Infrastructure",
)
#: What the filters of seeds 0 and 1 let through.
FILTER_0 = {"Dispel4Py", "Earthquake", "Computing", "Infrastructure"}
FILTER_1 = {"Dispel4Py", "Seismology", "Modelling", "Analysis"}


def random_words(n: int) -> list[str]:
    """Return the first n words of seed 0."""
    chooser = random.Random(0)
    return [chooser.choice(WORDS) for _ in range(n)]


def counted(pe_id: str, words: Iterable[str]) -> Outputs:
    """Return the results of a counter: [word, 1], [word, 2], … up to how often it came."""
    return {
        pe_id: {
            "output": [
                [word, count]
                for word, total in Counter(words).items()
                for count in range(1, total + 1)
            ]
        }
    }


def all_words_counted(pe_id: str) -> Callable[[int], Outputs]:
    """Every word is counted."""
    return lambda n: counted(pe_id, random_words(n))


def word_count_filter(n: int) -> Outputs:
    """Return the counts of the words that the filter of seed 0 lets through."""
    return counted("WordCounter2", [word for word in random_words(n) if word in FILTER_0])


def grouping_split_merge(n: int) -> Outputs:
    """Both filters see every word; one counter counts what comes out of either."""
    words = random_words(n)
    return counted(
        "WordCounter3",
        [word for word in words if word in FILTER_0] + [word for word in words if word in FILTER_1],
    )


def large_teecopy(n: int) -> Outputs:
    """Both branches get all; the producer's only number per call is counter * 0 + 0."""
    copies: list[Any] = [[0]] * n
    return {"TestOneInOneOut2": {"output": copies}, "TestOneInOneOut3": {"output": copies}}


def multi_producer(n: int) -> Outputs:
    """Ten numbers per call."""
    return {"TestOneInOneOut2": {"output": [*range(10)] * n}}


def pipeline_composite(n: int) -> Outputs:
    """Return the four functions, one after the other."""
    return {"PE_subtract4": {"output": [(i + 2) * 4 / 2 - 1 for i in range(1, n + 1)]}}


def split_merge(n: int) -> Outputs:
    """Every number comes by two ways, as text."""
    return {"TestTwoInOneOut3": {"output": [str(i) for i in range(1, n + 1)] * 2}}


def sieve(n: int) -> Outputs:
    """Return the primes below 1000.  A second round of the same numbers gets through no sieve."""
    primes = [p for p in range(2, 1000) if all(p % d for d in range(2, p))]
    return {"PrimeCollector2": {"output": primes if n else []}}


_CASES = [
    Case(
        "delayed_pipeline",
        counting("TestDelayOneInOneOut2"),
        sizes=(1, 5),
        needs=frozenset({"lifecycle"}),
    ),
    Case("group_by", all_words_counted("WordCounter4"), needs=GROUPED),
    Case("group_by_stateful", all_words_counted("WordCounter4"), needs=GROUPED),
    Case("grouping_alltoone", counting("TestOneInOneOut2"), needs=GROUPED),
    Case("grouping_alltoone_stateful", counting("TestOneInOneOut2"), needs=GROUPED),
    Case("grouping_onetoall", counting("TestOneInOneOut1", times=2), needs=BROADCAST),
    Case("grouping_onetoall_stateful", counting("TestOneInOneOut1", times=2), needs=BROADCAST),
    Case("grouping_split_merge", grouping_split_merge, needs=GROUPED),
    Case("large_teecopy", large_teecopy),
    Case("loopcopy", counting("TestOneInOneOut2", times=2)),
    Case("multi_producer", multi_producer),
    Case("parallel_pipeline", counting("TestOneInOneOut2", "TestOneInOneOut3")),
    Case("partition_parallel_pipeline", counting("TestOneInOneOut2", "TestOneInOneOut3")),
    Case("pipeline_composite", pipeline_composite),
    Case("pipeline_test", counting("TestOneInOneOut5")),
    Case("producer_tee", counting("TestOneInOneOut2", "TestOneInOneOut3")),
    Case("sieveoferatosthenes", sieve, sizes=(0, 1), needs=frozenset({"stateful"})),
    Case("split_merge", split_merge, sizes=(1, 100)),
    Case("teecopy", counting("TestOneInOneOut1", "TestOneInOneOut2")),
    Case("unconnected_pipeline", counting("TestOneInOneOut5", "TestOneInOneOut11")),
    Case("word_count", all_words_counted("WordCounter1"), needs=GROUPED),
    Case("word_count_filter", word_count_filter, needs=GROUPED),
]

#: All workflows by name.
WORKFLOWS: dict[str, Case] = {case.name: case for case in _CASES}
