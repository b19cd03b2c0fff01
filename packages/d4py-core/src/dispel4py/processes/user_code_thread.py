"""`UserCodeThread`: a thread of d4py's own that calls code of users."""

from __future__ import annotations

import threading


class UserCodeThread(threading.Thread):
    """A daemon whose threads are no daemons, although threads inherit that.

    A program, or a worker, ends without waiting for this thread.  For threads that a PE starts in
    it, it waits as if the PE had been called in the main thread: what they do would be lost else.
    """

    def run(self) -> None:
        """Run the target."""
        self._daemonic = False  # for threads that it starts; Python has made this one a daemon
        try:
            super().run()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let threads that start from now on be daemons, too."""
        self._daemonic = True
