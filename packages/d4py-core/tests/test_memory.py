"""C6 on `simple`: memory does not grow with the number of items.

Each run is a process of its own, which tells how much its peak grew beyond a short run's.
"""

import json
import subprocess
import sys

import pytest

# Every item is 200 bytes of its own: keeping 250,000 would take 50 MB.
WORKFLOWS = """
import itertools, json, resource, sys
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run

class Makes(ProducerPE):
    total = 0
    def _process(self, inputs):
        self.total += 1
        return b"%0200d" % self.total

class MakesMany(ProducerPE):
    def _process(self, inputs):
        for number in range(inputs["many"]):
            self.write("output", b"%0200d" % number)

class Same(IterativePE):
    def _process(self, data):
        return data

class Writes(IterativePE):
    def _process(self, data):
        self.write("output", data)

class MakesManyAtTheEnd(Same):
    many = 0
    def _process(self, data):
        self.many = data["many"]
    def _postprocess(self):
        for number in range(self.many):
            self.write("output", b"%0200d" % number)

def chain(*nodes):
    graph = WorkflowGraph()
    for source, destination in zip(nodes, nodes[1:]):
        graph.connect(source, "output", destination, "input")
    return graph

def counted(many):
    return chain(Makes(), Same(), Writes(), Same()), many

def generated(many):
    rows = ({"input": b"%0200d" % number} for number in range(many))
    return chain(Same(), Same()), rows

def one_call(many):
    return chain(MakesMany(), Same(), Same()), [{"many": many}]

def postprocess(many):
    return chain(MakesManyAtTheEnd(), Same()), [{"input": {"many": many}}]

def one_call_to_many_instances(many):
    meet = Same()
    meet.numprocesses = 3
    return chain(MakesMany(), Writes(), meet), [{"many": many}]

def peak():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024

def take(pe_id, output, data):
    global taken
    taken += 1

grown = []
for many in (5_000, int(sys.argv[2])):
    taken = 0
    graph, inputs = globals()[sys.argv[1]](many)
    before = peak()
    run(graph, inputs=inputs, on_result=take)
    assert taken == many, taken
print(json.dumps(peak() - before))
"""


@pytest.mark.parametrize(
    ("workflow", "items"),
    [
        ("counted", 250_000),
        ("generated", 250_000),
        ("one_call", 250_000),
        ("postprocess", 250_000),
        ("one_call_to_many_instances", 250_000),
    ],
)
def test_c6_memory_stays_flat(workflow, items):
    pytest.importorskip("resource")

    done = subprocess.run(
        [sys.executable, "-c", WORKFLOWS, workflow, str(items)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < 2 * 2**20
