"""`Transport` over MPI: what one run sees of a rank's `Post`."""

from __future__ import annotations

from time import monotonic, sleep

from d4py_fixed.mpi_link import DRIVER, Kind
from d4py_fixed.mpi_post import Post
from d4py_fixed.transport import Parts

#: Seconds between two looks of a rank that waits: at first, and once it has waited for long.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 20e-6, 200e-6


class RunStopped(BaseException):
    """The driver has given the run up.

    Not an `Exception`, so that no ``except Exception`` in a PE swallows it.
    """


class MpiTransport:
    """See `Transport`.

    Args:
        post: the post of this rank.
        run: number of the run.
        ranks: number of ranks that take part; by this number the loop knows the driver.
    """

    def __init__(self, post: Post, run: int, ranks: int) -> None:
        self._post = post
        self._run = run
        self._driver = ranks
        self._frames = post.frames(run)

    def send(self, rank: int, parts: Parts) -> None:
        if rank == self._driver:
            self._post.send(Kind.DRIVER, self._run, DRIVER, parts)
        else:
            self._post.send(Kind.PEER, self._run, rank, parts)

    def receive(self, seconds: float) -> tuple[int, Parts] | None:
        """The next frame; see `Transport`.

        Raises:
            RunStopped: the driver has given the run up.
        """
        if not self._frames:
            self._post.look()
            if not self._frames and seconds > 0:
                self._wait(seconds)
        if self._post.stopped == self._run or self._post.end is not None:
            raise RunStopped
        if not self._frames:
            return None
        rank, parts = self._frames.popleft()
        return (self._driver if rank == DRIVER else rank), parts

    def close(self) -> None:
        """The post stays open for the next run."""

    def _wait(self, seconds: float) -> None:
        post, pause = self._post, _SHORTEST_PAUSE
        until = monotonic() + seconds
        while not (self._frames or post.stopped == self._run or post.end is not None):
            if monotonic() >= until:
                return
            sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            post.look()
