"""Virtual time: code that sleeps, waits for conditions and starts threads, run without waiting.

Threads are greenlets, of which one runs until it waits.  When all wait, the clock goes on to the
moment at which the first of them continues, so a run is the same each time, and an hour of waiting
takes none.  What Python computes takes no virtual time; a model adds what it should take.
"""

import heapq
import itertools
import sys
import threading
import time
from contextlib import contextmanager
from types import FunctionType

from greenlet import getcurrent, greenlet

#: Packages whose modules get the virtual clock and threads.
PACKAGES = ("dispel4py", "d4py_dynamic", "dynamic_helpers")


class VirtualTime:
    """A clock, and the greenlets that wait for it.

    Attributes:
        now: seconds since the beginning.
    """

    def __init__(self):
        self.now = 0.0
        self._waiting = []
        self._numbers = itertools.count()
        self._hub = None

    def clock(self):
        return self.now

    def sleep(self, seconds):
        """Continue after some seconds."""
        self.continue_at(self.now + max(0.0, seconds), Waiter(getcurrent()))
        self.suspend()

    def start(self, function):
        """Run a function in a greenlet; return an object that is true when it has ended."""
        started = greenlet(function, parent=self._hub)
        self.continue_at(self.now, Waiter(started))
        return started

    def continue_at(self, at, waiter):
        heapq.heappush(self._waiting, (at, next(self._numbers), waiter))

    def suspend(self):
        """Let others run until this greenlet is continued."""
        self._hub.switch()

    def run(self, function):
        """Run a function, and all that it starts, until it returns."""
        self._hub = getcurrent()
        outcome = []
        main = self.start(lambda: outcome.append(function()))
        while not main.dead:
            if not self._waiting:
                raise RuntimeError("all wait, and nothing will ever happen")
            at, _, waiter = heapq.heappop(self._waiting)
            if waiter.is_waiting:
                self.now = max(self.now, at)
                waiter.is_waiting = False
                waiter.greenlet.switch()
        return outcome[0]

    @contextmanager
    def installed(self):
        """Let the modules of `PACKAGES` have this clock and such threads in the block."""
        replaced = {
            id(threading): Threading(self),
            id(threading.Condition): self.condition,
            id(threading.RLock): self.condition,
            id(threading.Lock): self.condition,
            id(time.monotonic): self.clock,
            id(time.perf_counter): self.clock,
            id(time.thread_time): self.clock,
            id(time.sleep): self.sleep,
        }
        before = []

        def replace(holder, attribute, value):
            before.append((holder, attribute, getattr(holder, attribute)))
            setattr(holder, attribute, value)

        for module in _modules():
            for attribute, value in [*vars(module).items()]:
                if id(value) in replaced:
                    replace(module, attribute, replaced[id(value)])
            for function in _functions(module):
                defaults = function.__kwdefaults__ or {}
                virtual = {name: replaced.get(id(value), value) for name, value in defaults.items()}
                if virtual != defaults:
                    replace(function, "__kwdefaults__", virtual)
                values = function.__defaults__ or ()
                virtual = tuple(replaced.get(id(value), value) for value in values)
                if virtual != values:
                    replace(function, "__defaults__", virtual)
        try:
            yield
        finally:
            for module, attribute, value in before:
                setattr(module, attribute, value)

    def condition(self, lock=None):
        return Condition(self)


def _modules():
    return [
        module
        for name, module in sys.modules.items()
        if name.partition(".")[0] in PACKAGES and name != __name__
    ]


def _functions(module):
    """Return the functions of a module and its classes."""
    own = [value for value in vars(module).values() if isinstance(value, type)]
    found = [*vars(module).values(), *(value for each in own for value in vars(each).values())]
    return {value for value in found if isinstance(value, FunctionType)}


class Waiter:
    """A greenlet that waits; it is continued once, whoever comes first."""

    def __init__(self, waiting):
        self.greenlet = waiting
        self.is_waiting = True


class Condition:
    """A condition and its lock, which is free whenever another greenlet runs."""

    def __init__(self, virtual):
        self._virtual = virtual
        self._waiters = []

    def __enter__(self):
        return True

    def __exit__(self, *exc_info):
        return None

    def wait(self, seconds=None):
        waiter = Waiter(getcurrent())
        self._waiters.append(waiter)
        if seconds is not None:
            self._virtual.continue_at(self._virtual.now + max(0.0, seconds), waiter)
        self._virtual.suspend()
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            return False
        return True

    def wait_for(self, predicate, seconds=None):
        until = None if seconds is None else self._virtual.now + seconds
        while not (result := predicate()):
            left = None if until is None else until - self._virtual.now
            if left is not None and left <= 0:
                break
            self.wait(left)
        return result

    def notify(self, count=1):
        for waiter in self._waiters[:count]:
            self._virtual.continue_at(self._virtual.now, waiter)
        del self._waiters[:count]

    def notify_all(self):
        self.notify(len(self._waiters))


class Event(Condition):
    def __init__(self, virtual):
        super().__init__(virtual)
        self._is_set = False

    def is_set(self):
        return self._is_set

    def set(self):
        self._is_set = True
        self.notify_all()

    def clear(self):
        self._is_set = False

    def wait(self, seconds=None):
        if not self._is_set:
            super().wait(seconds)
        return self._is_set


class Thread:
    def __init__(self, virtual, target, args=(), name="", daemon=None):
        self._virtual = virtual
        self._target, self._args = target, args
        self._ended = Event(virtual)

    def start(self):
        self._virtual.start(self._run)

    def join(self, seconds=None):
        self._ended.wait(seconds)

    def is_alive(self):
        return not self._ended.is_set()

    def _run(self):
        try:
            self._target(*self._args)
        finally:
            self._ended.set()


class Threading:
    """What modules use of `threading`."""

    def __init__(self, virtual):
        self.Condition = self.Lock = self.RLock = virtual.condition
        self.Event = lambda: Event(virtual)
        self.Thread = lambda **options: Thread(virtual, **options)

    def __getattr__(self, name):
        return getattr(threading, name)
