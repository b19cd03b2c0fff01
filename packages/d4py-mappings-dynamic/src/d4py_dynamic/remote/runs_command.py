"""The command ``dispel4py runs``, which lists the runs on a Redis server.

The client library is imported when runs are listed, so that help texts are shown at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from d4py_dynamic.store.redis.connections.arguments import add_server_arguments

if TYPE_CHECKING:
    from d4py_dynamic.remote.run_directory import RunInfo

#: A driver whose last heartbeat is older is listed with that age.
_LATE_SECONDS = 5

PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]


class RunsCommand:
    """List the runs on a Redis server, with their progress and workers."""

    requires = ("redis",)
    example = "dispel4py runs --redis-url redis://HOST:6379"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Command`."""
        add_server_arguments(parser)

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """See `dispel4py.registry.Command`."""
        from d4py_dynamic.remote.run_directory import list_runs
        from d4py_dynamic.store.redis.connections.client import Clients
        from d4py_dynamic.store.redis.connections.errors import service_errors
        from d4py_dynamic.store.redis.connections.server import known_server

        address = known_server(vars(options))
        with service_errors(address), Clients(address) as clients:
            found = list_runs(clients)
        if not found:
            print(f"no runs at {address}")
            return 0
        titles = ("run", "mapping", "driver", "since", "workers", "calls", "unfinished", "open to")
        print_table(titles, map(_row, found))
        return 0


def _row(info: RunInfo) -> list[str]:
    driver = f"{info.host}, process {info.process}"
    age = info.seconds_since_heartbeat
    if age > _LATE_SECONDS:
        resumable = "; can be resumed" if info.is_resumable else ""
        driver += f" (no heartbeat for {age:.0f} s{resumable})"
    return [
        info.run_id,
        info.mapping,
        driver,
        f"{info.seconds:.0f} s",
        str(info.workers),
        str(info.calls),
        str(info.unfinished),
        "workers with its key" if info.is_open else "no workers",
    ]
