"""`LiveServer`: serves the live page of a run; with ``--ui``, in a process of its own.

That process reads the events of the run on standard input, and ends when that does.  Pages get
updates as server-sent events, each page the latest when it is ready for one.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from d4py_cli.report.page import make_page, render_sections, shown_pictures
from d4py_cli.report.series import columns, worker_names
from d4py_cli.report.summary import RunSummary
from d4py_cli.ui.limits import PageLimits
from d4py_cli.ui.live_page import TOKEN_VARIABLE
from dispel4py.events import Event, RunEnded, RunStarted, from_json

_NO_END = "the run did not say how it ended: its process was killed, or cannot be reached"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class LiveServer:
    """The pages of one run.

    Args:
        token: what the address of a page must have.
        limits: intervals.

    Attributes:
        app: the ASGI application.
        on_end: called when the run is over and all pages have had the last update.
    """

    def __init__(self, token: str, limits: PageLimits = PageLimits()) -> None:
        self._token = token
        self._limits = limits
        self._summary = RunSummary()
        self._lock = threading.Lock()
        self._is_over = False
        self._pages = 0
        self._rendered = (-1, "")
        self._events = 0
        self.on_end: Callable[[], None] = lambda: None
        self.app = Starlette(
            routes=[Route("/", self._page), Route("/updates", self._updates)],
            # Other names that lead here are those of pages elsewhere (DNS rebinding).
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
            ],
        )

    def read(self, events: Iterable[Event]) -> None:
        """Take the events of the run, until it is over."""
        for event in events:
            with self._lock:
                if isinstance(event, RunStarted):  # another driver has resumed the run
                    self._summary = RunSummary()
                self._summary.on_event(event)
                self._events += 1
        with self._lock:
            if self._summary.ended is None:
                time = self._summary.seconds
                self._summary.on_event(RunEnded(time, "failed", time, _NO_END))
                self._events += 1
        self._is_over = True
        if not self._pages:
            self.on_end()

    async def _page(self, request: Request) -> Response:
        if (refusal := self._refuse(request)) is not None:
            return refusal
        waited = 0.0
        while self._summary.started is None and waited < self._limits.start_seconds:
            await asyncio.sleep(0.1)
            waited += 0.1
        with self._lock:
            url = f"/updates?token={quote(self._token)}"
            return HTMLResponse(make_page(self._summary, url), headers=_HEADERS)

    async def _updates(self, request: Request) -> Response:
        if (refusal := self._refuse(request)) is not None:
            return refusal
        return StreamingResponse(
            self._send_updates(), media_type="text/event-stream", headers=_HEADERS
        )

    async def _send_updates(self) -> AsyncIterator[str]:
        self._pages += 1
        sent = -1
        try:
            while True:
                is_last = self._is_over
                number, update = self._render()
                if number != sent:
                    yield f"data: {update}\n\n"
                    sent = number
                if is_last:
                    yield "event: end\ndata: \n\n"
                    return
                await asyncio.sleep(self._limits.update_seconds)
        finally:
            self._pages -= 1
            if self._is_over and not self._pages:
                self.on_end()

    def _render(self) -> tuple[int, str]:
        """Return the number of events so far, and what a page shows of them, as JSON."""
        with self._lock:
            if self._rendered[0] != self._events:
                self._rendered = self._events, json.dumps(make_update(self._summary))
            return self._rendered

    def _refuse(self, request: Request) -> Response | None:
        given = request.query_params.get("token", "")
        if hmac.compare_digest(given.encode(), self._token.encode()):
            return None
        return PlainTextResponse("the address lacks the token of the run", 403, _HEADERS)


def make_update(summary: RunSummary) -> dict[str, object]:
    """Return what a page shows now, in parts that its script puts in place of the earlier ones."""
    sections = render_sections(summary)
    del sections["environment"]  # it has been there from the start
    return {
        "sections": sections,
        "columns": columns(summary),
        "rows": {"workers rows": worker_names(summary)[::-1]},
        "seconds": max(summary.seconds, 0.001),
        "shown": shown_pictures(summary),
    }


def main() -> None:
    """Serve on the listening socket whose number is the argument."""
    server = LiveServer(os.environ.pop(TOKEN_VARIABLE))
    listener = socket.socket(fileno=int(sys.argv[1]))
    serve(server, listener, _whole_events(sys.stdin.buffer))
    os._exit(0)  # the run waits; to take the libraries down takes as long as all else at the end


def _whole_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of lines; the last line may be cut, as its writer was killed."""
    for line in lines:
        if not line.endswith(b"\n"):
            return
        yield from_json(line)


def serve(server: LiveServer, listener: socket.socket, events: Iterable[Event]) -> None:
    """Serve the pages of a run until it is over, and they have had the last update.

    Args:
        server: the pages.
        listener: a socket that listens.
        events: the events of the run, which a thread of its own takes.
    """
    config = uvicorn.Config(
        server.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    serving = uvicorn.Server(config)

    def end() -> None:
        serving.should_exit = True

    server.on_end = end
    threading.Thread(target=server.read, args=[events], daemon=True).start()
    serving.run(sockets=[listener])


if __name__ == "__main__":
    main()
