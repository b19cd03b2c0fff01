"""The events of a run on a Redis server, for ``dispel4py ui``.

A group of readers of its own on the stream of events lets the driver see what was read, so that it
deletes the run after that.  The client library is imported when a run is followed, so that help
texts are shown at once.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from d4py_dynamic.store.redis.connections.arguments import add_run_arguments
from dispel4py.errors import OptionError

if TYPE_CHECKING:
    from dispel4py.events import Event


class RedisEvents:
    """See `dispel4py.registry.EventSource`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.EventSource`."""
        add_run_arguments(parser)

    @contextmanager
    def follow(
        self, options: argparse.Namespace, stopped: threading.Event
    ) -> Iterator[Iterator[Event]]:
        """See `dispel4py.registry.EventSource`."""
        if find_spec("redis") is None:
            raise OptionError(
                "runs on Redis need redis, which is not installed: run"
                " pip install 'd4py-mappings-dynamic[redis]'"
            )
        from d4py_dynamic.remote.watching import opened_run

        with opened_run(options) as run:
            yield run.events(stopped)
