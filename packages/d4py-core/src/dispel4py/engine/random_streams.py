"""Random numbers: each instance of a PE has a stream of its own, which depends on the run's seed.

PEs draw from the global generators of Python and NumPy, which all instances of a process share, and
which a forked process inherits.  So each instance gets a `Stream` for both, seeded by the run's
seed and the name of the instance, and the generators are set to the state of the instance that is
called.  This is done only for instances that were found to draw.

    >>> from dispel4py import ProducerPE, WorkflowGraph, run
    >>> class Dice(ProducerPE):
    ...     def _process(self, inputs):
    ...         return random.randint(1, 6)
    >>> graph = WorkflowGraph()
    >>> graph.add(Dice())
    >>> run(graph, inputs=3, seed=1).outputs == run(graph, inputs=3, seed=1).outputs
    True
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import random
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple, TypeVar

_HALF = 1 << 32
_NUMPY = "numpy.random"
#: An instance has a stream in so many batches, and until one takes no more than so many seconds and
#: none was found to have drawn random numbers.
_CHECKED_BATCHES, _CHECKED_SECONDS = 3, 0.005

T = TypeVar("T")


class StreamState(NamedTuple):
    """The state of a stream of random numbers.

    Attributes:
        python: see `random.getstate`.
        numpy: ``numpy.random.get_state(legacy=False)``, pickled; None if NumPy is not imported.
    """

    python: Any
    numpy: bytes | None


def draw_seed() -> int:
    """Return a seed for a run, drawn from the caller's generators.

    So a script that seeds them has the same runs each time.  The high half is drawn from Python's
    generator, and seeds Python's generator in the run; the low half does so for NumPy's.  While
    they serve a run on another thread, the seed is drawn from the operating system.
    """
    if not _generators.may_serve_this_thread():
        return random.SystemRandom().getrandbits(64)
    high = random.getrandbits(32) or 1
    numpy = sys.modules.get(_NUMPY)
    low = random.getrandbits(32) if numpy is None else int.from_bytes(numpy.bytes(4), "little")
    return high << 32 | low


class Stream:
    """The random numbers of one instance.

    Args:
        seed: the run's seed.
        name: name of the instance, unique in the run.
        state: the state that another process has left; None if nothing was drawn.
    """

    def __init__(self, seed: int, name: str, state: StreamState | None = None) -> None:
        self._seed = seed
        self._name = name
        self._state = state
        # Hashes of the initial states: a state takes 20 KB, so it is kept only if it is needed.
        self._python_hash: int | None = None
        self._numpy_hash: int | None = None
        self._is_recorded = True

    def activate(self) -> None:
        """Set the global generators to this stream, on this thread."""
        with _generators.lock:
            self._is_recorded = False
            if _generators.holder is not self and _generators.serve_this_thread():
                _generators.hand_to(self)
                self._set()

    def _set(self) -> None:
        _generators.watch_for_numpy()
        if self._state is not None:
            random.setstate(self._state.python)
        else:
            # A seed without a high half is used for both, so that --seed 1 and --seed 2 differ.
            random.seed(self._hashed(self._seed // _HALF or -self._seed))
            if self._python_hash is None:
                self._python_hash = hash(random.getstate())
        numpy = sys.modules.get(_NUMPY)
        if numpy is not None:
            self.set_numpy(numpy)

    def set_numpy(self, numpy: Any) -> None:
        """Set NumPy's generator to this stream; NumPy may be imported later.

        Args:
            numpy: the module `numpy.random`.
        """
        if self._state is not None and self._state.numpy is not None:
            numpy.set_state(pickle.loads(self._state.numpy))
            return
        self._seed_numpy(numpy)
        if self._numpy_hash is None:
            self._numpy_hash = hash(_numpy_state())

    def record(self) -> bool:
        """Record the state of this stream; return whether anything was drawn from it so far."""
        is_due = not self._is_recorded or _generators.is_contended
        if is_due and _generators.holder is self:
            self._is_recorded = True
            now = _state()
            if self._is_drawn(now):
                self._state = now
                if _generators.is_contended:
                    _generators.note_draws()
        return self._state is not None

    def _is_drawn(self, now: StreamState) -> bool:
        """Return whether anything was drawn since the state was recorded."""
        if self._state is not None:
            return now != self._state
        return hash(now.python) != self._python_hash or (
            self._numpy_hash is not None and hash(now.numpy) != self._numpy_hash
        )

    def drawing(self, items: Iterable[T]) -> Iterator[T]:
        """Return an iterator over the items whose code draws from this stream."""
        iterator = iter(items)
        while True:
            self.activate()
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item

    @property
    def state(self) -> StreamState | None:
        """The current state; None if nothing was drawn."""
        self.record()
        return self._state

    def _seed_numpy(self, numpy: Any) -> None:
        hashed = self._hashed(self._seed % _HALF)
        try:
            numpy.seed([hashed >> shift & (_HALF - 1) for shift in (0, 32, 64, 96)])
        except TypeError:  # the program has given NumPy another kind of generator
            kind = type(numpy.get_bit_generator())
            numpy.set_state(kind(hashed).state)

    def _hashed(self, half: int) -> int:
        text = f"{half} {self._name}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=16).digest(), "little")


class InstanceStream(Stream):
    """The stream of an instance, which is activated only as long as the PE may draw.

    Attributes:
        has_drawn: the PE was found to draw.
        is_needed: the PE draws, or may still be found to.
    """

    def __init__(self, seed: int, name: str, state: StreamState | None = None) -> None:
        super().__init__(seed, name, state)
        self.has_drawn = state is not None
        self.is_needed = True
        self._batches = 0

    def record(self) -> bool:
        self.has_drawn = super().record()
        return self.has_drawn

    def check_batch(self, seconds: float) -> None:
        """Check whether the batches so far, of which the last took so long, have drawn numbers."""
        self._batches += 1
        if self._batches >= _CHECKED_BATCHES and seconds <= _CHECKED_SECONDS:
            self.is_needed = self.record()


class CallerStream(Stream):
    """The random numbers of the caller of a run.

    The generators become this stream, as they are, when a PE of the run may draw on the caller's
    thread.  While they serve a run on another thread that does not happen: the numbers after the
    initial state would be drawn twice.

    Attributes:
        thread: the caller's.
        is_contended: PEs of the run, or of one on another thread, could not have the generators.
        is_mixed: after that, numbers were drawn from the generators.
    """

    def __init__(self) -> None:
        super().__init__(0, "")
        self.thread = threading.current_thread()
        self.is_contended = self.is_mixed = False
        self._is_holding = False
        self._outer: Stream | None = None
        self._released: StreamState | None = None

    def activate(self) -> None:
        with _generators.lock:
            if self._is_holding:
                super().activate()

    def hold(self) -> None:
        """Take the generators over as they are."""
        if not self._is_holding:
            self._check_released()
            self._is_holding = True
            self._state = _state()
            self._outer, _generators.holder = _generators.holder, self

    def end(self) -> None:
        """Set the generators back to the caller's state."""
        self._check_released()
        if self._is_holding:
            self.activate()
            self.record()
            _generators.release(self._outer)
        elif self.is_contended and _generators.holder is not None:
            _generators.holder.record()  # what calls on this thread may have drawn

    def note_released(self, state: StreamState) -> None:
        """Note the state in which a run on another thread has left the generators."""
        self._released = state

    def _check_released(self) -> None:
        """Check whether the calls that could not have the generators have drawn since then."""
        if self._released is not None:
            self.is_mixed |= self._released != _state()
            self._released = None

    def _seed_numpy(self, numpy: Any) -> None:
        numpy.seed()  # NumPy was imported by a PE: now it is as if freshly imported


