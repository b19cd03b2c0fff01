"""A TCP proxy that can be a bad network between programs of a test and their server.

It passes on what comes until a call cuts connections, to cut them in the middle of a reply or
before it, or to hold everything back for a while.  It runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import Coroutine
from typing import Any

_HOST = "127.0.0.1"
_CHUNK = 1 << 16


class _Link:
    """A connection through the proxy: to the program, and to the server."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near, self.far = near, far

    def cut(self) -> None:
        """End both sides; what was written to the program still reaches it."""
        self.near.close()
        self.far.transport.abort()


class Proxy:
    """Listens on a port of its own, and passes on to that of a server, which may come and go.

    Args:
        target: the server's port on this host.
        chance: decides which connections are cut, and where.
        tls: makes connections to the proxy ones with TLS; those to the server are plain.

    Attributes:
        port: where it listens.
        torn: how many replies it has cut so far.
    """

    def __init__(
        self, target: int, chance: random.Random, tls: ssl.SSLContext | None = None
    ) -> None:
        self._target = target
        self._chance = chance
        self._links: set[_Link] = set()
        # Of a connection that its program has ended, asyncio holds no reference that lasts.
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._to_tear = self.torn = 0
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._passes: asyncio.Event = self._do(self._make_event())
        self._server: asyncio.Server = self._do(
            asyncio.start_server(self._accept, _HOST, 0, ssl=tls)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self, share: float = 1.0) -> int:
        """Cut a share of the connections, at least one if there is one; return how many."""
        return int(self._do(self._cut(share)))

    def tear(self, count: int = 1) -> None:
        """End each of the next connections on which a reply comes after a part of it, or none.

        So the server has executed the request, and the client does not know.
        """
        self._do(self._tear(count))

    def hold(self, seconds: float) -> None:
        """Let nothing pass for so long."""
        self._do(self._hold(seconds))

    def close(self) -> None:
        """Listen no more, and cut everything."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _make_event(self) -> asyncio.Event:
        event = asyncio.Event()
        event.set()
        return event

    async def _cut(self, share: float) -> int:
        links = sorted(self._links, key=id)
        count = min(len(links), max(1, round(share * len(links))))
        for link in self._chance.sample(links, count):
            link.cut()
        return count

    async def _tear(self, count: int) -> None:
        self._to_tear += count

    async def _hold(self, seconds: float) -> None:
        self._passes.clear()
        self._loop.call_later(seconds, self._passes.set)

    async def _close(self) -> None:
        self._is_closed = True
        for listener in self._server.sockets:
            # Closed at once, asyncio would leave open what it has just accepted.
            self._loop.remove_reader(listener)
        self._passes.set()
        for link in self._links:
            link.cut()
        # A connection that was just accepted becomes a task of its own only now.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            _, left = await asyncio.wait(tasks, timeout=5)
            for task in left:  # of a connection that a program has left open
                task.cancel()
        self._server.close()
        await asyncio.sleep(0)  # closes the sockets of the last tasks

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self._is_closed:  # meanwhile
            near.transport.abort()
            return
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._serve(reader, near)
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            answers, far = await asyncio.open_connection(_HOST, self._target)
        except OSError:  # the server is not there at the moment
            near.transport.abort()
            return
        link = _Link(near, far)
        self._links.add(link)
        if self._is_closed:  # meanwhile
            link.cut()
        try:
            await asyncio.gather(
                self._pass_on(reader, far, link), self._pass_on(answers, near, link, answers=True)
            )
        finally:
            self._links.discard(link)

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        link: _Link,
        *,
        answers: bool = False,
    ) -> None:
        try:
            while data := await source.read(_CHUNK):
                await self._passes.wait()
                if answers and self._to_tear:
                    self._to_tear -= 1
                    self.torn += 1
                    sink.write(data[: self._chance.choice((0, self._chance.randrange(len(data))))])
                    break
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            link.cut()
