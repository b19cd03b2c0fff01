"""`Transport` over MPI: what one run sees of a rank's `Post`."""

from __future__ import annotations

from d4py_fixed.mpi_link import DRIVER, Kind
from d4py_fixed.mpi_post import Post
from d4py_fixed.transport import Parts


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
            if seconds > 0:
                self._post.wait(self._is_called, seconds)
            else:
                self._post.look()
        if self._is_stopped():
            raise RunStopped
        if not self._frames:
            return None
        rank, parts = self._frames.popleft()
        return (self._driver if rank == DRIVER else rank), parts

    def close(self) -> None:
        """The post stays open for the next run."""

    def _is_stopped(self) -> bool:
        return self._post.stopped == self._run or self._post.end is not None

    def _is_called(self) -> bool:
        return bool(self._frames) or self._is_stopped()
