"""The lines between the driver and those ranks of an MPI world that are on its machine.

The first rank's line carries all messages.  The others' are there to be cut: so we see ranks die,
and in which order.  (mpiexec kills all when one is lost, and may take another one for the first.)
"""

from __future__ import annotations

import os
import pickle
import selectors
import shutil
import socket
import tempfile

from d4py_fixed.mpi_link import Kind, Link, Message


class Lines:
    """The driver's ends.

    Attributes:
        path: socket that ranks connect to.
        size: number of ranks; 0 until the first one has said.
        pids: process numbers of the ranks that are connected, or were.
        dead: those of them that are gone, in that order.
    """

    def __init__(self) -> None:
        self.size = 0
        self.pids: dict[int, int] = {}
        self.dead: list[int] = []
        self._first: Link | None = None
        self._links: set[Link] = set()
        self._rank_of: dict[Link, int] = {}
        self._folder = tempfile.mkdtemp(prefix="d4py-mpi-")  # nobody else may enter
        self.path = os.path.join(self._folder, "driver")
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def send(self, message: Message) -> None:
        """Send a message to a rank, or to all, by way of the first; lost where that is gone."""
        if self._first is not None:
            self._first.send(message)

    def look(self, seconds: float) -> list[Message]:
        """What arrives; waits for something for so long."""
        first = self._first
        if first is not None and not first.closed:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if first.is_full else 0)
            self._selector.modify(first, wanted)
        messages: list[Message] = []
        for key, _ in self._selector.select(seconds):  # in the order in which things happened
            if key.fileobj is self._listener:
                link = Link(self._listener.accept()[0])
                self._links.add(link)
                self._selector.register(link, selectors.EVENT_READ)
            elif isinstance(key.fileobj, Link):
                messages += self._look_at(key.fileobj)
        return messages

    def close(self) -> None:
        self._selector.close()
        self._listener.close()
        for link in self._links:
            link.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _look_at(self, link: Link) -> list[Message]:
        messages = []
        for message in link.move():
            if message.kind == Kind.HELLO:
                size, self.pids[message.rank] = pickle.loads(message.parts[0])
                self._rank_of[link] = message.rank
                if message.rank == 0:  # by then every rank here is connected
                    self._first, self.size = link, size
                    shutil.rmtree(self._folder, ignore_errors=True)
            else:
                messages.append(message)
        if link.closed:
            self._selector.unregister(link)
            if link in self._rank_of:
                self.dead.append(self._rank_of[link])
            link.close()
        return messages
