"""Starts workflows in a Slurm in several ways, and writes what each does into docs/how-to.

Usage: slurm_table.py PYTHON…, each the Python of an environment that holds d4py and one MPI.  The
first one's is used where MPI is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mpi_brands import VERSION

from d4py_conformance.chaos.processes import Server
from d4py_conformance.report import put_into
from d4py_conformance.subprocesses.slurm import SlurmCluster, why_not
from d4py_conformance.waiting import wait_until
from d4py_dynamic.store.redis.connections.server import server_binary
from d4py_fixed.mpi.launcher_environment import mpiexec_environment

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "slurm-and-pbs.md"
MARKS = (
    "<!-- ways to start in Slurm: begin; written by `make slurm-table` -->",
    "<!-- ways to start in Slurm: end -->",
)
ITEMS = 200
WORKFLOW = """
import time
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Count(ProducerPE):
    number = 0
    def _process(self, inputs):
        self.number += 1
        return self.rank, self.number

class Pass(IterativePE):
    def _process(self, item):
        time.sleep(0.01)
        return [self.rank, *item]

graph = WorkflowGraph()
graph.connect(Count(), "output", Pass(), "input")
"""


class Ways:
    """Ways to start the command of one environment.

    Args:
        cluster: the cluster.
        python: the interpreter of the environment.
        url: address of a Redis.
    """

    def __init__(self, cluster: SlurmCluster, python: Path, url: str) -> None:
        self._cluster = cluster
        self._bin = python.parent
        self._url = url
        self._results = cluster.folder / "results.jsonl"
        self._key = cluster.folder / "run.key"
        (cluster.folder / "wf.py").write_text(WORKFLOW)

    # With MPI.

    def in_script(self) -> str:
        """Let the command start mpiexec, on two nodes."""
        return self._job("dispel4py mpi -n 4", "--nodes=2 --ntasks-per-node=2")

    def mpiexec_in_script(self) -> str:
        """Call mpiexec in the batch script, on two nodes."""
        return self._job("mpiexec -n 4 dispel4py mpi", "--nodes=2 --ntasks-per-node=2")

    def srun_pmi2(self) -> str:
        """Let srun start the ranks."""
        return self._srun("--mpi=pmi2 -n 4", "mpi")

    def srun_none(self) -> str:
        """Let srun start tasks that are no ranks."""
        return self._srun("--mpi=none -n 4", "mpi")

    # With one command, or over Redis.

    def srun_several(self) -> str:
        """Let srun start commands that would all write one file."""
        return self._srun("-n 4", "multi")

    def srun_auto(self) -> str:
        """Let the command take what the task has."""
        return self._srun("-n 1 -c 2", "multi -n auto")

    def workers(self) -> str:
        """Cancel a job of workers while a second one goes on."""
        driver = self._submit(self._driver("-n 0"), "-n 1")
        wait_until(self._key.exists, "the run's key")
        worker = (
            f"srun -n 2 {self._bin}/dispel4py worker --key-file {self._key} --redis-url {self._url}"
        )
        first, second = (self._submit(worker, "-n 2") for _ in range(2))
        wait_until(lambda: "taking part" in self._cluster.output(first), "the first workers")
        self._cluster.run("scancel", first)
        return self._end(driver, second, lost=True)

    def resumed(self) -> str:
        """Cancel the job of the driver, and resume the run in another."""
        first = self._submit(self._driver("-n 2 --resumable"), "-n 1")
        wait_until(lambda: self._results.exists() and self._results.stat().st_size, "a result")
        self._cluster.run("scancel", first)
        self._cluster.await_end(first)
        end = f"{self._bin}/dispel4py resume --key-file {self._key} --redis-url {self._url}"
        job = self._submit(f"{end} --output {self._results}", "-n 1")
        return self._end(job, lost=True)

    # Jobs, and what has come of them.

    def _driver(self, options: str) -> str:
        run = f"{self._bin}/dispel4py hybrid_redis wf.py -i {ITEMS} {options} --output"
        return f"{run} {self._results} --key-file {self._key} --redis-url {self._url}"

    def _job(self, command: str, options: str) -> str:
        end = f"wf.py -i {ITEMS} --output {self._results}"
        return self._end(self._submit(f"{command} {end}", options))

    def _submit(self, command: str, options: str) -> str:
        script = self._cluster.folder / "job.sh"
        script.write_text(f"#!/bin/bash\nexport PATH={self._bin}:$PATH\nexec {command}\n")
        return self._cluster.submit(script, options=options)

    def _srun(self, options: str, command: str) -> str:
        program = f"{self._bin}/dispel4py {command} wf.py -i {ITEMS} --output {self._results}"
        done = self._cluster.run("srun", *options.split(), *program.split())
        return self._outcome(done.returncode, done.stderr)

    def _end(self, *jobs: str, lost: bool = False) -> str:
        states = [self._cluster.await_end(job) for job in jobs]
        failed = [self._cluster.output(job) for job, state in zip(jobs, states, strict=True)
                  if state != "COMPLETED"]  # fmt: skip
        return self._outcome(len(failed), "\n".join(failed), lost=lost)

    def _outcome(self, status: int, errors: str, *, lost: bool = False) -> str:
        """Return what the table says of a command that has ended.

        Args:
            status: its exit status.
            errors: what it has printed.
            lost: processes were lost on the way, so their number says nothing.
        """
        if status:
            print(errors, file=sys.stderr)
            is_refused = "dispel4py: error: " in errors and "Traceback" not in errors
            return f"refused ({status})" if is_refused else f"**{status}**"
        items = [json.loads(line)["data"] for line in self._results.read_text().splitlines()]
        self._results.unlink()
        if sorted(number for _, _, number in items) != [*range(1, ITEMS + 1)]:
            return f"**{len(items)} results in place of {ITEMS}**"
        if lost:
            return "one run, exact"
        processes = {rank for item in items for rank in item[:2]}
        return f"one run, exact, on {len(processes)} processes"


Way = Callable[[Ways], str]
BY_MPI: dict[str, Way] = {
    "`dispel4py mpi -n 4 …` in the batch script, on two nodes": Ways.in_script,
    "`mpiexec -n 4 dispel4py mpi …` in the batch script, on two nodes": Ways.mpiexec_in_script,
    "`srun --mpi=pmi2 -n 4 dispel4py mpi …`": Ways.srun_pmi2,
    "`srun -n 4 dispel4py mpi …`, with Slurm's default `MpiDefault=none`": Ways.srun_none,
}
OTHERS: dict[str, Way] = {
    "`srun -n 4 dispel4py multi … --output FILE`": Ways.srun_several,
    "`srun -n 1 -c 2 dispel4py multi -n auto …`": Ways.srun_auto,
    "two jobs of `srun -n 2 dispel4py worker KEY`, one of them cancelled": Ways.workers,
    "the job of a `--resumable` run cancelled, `dispel4py resume` in another": Ways.resumed,
}


def show(title: str, cells: dict[str, str]) -> str:
    """Return a line of the table; MPIs that do the same are named together."""
    shown: dict[str, list[str]] = {}
    for name, cell in cells.items():
        shown.setdefault(cell, []).append(name)
    text = "; ".join(
        f"{', '.join(names)}: {cell}" if len(shown) > 1 else cell for cell, names in shown.items()
    )
    print(f"{title}: {text}", flush=True)
    return f"| {title} | {text} |"


def main(pythons: list[Path]) -> None:
    """Write the table."""
    if (reason := why_not()) is not None:
        sys.exit(f"There is no Slurm to try: {reason}.")
    names = [subprocess.check_output([python, "-c", VERSION], text=True).strip()
             for python in pythons]  # fmt: skip
    os.environ |= mpiexec_environment(os.environ, os.geteuid())  # as root: Open MPI's wheel
    cluster = SlurmCluster()
    server = Server(server_binary(), cluster.folder, keeps=False)
    try:
        server.start()
        url = f"redis://127.0.0.1:{server.port}"
        version = cluster.run("sinfo", "--version").stdout.split()[-1]
        every = {
            name: Ways(cluster, python, url) for name, python in zip(names, pythons, strict=True)
        }
        lines = [f"| Slurm {version}; {', '.join(names)} | what comes of it |", "|---|---|"]
        for title, way in BY_MPI.items():
            lines.append(show(title, {name: way(ways) for name, ways in every.items()}))
        for title, way in OTHERS.items():
            lines.append(show(title, {"": way(every[names[0]])}))
    finally:
        server.stop()
        cluster.stop()
    PAGE.write_text(put_into(PAGE.read_text(), "\n".join(lines), MARKS))


if __name__ == "__main__":
    main([Path(python).absolute() for python in sys.argv[1:]])
