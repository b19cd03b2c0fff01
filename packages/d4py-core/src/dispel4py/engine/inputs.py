"""Inputs of the roots of a run.

A number n means n calls with ``{}``; an iterable of dicts means one call each, and is read lazily
and once.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat, starmap
from typing import Any, overload

from dispel4py.engine.items.copying import Copier, copy_item
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.errors import InputError, name_list, shorten
from dispel4py.logs import get_logger

_LOG = get_logger("inputs")

RootInput = int | Iterable[dict[str, Any]]


def root_inputs(plan: Plan, inputs: Any) -> dict[int, RootInput]:
    """Return the inputs of each root, by number.

    Args:
        plan: the plan.
        inputs: see `dispel4py.run`.  Roots that a dict does not name are not called.  Keys of a
            dict that name no root are ignored, with a warning.

    Raises:
        InputError: no key of the inputs names a root, two keys name the same one, or the inputs
            of a root are invalid.
    """
    roots = plan.roots
    if inputs is None:
        inputs = 1
    if not isinstance(inputs, Mapping):
        return _inputs_for(roots, inputs)
    given: dict[int, RootInput] = {root.index: 0 for root in roots}
    unknown: list[str] = []
    keys: dict[int, Any] = {}
    for key, value in inputs.items():
        named = _roots_named(key, roots)
        if not named:
            unknown.append(_key_name(key))
            continue
        for root in named:
            if root.index in keys:
                raise InputError(
                    f"the inputs name {root.id} twice, by {_key_name(keys[root.index])} and by"
                    f" {_key_name(key)}; the calls of a root are one list, under one key"
                )
            keys[root.index] = key
        given |= _inputs_for(named, value)
    if unknown:
        message = _unknown_roots(unknown, roots)
        if len(unknown) == len(inputs):
            raise InputError(message)
        _LOG.warning("%s; that part of the inputs is not used", message)
    return given


def calls(
    root: PlannedPE, given: RootInput, copier: Copier = copy_item
) -> Iterator[dict[str, Any]]:
    """Return an iterator over the calls of a root: a dict each, which the root may change.

    Raises:
        InputError: an element is no dict, or names an input that the root does not have.
    """
    if isinstance(given, int):
        return _EmptyCalls(given)
    return _checked_calls(root, given, copier)


def take_calls(
    calls: Iterator[Any], max_items: int, max_bytes: int, counter: ByteCounter
) -> Sequence[dict[str, Any]]:
    """Take some of the `calls` of a root: at least one, unless there are no more.

    Args:
        calls: the calls.
        max_items: most calls to take.
        max_bytes: no more are taken once they have this size.
        counter: measures the calls; has measured those before.
    """
    if isinstance(calls, _EmptyCalls):
        return calls.take(max_items)
    taken: list[Any] = []
    counter.bytes = 0
    for call in islice(calls, max_items):
        taken.append(call)
        counter.add(call)
        if counter.bytes > max_bytes:
            break
    return taken


class _EmptyCalls(Iterator[dict[str, Any]]):
    """Calls without inputs.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._left = count

    def __next__(self) -> dict[str, Any]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return {}

    def take(self, count: int) -> EmptyDicts:
        """Take some of the calls."""
        taken = min(count, self._left)
        self._left -= taken
        return EmptyDicts(taken)


