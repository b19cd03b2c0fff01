"""Resuming a run on Redis whose driver is dead: ``dispel4py resume``, and the same from Python.

The client library is imported when a run is resumed, so that help texts are shown at once.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.store.redis.connections.arguments import add_key_argument, add_server_arguments
from dispel4py.result import RunOptions, RunResult


def resume(
    run_id: str | None,
    options: RunOptions,
    inputs: Any = None,
    limits: RemoteLimits = RemoteLimits(),
) -> RunResult:
    """Resume a run whose driver is dead, and drive it to its end.

    The results are all of the run's, including those that the dead driver had received.

    Args:
        run_id: the run; None takes the only one that can be resumed.
        options: the new driver's options; `extra` names the server (``redis_url``, …) and the key
            (``key_file``).  ``on_error`` is that of the run.
        inputs: for roots that were fed from an iterable: the same as before, from the beginning.
        limits: intervals and limits.

    Raises:
        UsageError: there is no such run, it cannot be resumed, or its driver is alive.
        RunError: the run failed.
    """
    from d4py_dynamic.remote.takeover import resume_run

    return resume_run(run_id, options, inputs, limits)


class ResumeCommand:
    """Resume a run on Redis whose driver has died, and drive it to its end.

    The run must have been started with --resumable.  The results are all of the run's, including
    those that the driver had received before it died.
    """

    requires = ("redis",)
    example = "dispel4py resume --redis-url redis://HOST:6379 --key-file run.key 5f0c1a2b"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.JobCommand`."""
        parser.add_argument(
            "run", nargs="?", metavar="RUN", help="which run (default: the one that can be resumed)"
        )
        add_server_arguments(parser)
        parser.add_argument(
            "-n", "--num", type=int, metavar="N", help="number of processes (default: as before)"
        )
        add_key_argument(parser)

    def run_job(self, options: argparse.Namespace, run_options: RunOptions) -> RunResult:
        """See `dispel4py.registry.JobCommand`."""
        extra = {
            name: getattr(options, name)
            for name in ("redis_url", "redis_ip", "redis_port", "reconnect", "key_file")
        }
        chosen = replace(run_options, processes=options.num, extra=extra, least_processes=0)
        return resume(options.run, chosen)