@contextmanager
def preserved_generators() -> Iterator[CallerStream]:
    """Preserve the state of the caller's generators, whatever PEs draw in the block.

    Yields:
        The caller's stream, to be activated where code of the caller runs in the block.
    """
    caller = CallerStream()
    with _generators.lock:
        _generators.callers.append(caller)
    try:
        yield caller
    finally:
        with _generators.lock:
            caller.end()
            _generators.callers.remove(caller)


def _state() -> StreamState:
    return StreamState(random.getstate(), _numpy_state())


def _numpy_state() -> bytes | None:
    numpy = sys.modules.get(_NUMPY)
    return None if numpy is None else pickle.dumps(numpy.get_state(legacy=False), protocol=5)


class _Generators:
    """Python's and NumPy's global generators.

    Attributes:
        lock: held while they change hands.
        holder: the stream that they are set to; None for the program's own state.
        callers: the callers of the runs in progress, in the order in which they began.
        is_contended: another thread asked for the generators while they served this one.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.holder: Stream | None = None
        self.callers: list[CallerStream] = []
        self.is_contended = False
        self._thread = threading.current_thread()

    def watch_for_numpy(self) -> None:
        """Have NumPy's generator seeded when it is imported."""
        if _NUMPY not in sys.modules and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def may_serve_this_thread(self) -> bool:
        """Return whether the generators may be set by this thread.

        They are set by one thread at a time: a state that is restored while another thread draws
        would be drawn from twice.
        """
        served = self._thread
        return served is threading.current_thread() or self.holder is None or not served.is_alive()

    def serve_this_thread(self) -> bool:
        """Return whether the generators may be set by this thread, and have them serve it."""
        thread = threading.current_thread()
        if not self.may_serve_this_thread():
            self.is_contended = True
            for caller in self.callers:
                caller.is_contended |= caller.thread in (thread, self._thread)
            return False
        if self._thread is not thread:
            self._thread, self.holder, self.is_contended = thread, None, False
        for caller in self.callers:
            if caller.thread is thread:
                caller.hold()
        return True

    def hand_to(self, stream: Stream) -> None:
        """Record the stream that has been drawn from, and make another one the holder."""
        if self.holder is not None:
            self.holder.record()
        self.holder = stream

    def release(self, outer: Stream | None) -> None:
        """Leave the generators, which a run need no longer, to what held them before it."""
        self.holder = outer
        if outer is None and self.is_contended:
            self.is_contended = False
            state = _state()
            for caller in self.callers:
                if caller.is_contended and caller.thread is not self._thread:
                    caller.note_released(state)

    def note_draws(self) -> None:
        """Note that the holder was drawn from, perhaps by a thread that is not served."""
        for caller in self.callers:
            caller.is_mixed |= caller.is_contended

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Have NumPy's generator seeded as soon as it is imported; see `sys.meta_path`."""
        if name != _NUMPY or self.holder is None:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_seed(module: Any) -> None:
                load(module)
                if self.holder is not None:
                    self.holder.set_numpy(module)

            vars(spec.loader)["exec_module"] = load_and_seed
        return spec


_generators = _Generators()


def _release_locks() -> None:
    """Release the locks of the generators in a forked process.

    Another thread of the parent, such as that of another run, may have held them when it forked.
    """
    _generators.lock = threading.RLock()
    _generators.callers = [it for it in _generators.callers if it.thread.is_alive()]
    numpy = sys.modules.get(_NUMPY)
    lock = getattr(getattr(numpy, "get_bit_generator", lambda: None)(), "lock", None)
    if lock is not None:
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_locks)
