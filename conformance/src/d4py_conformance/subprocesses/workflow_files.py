"""A workflow whose classes, functions and helper module worker processes have to find.

It is a text, which a test writes to a file and loads, or runs as a script.
"""

from __future__ import annotations

import textwrap

#: A module beside the workflow, which imports it; its file is ``helper.py``.
HELPER = "OFFSET = 100\n"

WORKFLOW = """\
from dataclasses import dataclass
from helper import OFFSET
from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph

@dataclass
class Sample:
    value: int

class Make(ProducerPE):
    counter = 0
    def _process(self, inputs):
        self.counter += 1
        return Sample(self.counter)

class Keep(IterativePE):
    stateful = True
    def _process(self, sample):
        assert type(sample) is Sample
        return Sample(sample.value + OFFSET)

def double(sample):
    return Sample(2 * sample.value)

graph = WorkflowGraph()
make, keep = Make(), Keep()
doubled, shown = SimpleFunctionPE(double), SimpleFunctionPE(lambda sample: sample.value)
graph.connect(make, "output", keep, "input")
graph.connect(keep, "output", doubled, "input")
graph.connect(doubled, "output", shown, "input")
"""

#: The PE whose results come out of the workflow.
LAST = "PE_<lambda>3"
#: Its results for four calls of the root.
EXPECTED = [202, 204, 206, 208]


def script(call: str) -> str:
    """Return the text of a script that runs the workflow.

    Args:
        call: lines that use ``graph``, ``run`` and ``sys.argv`` to print the results.
    """
    main = 'if __name__ == "__main__":\n    import sys\n    from dispel4py import run\n'
    return WORKFLOW + main + textwrap.indent(textwrap.dedent(call), "    ")


def assert_only_the_script_is_blamed(errors: str) -> None:
    """Fail unless what a script without a guard has printed shows its call, and what to do."""
    *traceback, error = errors.splitlines()
    assert error.endswith(
        "the main script calls run() when a worker process imports it; call it below:"
        " if __name__ == '__main__':"
    ), errors
    assert errors.count("Traceback") == 1, errors
    assert not [line for line in traceback if "dispel4py" in line and "File" in line], errors