class EmptyDicts(Sequence[dict[str, Any]]):
    """Dicts without content, each made when it is read: one for each call, which may change it.

    Args:
        number: how many.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return starmap({}.copy, repeat((), self.number))

    def __getitem__(self, index: Any) -> Any:
        taken = range(self.number)[index]
        return [{} for _ in taken] if isinstance(taken, range) else {}


class CallRange(Sequence[dict[str, Any]]):
    """A range of the calls of a root, each with its dict of inputs.

    A slice is a range too, so calls can be distributed and keep their numbers.  The dicts are made,
    or copied, when they are read: the root may change them.

        >>> calls = CallRange(0, 1_000_000)[10:]
        >>> calls.first, len(calls), calls[0]
        (10, 999990, {})

    Args:
        first: number of the first call.
        inputs: the dicts; a number n means n calls with ``{}``.
    """

    __slots__ = ("first", "inputs")

    def __init__(self, first: int, inputs: int | Sequence[dict[str, Any]]) -> None:
        self.first = first
        self.inputs = inputs

    def __len__(self) -> int:
        return self.inputs if isinstance(self.inputs, int) else len(self.inputs)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if isinstance(self.inputs, int):
            return iter(EmptyDicts(self.inputs))
        return map(copy_item, self.inputs)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> CallRange: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | CallRange:
        if not isinstance(index, slice):
            return {} if isinstance(self.inputs, int) else copy_item(self.inputs[index])
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError("calls in a row cannot be sliced by steps")
        stop = max(start, stop)
        inputs = stop - start if isinstance(self.inputs, int) else self.inputs[start:stop]
        return CallRange(self.first + start, inputs)


#: Items, or calls of a root.
Batch = list[Any] | CallRange


def _checked_calls(
    root: PlannedPE, given: Iterable[Any], copier: Copier
) -> Iterator[dict[str, Any]]:
    for number, element in enumerate(given):
        _check_element(root, number, element)
        yield copier(element)


def _roots_named(key: Any, roots: list[PlannedPE]) -> list[PlannedPE]:
    """Return the roots that a key of the inputs names: by PE or id, or else by name."""
    return [root for root in roots if key is root.pe or key == root.id] or [
        root for root in roots if key == root.pe.name
    ]


def _unknown_roots(keys: list[str], roots: list[PlannedPE]) -> str:
    """Return the message about keys that name no root."""
    what = "which is no root" if len(keys) == 1 else "which are no roots"
    return (
        f"the inputs name {', '.join(keys)}, {what} of this graph"
        f" (roots: {name_list([root.id for root in roots])})"
    )


def _inputs_for(roots: list[PlannedPE], value: Any) -> dict[int, RootInput]:
    if isinstance(value, Iterator) and len(roots) > 1:
        raise InputError(
            "an iterator can feed one root only; give each its own, by"
            f" {name_list([root.id for root in roots])}"
        )
    return {root.index: _checked(root, value) for root in roots}


def _checked(root: PlannedPE, value: Any) -> RootInput:
    if isinstance(value, numbers.Integral):
        count = int(value)
        if count < 0:
            raise InputError(f"{root.id} cannot be called {count} times")
        if count and root.reads_input is not None:
            name = root.reads_input
            raise InputError(
                f"nothing feeds input {name!r} of {root.id}: connect it, or give it data, such as"
                f' inputs={{{root.id!r}: [{{{name!r}: …}}]}} or -d \'{{"{root.id}":'
                f' [{{"{name}": …}}]}}\''
            )
        return count
    if isinstance(value, list | tuple):  # what can be checked now is
        for number, element in enumerate(value):
            _check_element(root, number, element)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return value
    advice = f"; for one call: [{shorten(value)}]" if isinstance(value, dict) else ""
    raise InputError(
        f"the input of {root.id} is {shorten(value)}; it has to be a number of calls or a list"
        f" of dicts, one per call{advice}"
    )


def _check_element(root: PlannedPE, number: int, element: Any) -> None:
    inputs = root.pe.inputconnections
    if not isinstance(element, dict):
        form = 'such as {"name": …}, which the PE gets as it is: it declares no inputs'
        if inputs:
            form = f'of input name and data, such as {{"{next(iter(inputs))}": …}}'
        raise InputError(
            f"input number {number} of {root.id} is {shorten(element)}; each has to be a dict"
            f" {form}"
        )
    unknown = [str(name) for name in element if inputs and name not in inputs]
    if unknown:
        raise InputError(
            f"input number {number} of {root.id} names {name_list(unknown)}"
            f" (inputs: {name_list(list(inputs))})"
        )


def _key_name(key: Any) -> str:
    if isinstance(key, type):
        return f"the class {key.__name__} in place of a PE"
    return repr(key) if isinstance(key, str) else repr(getattr(key, "name", key))


def read_inputs(file: str | None, data: str | None) -> dict[str, Any]:
    """Return the inputs of a command line, as JSON: from a file (``-f``), or else ``-d``.

    Args:
        file: path of the file, or None.
        data: the JSON text, or None; without either, the inputs are ``{}``.

    Raises:
        InputError: the file cannot be read, or it is no JSON object.
    """
    if file is not None:
        try:
            with open(file, encoding="utf-8-sig") as opened:
                text = opened.read()
        except OSError as error:
            raise InputError(f"cannot read {file} (-f): {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file} (-f) is not JSON: {error}") from error
        return _parse(text, f"{file} (-f)")
    return {} if data is None else _parse(data, "-d")


def _parse(text: str, name: str) -> dict[str, Any]:
    import json  # few runs need it

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise InputError(
                f"{name} has the name {twice!r} twice in one object, of which JSON keeps the last;"
                " the calls of a root are one list, one dict per call"
            )
        return made

    try:
        given = json.loads(text, object_pairs_hook=make_object)
    except json.JSONDecodeError as error:
        line = (text.splitlines() or [""])[min(error.lineno, len(text.splitlines()) or 1) - 1]
        raise InputError(
            f"{name} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}\n"
            f"  {line}\n  {' ' * (error.colno - 1)}^"
        ) from error
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{name} cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise InputError(
            f"{name} is no JSON object but {json.dumps(given)[:60]}; it names roots, each with a"
            ' number of calls or a list of objects, such as {"ReadFile": [{"path": "a.csv"}]}'
        )
    return given
