"""Random numbers: each instance of a PE draws from streams of its own, which follow from one seed.

PEs draw from Python's and NumPy's global generators, of which a process has one each, whatever the
number of instances in it; and a forked process has its parent's.  So each instance gets a stream of
each, seeded by the run's seed and the instance's name, and the generators are given the state of
the instance that is called.  That is done only for those that were seen to draw.

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
import pickle
import random
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple, TypeVar

#: Seeds are below this: 64 bits.
SEEDS = 1 << 64
_HALF = 1 << 32
_NUMPY = "numpy.random"

T = TypeVar("T")


class Drawn(NamedTuple):
    """How far an instance's streams have come.

    Attributes:
        python: see `random.getstate`.
        numpy: ``numpy.random.get_state(legacy=False)``, pickled; None if NumPy was not there.
    """

    python: Any
    numpy: bytes | None


def draw_seed() -> int:
    """Return a seed for a run, drawn from the caller's own generators.

    So a script that seeds them has the same runs each time.  The high half comes from Python's, and
    what PEs draw from Python's follows from it; the same holds for the low half and NumPy's.
    """
    high = random.getrandbits(32) or 1
    numpy = sys.modules.get(_NUMPY)
    low = random.getrandbits(32) if numpy is None else int.from_bytes(numpy.bytes(4), "little")
    return high << 32 | low


class Stream:
    """What one instance draws.

    Args:
        seed: the run's seed.
        name: of the instance, unique in the run.
        drawn: how far it has come elsewhere; None if nothing was drawn.
    """

    def __init__(self, seed: int, name: str, drawn: Drawn | None = None) -> None:
        self._seed = seed
        self._name = name
        self._drawn = drawn
        # Of states that nothing was drawn from: a state takes 20 KB, so it is not kept for nothing.
        self._python_mark: int | None = None
        self._numpy_mark: int | None = None
        self._is_noted = True

    def take(self) -> None:
        """Let the global generators go on with this stream, on this thread."""
        self._is_noted = False
        if _generators.holder is self:
            return
        if not _generators.belong_here():
            return  # they are of use to one thread alone
        if _generators.holder is not None:
            _generators.holder.look()
        _generators.watch_for_numpy()
        _generators.holder = self
        if self._drawn is not None:
            random.setstate(self._drawn.python)
        else:
            # A seed without a high half stands for both, so that --seed 1 and --seed 2 differ.
            random.seed(self._hashed(self._seed // _HALF or -self._seed))
            if self._python_mark is None:
                self._python_mark = hash(random.getstate())
        numpy = sys.modules.get(_NUMPY)
        if numpy is not None:
            self.go_on_with(numpy)

    def go_on_with(self, numpy: Any) -> None:
        """Do the same for NumPy's generator, which may be imported later.

        Args:
            numpy: the module `numpy.random`.
        """
        if self._drawn is not None and self._drawn.numpy is not None:
            numpy.set_state(pickle.loads(self._drawn.numpy))
            return
        self._seed_numpy(numpy)
        if self._numpy_mark is None:
            self._numpy_mark = hash(_numpy_state())

    def look(self) -> bool:
        """Note how far this stream has come; True if anything was drawn from it so far."""
        if not self._is_noted and _generators.holder is self:
            self._is_noted = True
            now = Drawn(random.getstate(), _numpy_state())
            if self._drawn is not None or self._is_drawn(now):
                self._drawn = now
        return self._drawn is not None

    def _is_drawn(self, now: Drawn) -> bool:
        return hash(now.python) != self._python_mark or (
            self._numpy_mark is not None and hash(now.numpy) != self._numpy_mark
        )

    def drawing(self, items: Iterable[T]) -> Iterator[T]:
        """Return the same items; what makes them draws from this stream."""
        iterator = iter(items)
        while True:
            self.take()
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item

    @property
    def drawn(self) -> Drawn | None:
        """How far it has come; None if nothing was drawn."""
        self.look()
        return self._drawn

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


class _CallersStream(Stream):
    """What the caller of a run draws: begins with the generators as they are.

    Where they serve a run on another thread, this one leaves them alone to its end: what it found
    at its beginning would be drawn twice if it were put back later.
    """

    def __init__(self) -> None:
        super().__init__(0, "", Drawn(random.getstate(), _numpy_state()))
        self._is_noted = False
        self._is_served = _generators.belong_here()
        self._outer = _generators.holder
        if self._is_served:
            _generators.holder = self

    def take(self) -> None:
        if self._is_served:
            super().take()

    def end(self) -> None:
        """Give the generators back as the caller left them."""
        self.take()
        if _generators.holder is self:
            _generators.holder = self._outer

    def _seed_numpy(self, numpy: Any) -> None:
        numpy.seed()  # NumPy was imported by a PE: now it is as if freshly imported


@contextmanager
def preserved_generators() -> Iterator[Stream]:
    """Leave the caller's generators as they are, whatever is drawn inside.

    Gives the caller's own stream: to take where code of the caller runs inside.
    """
    callers = _CallersStream()
    try:
        yield callers
    finally:
        callers.end()


def _numpy_state() -> bytes | None:
    numpy = sys.modules.get(_NUMPY)
    return None if numpy is None else pickle.dumps(numpy.get_state(legacy=False), protocol=5)


class _Generators:
    """Python's and NumPy's global generators.

    Attributes:
        holder: whose numbers are drawn from them now; None for the program's own.
    """

    def __init__(self) -> None:
        self.holder: Stream | None = None
        self._thread = threading.current_thread()

    def watch_for_numpy(self) -> None:
        """Have NumPy's generator seeded when it is imported."""
        if _NUMPY not in sys.modules and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def belong_here(self) -> bool:
        """Return whether the generators serve this thread; other threads draw what they find.

        A state that was put back while another thread draws would be drawn from twice.
        """
        thread = threading.current_thread()
        if self._thread is not thread:
            if self.holder is not None and self._thread.is_alive():
                return False
            self._thread, self.holder = thread, None
        return True

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
                    self.holder.go_on_with(module)

            vars(spec.loader)["exec_module"] = load_and_seed
        return spec


_generators = _Generators()
