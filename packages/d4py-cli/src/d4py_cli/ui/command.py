"""``dispel4py ui``: the live page of a run that another process drives."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager

from d4py_cli.ui.address import open_address
from dispel4py.errors import OptionError
from dispel4py.events import Event
from dispel4py.registry import load_event_source


def describe_ui(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.description = (
        "The page of a run that goes on in another process: one on a Redis server that was\n"
        "started with --watchable, on whatever machine, or one whose log of events is here.\n"
        "The page is on this machine, and ends with the run; to end it before, or to close it,\n"
        "does not disturb the run.  It needs libraries: pip install 'd4py-cli[ui]'"
    )
    parser.epilog = (
        "examples:\n  dispel4py ui --redis-url redis://HOST:6379 --key-file run.key\n"
        "  dispel4py ui runs"
    )
    parser.add_argument(
        "log",
        metavar="LOG",
        nargs="?",
        help="a log of events (--log FILE.jsonl), or a folder of --run-dir, of which it is the"
        " latest run; without it, a run on a Redis server",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="PORT", help="port of the page (default: a free one)"
    )
    if (source := load_event_source("redis")) is not None:
        source.add_arguments(parser)


def show_ui(options: argparse.Namespace) -> int:
    """Serve the page of a run, to its end.

    Raises:
        UsageError: there is no such run, it cannot be followed, or the port cannot be used.
        ServiceError: the run cannot be reached.
    """
    stopped = threading.Event()
    with _followed(options, stopped) as events:
        address = open_address(options.port, "dispel4py ui")
        from d4py_cli.ui.server import LiveServer, serve  # slow to import

        reader = _Reader(events)
        print(f"live page: {address.url}", file=sys.stderr, flush=True)
        try:
            with address.listener:
                serve(LiveServer(address.token), address.listener, reader)
        finally:
            stopped.set()
            reader.done.wait(_END_SECONDS)
    if reader.error is not None:
        raise reader.error
    return 0


#: How long the end of the page waits for the thread that reads events.
_END_SECONDS = 2.0


class _Reader:
    """The events of a run, as an iterable that ends where they fail.

    Args:
        events: the events.

    Attributes:
        error: by what they failed.
        done: set at their end.
    """

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self.error: Exception | None = None
        self.done = threading.Event()

    def __iter__(self) -> Iterator[Event]:
        try:
            yield from self._events
        except Exception as error:
            self.error = error
        finally:
            self.done.set()


def _followed(
    options: argparse.Namespace, stopped: threading.Event
) -> AbstractContextManager[Iterator[Event]]:
    if options.log is not None:
        from d4py_cli.ui.followed_log import followed_log

        return followed_log(options.log, stopped)
    source = load_event_source("redis")
    if source is None:
        raise OptionError(
            "which run? dispel4py ui LOG; for one on a Redis server:"
            " pip install 'd4py-mappings-dynamic[redis]'"
        )
    return source.follow(options, stopped)
