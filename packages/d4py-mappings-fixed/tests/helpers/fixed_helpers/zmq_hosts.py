"""Commands of `zmq_multi` on two hosts, and their workflow."""

import os
import re
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from pathlib import Path

from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.subprocesses.reserved_ports import ReservedPort
from d4py_conformance.waiting import wait_until

COMMAND = Path(sysconfig.get_path("scripts"), "dispel4py")
SECRET = secrets.token_urlsafe(32)

#: Each PE makes a file named after its process; the driver's environment makes it fail or pause.
WORKFLOW = """
import os, pathlib, time
from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph

PLACE = pathlib.Path(__file__).parent
MISBEHAVE = os.environ.get("MISBEHAVE", "")
PAUSE = float(os.environ.get("PAUSE", "0"))

class Word(str):
    pass

class Observed:
    def __init__(self):
        super().__init__()
        self.place, self.pause, self.misbehave = str(PLACE), PAUSE, MISBEHAVE
    def _preprocess(self):
        pathlib.Path(self.place, f"{self.id}.{os.getpid()}").touch()

class First(Observed, ProducerPE):
    count = 0
    def _process(self, inputs):
        self.count += 1
        time.sleep(self.pause)
        return Word("marker-on-the-wire %d" % (self.count % 10))

class Middle(Observed, IterativePE):
    def _process(self, data):
        if self.misbehave:
            raise ValueError("the sensor is broken")
        return {"word": data}

class Count(Observed, GenericPE):
    def __init__(self):
        super().__init__()
        self.numprocesses = 2
        self._add_input("input", grouping=["word"])
        self._add_output("output")
        self.counts = {}
    def process(self, inputs):
        word = inputs["input"]["word"]
        self.counts[word] = self.counts.get(word, 0) + 1
    def _postprocess(self):
        for word, count in self.counts.items():
            self.write("output", f"{word}: {count}")

graph = WorkflowGraph()
first, middle, count = First(), Middle(), Count()
graph.connect(first, "output", middle, "input")
graph.connect(middle, "output", count, "input")
"""

#: A script whose classes and functions are sent to the other host.
SCRIPT = """
import sys
from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph, run

class Sample:
    def __init__(self, value):
        self.value = value

class Make(ProducerPE):
    count = 0
    def _process(self, inputs):
        self.count += 1
        return Sample(self.count)

class Check(IterativePE):
    def _process(self, sample):
        assert type(sample) is Sample
        return scaled(sample)

def scaled(sample, factor=10):
    return Sample(factor * sample.value)

graph = WorkflowGraph()
check = Check()
graph.connect(Make(), "output", check, "input")
graph.connect(check, "output", SimpleFunctionPE(lambda sample: sample), "input")
if __name__ == "__main__":
    samples = run(
        graph, "zmq_multi", 3, 3, bind=sys.argv[1], local=int(sys.argv[2]), wait=60.0
    ).outputs["PE_<lambda>2"]["output"]
    print([type(sample) is Sample and sample.value for sample in samples])
"""


@contextmanager
def host_folders():
    """Make a folder for each host; the workflow is in the driver's."""
    with tempfile.TemporaryDirectory(prefix="d4py-test-") as made:
        (Path(made) / "here").mkdir()
        (Path(made) / "there").mkdir()
        (Path(made) / "here" / "wf.py").write_text(WORKFLOW)
        yield Path(made)


class Hosts:
    """Starts commands on two hosts; `prefixes` are prepended to the commands of each."""

    def __init__(self, folder, here="127.0.0.1", prefixes=((), ())):
        self.folder = folder
        self.prefixes = prefixes
        self.reserved = ReservedPort()
        self.address = f"tcp://{here}:{self.reserved.number}"
        self.started = []

    def driver(self, *arguments, **environment):
        arguments = [COMMAND, "zmq_multi", "wf.py", "--bind", self.address, *arguments]
        return self._start(0, self.folder / "here", arguments, environment)

    def script(self, local):
        (self.folder / "here" / "script.py").write_text(SCRIPT)
        arguments = [sys.executable, "script.py", self.address, local]
        return self._start(0, self.folder / "here", arguments, {})

    def agent(self, *arguments, **environment):
        arguments = [COMMAND, "zmq_multi", "--connect", self.address, *arguments]
        return self._start(1, self.folder / "there", arguments, environment)

    def _start(self, host, folder, arguments, environment):
        process = Command(
            [*self.prefixes[host], *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "D4PY_KEY": SECRET, "PYTHONHASHSEED": str(host), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def pids(self):
        """Return (PE, process) of all instances, once all have started."""

        def found():
            return [
                (path.stem, int(path.suffix[1:]))
                for path in (self.folder / "here").glob("*.[0-9]*")
            ]

        wait_until(lambda: len(found()) == 4, "not all have started")
        return found()

    def stop(self):
        self.reserved.close()
        for process in self.started:
            process.send_to_all(signal.SIGKILL)
            process.communicate()


EXPECTED = {f"marker-on-the-wire {n}: 10" for n in range(10)}


def results(out):
    return set(re.findall(r"marker-on-the-wire \d+: \d+", out))
