"""The PEs that the tests of copies are made from: they send what is hard to copy.

They live in a module of their own because worker processes have to be able to import them.  NumPy
is imported where it is used, since not every mapping's author has it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from dispel4py import IterativePE, ProducerPE


class Refill(ProducerPE):
    """Sends an array over a buffer that it fills with 1, 2, 3, …, each time anew.

    Args:
        known_by: how it refers to the buffer: by a ``"view"``, or by a ``"weak reference"`` to the
            array that it sent before, if that is still there.
    """

    def __init__(self, known_by: str) -> None:
        super().__init__()
        self.known_by = known_by
        self.count = 0

    def _preprocess(self) -> None:
        self.view = memoryview(bytearray(80))
        self.sent: Any = lambda: None

    def _process(self, inputs: Any) -> Any:
        import numpy

        self.count += 1
        if self.known_by == "view":
            self.view[:] = bytes([self.count]) * 80
            return numpy.frombuffer(self.view, dtype="u1")
        array = self.sent()
        if array is None:
            array = numpy.empty(80, dtype="u1")
            self.sent = weakref.ref(array)
        array[:] = self.count
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "view": None, "sent": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._preprocess()


class Ends(IterativePE):
    """Sends the first and the last number of an array."""

    def _process(self, data: Any) -> tuple[int, int]:
        return int(data[0]), int(data[-1])


class Fit(ProducerPE):
    """Sends functions that multiply by a number, which it goes on changing.

    Args:
        held_by: by what they hold the number; ``"pair"`` sends two that share it.
    """

    def __init__(self, held_by: str) -> None:
        super().__init__()
        self.held_by = held_by
        self.weights = [0]

    def _process(self, inputs: Any) -> Any:
        self.weights[0] += 1
        weights = self.weights
        if self.held_by == "default":
            return lambda x, by=weights: by[0] * x
        if self.held_by == "attribute":
            model: Any = lambda x: x  # noqa: E731
            model.weights = weights
            return lambda x: model.weights[0] * model(x)
        if self.held_by == "class":

            class Model:
                by = weights

                def __call__(self, x: int) -> int:
                    return self.by[0] * x

            return Model()
        if self.held_by == "pair":
            return {"add": lambda n: weights.append(n), "sum": lambda: sum(weights)}  # noqa: PLW0108
        if self.held_by == "itself":

            def times(x: int) -> int:
                return weights[0] + times(x - 1) if x else 0

            return times
        return lambda x: weights[0] * x


class CallEach(IterativePE):
    """Gets two functions, and sends what one returns before and after it calls the other."""

    def _process(self, data: Any) -> tuple[int, int]:
        before = data["sum"]()
        data["add"](100)
        return before, data["sum"]()


class Columns(ProducerPE):
    """Sends a read-only array of ones.

    Args:
        how: how.
    """

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.kept: Any = None

    def _process(self, inputs: Any) -> Any:
        import numpy

        column = numpy.ones(20_000)
        column.setflags(write=False)
        if self.how == "written":
            self.write("output", column)
            return None
        if self.how == "returned and kept":
            self.kept = column
        return {"column": column} if self.how == "in a dict" else column


class Double(IterativePE):
    """Doubles an array where it lies, and sends its last number."""

    def _process(self, data: Any) -> float:
        if isinstance(data, dict):
            data = data["column"]
        data *= 2
        return float(data[-1])


@dataclass
class Sample:
    """An item of a class of the workflow's own."""

    station: str
    values: list[float]


class Apply(IterativePE):
    """Gets a function and sends what it makes of 20."""

    def _process(self, function: Any) -> Any:
        return function(20)


class Reuser(ProducerPE):
    """Sends one and the same list in each call, longer by a number each time."""

    def __init__(self) -> None:
        super().__init__()
        self.data: list[Any] = []

    def _process(self, inputs: Any) -> None:
        self.data.append(len(self.data) + 1)
        self.write("output", self.data)
        self.data.append("spoilt")
        self.data.pop()


class Spoiler(IterativePE):
    """Appends a mark to the list that it gets, and sends that list."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def _process(self, data: list[Any]) -> list[Any]:
        data.append(self.mark)
        return data


class SendsHowItWasCopied(IterativePE):
    """Sends how an object in an attribute was copied."""

    def __init__(self) -> None:
        super().__init__()
        self.held = Copied("not")

    def _process(self, data: Any) -> str:
        return self.held.how


class Copied:
    """An object that `copy.deepcopy` copies in another way than pickle, as some libraries have.

    Args:
        how: how it was copied.
    """

    def __init__(self, how: str) -> None:
        self.how = how

    def __deepcopy__(self, memo: Any) -> Copied:
        return Copied("deeply")

    def __reduce__(self) -> Any:
        return Copied, ("by pickle",)


class Full(IterativePE):
    """Sends a large array of a number for each number."""

    def _process(self, data: int) -> Any:
        import numpy

        return numpy.full(10_000, float(data))


class PassOn(IterativePE):
    """Sends on what it gets.

    Args:
        how: ``"in part"``; ``"changed"``, by adding 1; or ``"and changes it"`` later.
    """

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def _process(self, data: Any) -> Any:
        if self.how == "in part":
            return data[1_000:]
        if self.how == "changed":
            data += 1
        if self.how == "and changes it":
            self.write("output", data)
            data[:] = -1
            return None
        return data


class Spoil(IterativePE):
    """Sends the least and the greatest number of an array, and puts other numbers into it."""

    def _process(self, data: Any) -> tuple[float, float]:
        found = float(data.min()), float(data.max())
        data[:] = -2
        return found
