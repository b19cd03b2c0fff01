"""The command ``dispel4py worker``, which joins a run on a Redis server.

The client library is imported when a run is joined, so that help texts are shown at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

from d4py_dynamic.store.redis.connections.arguments import add_run_arguments

PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]


class WorkerCommand:
    """Take part in a run on a Redis server, with processes of this host.

    The workflow's code and PEs come from the run.  Ctrl-C returns unfinished work to the run.
    """

    requires = ("redis",)
    example = "dispel4py worker --redis-url redis://HOST:6379 --key-file run.key -n 4"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Command`."""
        from dispel4py.processes.workers.start_methods import add_start_arguments

        add_run_arguments(parser)
        parser.add_argument(
            "-n", "--num", type=int, metavar="N", help="number of processes (default: one per core)"
        )
        add_start_arguments(parser)

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """See `dispel4py.registry.Command`."""
        from d4py_dynamic.remote.joining import join_run

        return join_run(options)
