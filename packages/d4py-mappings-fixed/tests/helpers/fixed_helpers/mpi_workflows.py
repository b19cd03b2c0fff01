"""A workflow whose PEs say where they run, and what a command has printed of it."""

import ast

WORKFLOW = """
import os, sys
from dispel4py import WorkflowGraph
from fixed_flows import *

class Rank(IterativePE):
    def __init__(self, instances=1):
        super().__init__()
        self.numprocesses = instances
    def _process(self, data):
        return self.rank, os.getpid(), data

graph = WorkflowGraph()
first, middle, last = Numbers(), Rank(), Rank()
graph.connect(first, "output", middle, "input")
graph.connect(middle, "output", last, "input")
"""


def outputs_of(out):
    """What a command has printed, which is its results and nothing else."""
    (line,) = out.splitlines()
    return ast.literal_eval(line.removeprefix("Outputs: "))
