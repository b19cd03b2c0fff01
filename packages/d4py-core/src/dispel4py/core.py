"""`GenericPE`, the base class of all processing elements (PEs).

A PE declares named inputs and outputs, overrides `process` (or `_process`), and sends data by
returning a dict or by calling `write`.  It is independent of the mapping that runs it: only the PE
runner (`dispel4py.engine.calls.runner`) calls it.

    >>> class Double(GenericPE):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.add_input("number")
    ...         self.add_output("double")
    ...
    ...     def process(self, inputs):
    ...         return {"double": 2 * inputs["number"]}
    >>> Double().process({"number": 4})
    {'double': 8}
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from dispel4py.logs import PROVENANCE_LOG, RUN_LOG

NAME = "name"
TYPE = "type"
DESCRIPTION = "descr"
META = "meta"
GROUPING = "grouping"
WRITER = "writer"
OPTIONAL = "optional"
ORDERED = "ordered"

#: One path or address, or several.
Addresses = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
#: Begins a message by which a PE declares files, which takes the way of those that it logs.
_DECLARED = "\0declared "

#: Attributes that a run sets on its copy of a PE, which are no part of the PE's state.
RUNTIME_ATTRIBUTES = ("_run_writer", "_run_log")
#: Attributes that a run sets for the time of a call, if the PE asks for them.
CALL_CONTEXT_ATTRIBUTES = ("item_id", "batch_item_ids", "sent_before")


def make_pe_id(pe: GenericPE, number: int) -> str:
    """Return the id of a PE in a run, from its number in the flattened graph."""
    return f"{pe.name}{number}"


def overrides_batch(pe: GenericPE) -> bool:
    """Return whether a PE overrides `_process_batch`."""
    method = "_process_batch"
    return method in vars(pe) or type(pe)._process_batch is not GenericPE._process_batch


def show_log(pe_id: str, rank: int, message: str) -> None:
    """Log a message of a PE; without a handler, it is printed on standard error."""
    if message.startswith(_DECLARED):
        import json  # only runs that declare need it

        used, generated = json.loads(message.removeprefix(_DECLARED))
        declared = pe_id, rank, tuple(used), tuple(generated)
        PROVENANCE_LOG.info("%s has declared %s", pe_id, message, extra={"declared": declared})
        return
    line = pe_id, rank, message
    RUN_LOG.info("%s (rank %s): %s", *line, extra={"pe_line": line})


def _addresses(given: Addresses) -> list[str]:
    """Return addresses as text; paths are made absolute, since hosts differ in the current one."""
    listed = [given] if isinstance(given, str | os.PathLike) else list(given)
    texts = [os.fspath(one) for one in listed]
    return [text if "://" in text else os.path.abspath(text) for text in texts]


class _CallContext:
    """An attribute that a PE has only during a call in a run, and only if it asks for that.

    Args:
        asked_by: name of the attribute by which a PE asks.
    """

    def __init__(self, asked_by: str) -> None:
        self._asked_by = asked_by

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, pe: GenericPE | None, owner: type) -> Any:
        if pe is None:
            return self
        raise AttributeError(
            f"{pe.id} has no {self._name} now: a run sets it during calls of a PE that has"
            f" `{self._asked_by} = True`, as an attribute of its class or set in __init__"
        )


class GenericPE:
    """Base class of all processing elements.

    Declare ports in ``__init__``, after ``super().__init__()``, by `add_input` and `add_output`.
    Override any of these methods:

    ==========================  ===============================================================
    `process(inputs)`           or ``_process(inputs)``: processes an item, given as a dict of
                                one input and the item; returns a dict of outputs and items
    ``_process_batch(items)``   processes several items in one call, in place of `process`
    `preprocess()`              or ``_preprocess()``: sets an instance up, before its first item
    `postprocess()`             or ``_postprocess()``: finishes an instance, after its last item
    ==========================  ===============================================================

    In each of them, `write` sends an item and `log` logs a message.  Call a PE in tests by
    `dispel4py.testing.feed`.

    Attributes:
        name: name of the PE, by default that of its class; the id in a run is made from it.
        id: id in a run, such as ``"Double3"``; equal to `name` outside a run.
        inputconnections: input name → settings (`NAME`, `GROUPING`, `TYPE`, `OPTIONAL`,
            `ORDERED`).
        outputconnections: output name → settings (`NAME`, `TYPE`).
        numprocesses: number of instances of this PE in a run.
        single: True for one instance, whatever `numprocesses` is.
        stateful: true for a PE that keeps state between items, so that its items are not
            distributed over workers freely.
        ignored_state: names of attributes that the PE may change without declaring state, since no
            result depends on them, such as a cache.  Values of `functools.cached_property` need
            not be listed.
        rank: number of the process (MPI rank, worker) that runs this instance.
        batch_size: most items in a call of `_process_batch`, of a PE that overrides it.
        batch_seconds: how long an item may wait for others, so that they become one batch of
            `batch_size`; 0 makes a batch from what is there.
        item_ids: True for a PE that uses `item_id`, or `batch_item_ids`.
        item_id: id of the current item, during a call: 32 hexadecimal digits, the same whenever,
            wherever and however often the item is processed, in every run with the same inputs; it
            is unique in a run.  Each call of a root has an id, and so have `preprocess` and
            `postprocess`.
        batch_item_ids: ids of the items of the batch, in their order, during a call of
            `_process_batch`.
        seeks: True for a PE that uses `sent_before`.
        independent_calls: True for a root whose calls do not depend on each other: workers may
            share them, each with a copy of the PE.  Ignored for a PE that is no root.
        sent_before: output name → number of items that were sent in this call before its worker
            was lost, during a call of `process`, which must not write those again.  All are 0 in a
            call that is not repeated.
    """

    def __init__(self, numprocesses: int | None = None) -> None:
        self.inputconnections: dict[str, dict[str, Any]] = {}
        self.outputconnections: dict[str, dict[str, Any]] = {}
        # A class may set it, as it may set `single`; the instance has it too.
        self.numprocesses = self.numprocesses if numprocesses is None else numprocesses
        self.name: str = type(self).__name__
        self.id: str = self.name

    numprocesses: int = 1
    single: bool = False
    stateful: Any = None
    item_ids: bool = False
    seeks: bool = False
    ignored_state: Collection[str] = ()
    independent_calls: bool = False
    batch_size: int = 1024
    batch_seconds: float = 0.0
    rank: int = 0
    if TYPE_CHECKING:
        item_id: str
        batch_item_ids: Sequence[str]
        sent_before: Mapping[str, int]
    else:
        item_id = _CallContext("item_ids")
        batch_item_ids = _CallContext("item_ids")
        sent_before = _CallContext("seeks")
    _run_writer: Callable[[str, Any], None] | None = None
    _run_log: Callable[[str, int, str], None] | None = None

    def add_input(
        self,
        name: str,
        grouping: str | Sequence[Any] | None = None,
        tuple_type: Sequence[str] | None = None,
        *,
        optional: bool = False,
        ordered: bool = False,
    ) -> None:
        """Declare an input.

        Args:
            name: name of the input.
            grouping: which instance gets an item: None for any, a list of keys for the same one
                for items that are equal in ``item[key]``, ``"all"`` for every instance,
                ``"global"`` for instance 0.
            tuple_type: names of the fields of an item, for documentation.
            optional: the input may be unconnected though other inputs are connected.
            ordered: items arrive in the order in which the root wrote their origins, also over
                several ordered inputs.  A mapping that does not support this refuses the graph.

        Raises:
            TypeError: ``super().__init__()`` was not called before.
        """
        self._add_input(name, grouping, tuple_type, optional=optional, ordered=ordered)

    def _add_input(
        self,
        name: str,
        grouping: str | Sequence[Any] | None = None,
        tuple_type: Sequence[str] | None = None,
        *,
        optional: bool = False,
        ordered: bool = False,
    ) -> None:
        """Declare an input; the name that dispel4py had for `add_input`."""
        self._check_set_up()
        self.inputconnections[name] = {NAME: name}
        if grouping is not None:
            self.inputconnections[name][GROUPING] = grouping
        if tuple_type is not None:
            self.inputconnections[name][TYPE] = tuple_type
        if optional:
            self.inputconnections[name][OPTIONAL] = True
        if ordered:
            self.inputconnections[name][ORDERED] = True

    def add_output(self, name: str, tuple_type: Sequence[str] | None = None) -> None:
        """Declare an output.

        Args:
            name: name of the output.
            tuple_type: names of the fields of an item, for documentation.

        Raises:
            TypeError: ``super().__init__()`` was not called before.
        """
        self._add_output(name, tuple_type)

    def _add_output(self, name: str, tuple_type: Sequence[str] | None = None) -> None:
        """Declare an output; the name that dispel4py had for `add_output`."""
        self._check_set_up()
        self.outputconnections[name] = {NAME: name}
        if tuple_type is not None:
            self.outputconnections[name][TYPE] = tuple_type

    def _check_set_up(self) -> None:
        if not hasattr(self, "outputconnections"):
            raise TypeError(
                f"{type(self).__name__} is not set up: call super().__init__() first in its"
                " __init__"
            )

    def set_input_types(self, types: dict[str, Any]) -> None:
        """Set the types of inputs; called by `WorkflowGraph.propagate_types`.

        Override this or `get_output_types` if an output's type depends on an input's.

        Args:
            types: input name → names of the fields of an item.
        """
        for name, tuple_type in types.items():
            if name in self.inputconnections:
                self.inputconnections[name][TYPE] = tuple_type

    def get_output_types(self) -> dict[str, Any]:
        """Return output name → names of the fields of an item, for outputs with a known type."""
        return {
            name: settings[TYPE]
            for name, settings in self.outputconnections.items()
            if TYPE in settings
        }

    def preprocess(self) -> None:
        """Set up an instance; called once, before its first item."""
        self._preprocess()

    def _preprocess(self) -> None:
        """Override to set up an instance (open a file, connect to a service)."""

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Process an item; called once for each.

        Args:
            inputs: a dict of one input name and the item; for a root, a dict of the run's inputs.

        Returns:
            Output name → item to send; None or ``{}`` sends nothing.
        """
        result: dict[str, Any] | None = self._process(inputs)
        return result

    def _process(self, data: Any, /) -> Any:
        """Override to do the work: here as `process` does it, in subclasses as they say."""
        if overrides_batch(self):
            results = self._process_batch([data])
            return None if results is None else results[0]
        return None

    def _process_batch(self, items: list[Any]) -> Any:
        """Override to process several items in one call; a run then calls this for all items.

        Args:
            items: at least one, and at most `batch_size`: each what `_process` would get.

        Returns:
            A list, tuple or NumPy array of the same length: for each item what `_process` would
            return, None if nothing is sent.  None sends nothing for any of the items.
        """
        return [self._process(item) for item in items]

    def postprocess(self) -> None:
        """Finish an instance; called once, after its last item.  May call `write`."""
        self._postprocess()

    def _postprocess(self) -> None:
        """Override to finish an instance (send a total, close a file)."""

    def write(self, name: str, data: Any, **kwargs: Any) -> None:
        """Send an item to an output, at once; may be called any number of times.

        Args:
            name: name of the output.
            data: the item.
            **kwargs: ignored; for compatibility with dispel4py.

        Raises:
            UnknownOutputError: the PE has no output of that name.
            RuntimeError: the PE is not in a run.
        """
        self._write(name, data, **kwargs)

    def _write(self, name: str, data: Any, **kwargs: Any) -> None:
        run_writer = self._run_writer
        if run_writer is not None:
            run_writer(name, data)
            return
        # Outside a run, a test may have set a writer on the output, as with dispel4py.
        writer = self.outputconnections.get(name, {}).get(WRITER)
        if writer is None:
            raise RuntimeError(
                f"{self.name} wrote to {name!r} outside a run; in a test, call"
                " dispel4py.testing.feed(pe, items), which returns what the PE writes"
            )
        writer.write(data)

    def log(self, message: Any) -> None:
        """Log a message in the process that started the run.

        It goes to the handlers of the logger ``dispel4py.run``, or to standard error without any.
        """
        if self._run_log is not None:
            self._run_log(self.id, self.rank, str(message))
        else:
            show_log(self.id, self.rank, str(message))

    def provenance(self, used: Addresses = (), generated: Addresses = ()) -> None:
        """Declare what this PE has used and made, for the provenance of the run.

        It has an effect where the run has an observer for it, as by the option ``--provenance``.

        Args:
            used: paths of files or addresses that were read: one, or several.
            generated: those that were written.
        """
        import json

        self.log(f"{_DECLARED}{json.dumps([_addresses(used), _addresses(generated)])}")

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for attribute in RUNTIME_ATTRIBUTES:
            state.pop(attribute, None)
        whole: Any = object.__getstate__(self)
        if isinstance(whole, tuple):  # a class of the PE has __slots__
            return cast("dict[str, Any]", (state, whole[1]))
        return state
