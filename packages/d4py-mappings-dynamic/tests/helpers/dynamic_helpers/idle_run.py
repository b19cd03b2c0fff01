"""A program: a run that has nothing to do, or whose root is busy, until it is told to end.

Usage: idle_run.py URL FOLDER (empty | busy); it ends when the file `open` is in the folder.
"""

import sys
from pathlib import Path

from d4py_conformance.pes.common import Relay
from d4py_conformance.suite import chain
from d4py_conformance.waiting import NEVER, wait_until
from dispel4py import run

WORKERS = 3


class Gate(Relay):
    """Does nothing with the item 0 until the file is there."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def _process(self, data):
        if data == 0:
            wait_until(self.path.exists, "the end of the test", NEVER)
        return data


def inputs(path, kind):
    yield {"input": 0 if kind == "busy" else 1}
    if kind == "busy":
        yield from ({"input": number} for number in range(1, 20_000))
    wait_until(path.exists, "the end of the test", NEVER)


if __name__ == "__main__":
    url, folder, kind = sys.argv[1:]
    path = Path(folder) / "open"
    root = Gate(path)
    result = run(
        chain(root, Relay()), "dyn_redis", {root: inputs(path, kind)}, WORKERS, redis_url=url
    )
    print(len(result.outputs["Relay1"]["output"]))
