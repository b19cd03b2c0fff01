"""`GenericPE`, the processing element (PE) that every other one is made from.

A PE declares named inputs and outputs, overrides `process` (or `_process`) and hands data on by
returning a dict or by calling `write`.  It knows nothing of how it is run: a mapping calls it
through the PE runner (`dispel4py.engine.runner`) and nowhere else.

    >>> class Double(GenericPE):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self._add_input("number")
    ...         self._add_output("double")
    ...
    ...     def process(self, inputs):
    ...         return {"double": 2 * inputs["number"]}
    >>> Double().process({"number": 4})
    {'double': 8}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dispel4py.logs import RUN_LOG

NAME = "name"
TYPE = "type"
DESCRIPTION = "descr"
META = "meta"
GROUPING = "grouping"
WRITER = "writer"
OPTIONAL = "optional"
ORDERED = "ordered"

#: Attributes that a run puts on its own copy of a PE and that are no part of the PE's state.
RUNTIME_ATTRIBUTES = ("_run_writer", "_run_log")
#: Attributes that it puts there for the time of a call, if the PE asks for them.
CALL_CONTEXT_ATTRIBUTES = ("item_id", "sent_before")


def make_pe_id(pe: GenericPE, number: int) -> str:
    """Return the id of a PE in a run, from its number in the flattened graph."""
    return f"{pe.name}{number}"


def show_log(pe_id: str, rank: int, message: str) -> None:
    """Show what a PE logged: through `logging` where that takes it, else on standard error."""
    RUN_LOG.info("%s (rank %s): %s", pe_id, rank, message)


class _CallContext:
    """An attribute that a PE has only in a run, during a call, and only if it asks for it.

    Args:
        asked_by: the attribute by which it asks.
    """

    def __init__(self, asked_by: str) -> None:
        self._asked_by = asked_by

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, pe: GenericPE | None, owner: type) -> Any:
        if pe is None:
            return self
        raise AttributeError(
            f"{pe.id} has no {self._name} now: a run gives it to a PE that has"
            f" `{self._asked_by} = True`, as an attribute of its class or set in __init__, and"
            " only while the PE is called"
        )


class GenericPE:
    """Base class of all processing elements.

    Authors override `_process` or `process`, and, where they need them, `_preprocess` and
    `_postprocess`.

    Attributes:
        name: the class's name unless set; the run's id of the PE is made from it.
        id: id in the run, such as ``"Double3"``; equal to `name` before.
        inputconnections: input name → settings (`NAME`, `GROUPING`, `TYPE`, `OPTIONAL`,
            `ORDERED`).
        outputconnections: output name → settings (`NAME`, `TYPE`).
        numprocesses: number of instances that a run makes of this PE.
        single: True pins the PE to one instance whatever `numprocesses` says.
        stateful: truthy for a PE that keeps state between items, so that not any worker may run
            any item.
        ignored_state: names of attributes that the PE may change though it does not say that it
            keeps state, since no result depends on them: a cache, a counter for the log.  Values of
            `functools.cached_property` need no mention.
        rank: number of the process (MPI rank, worker) that runs this instance.
        item_ids: True for a PE that wants to know the id of each item that it gets.
        item_id: that id, during a call: 32 hexadecimal digits, the same whenever, wherever and
            however often the item is processed, in every run with the same inputs; no two items
            of a run have the same one.  A root has one per call, and so have `preprocess` and
            `postprocess`.
        seeks: True for a PE whose calls begin where `sent_before` says.
        independent_calls: True for a root whose calls do not depend on one another: workers may
            share them, so that no call waits for another one.  Each worker that has some has a copy
            of the PE.  It means nothing for a PE that is no root.
        sent_before: output name → how many items of this call were sent before its worker was
            lost, during a call of `process`; it must not write those again.  All are 0 in a call
            that is not repeated.
    """

    def __init__(self, numprocesses: int = 1) -> None:
        self.inputconnections: dict[str, dict[str, Any]] = {}
        self.outputconnections: dict[str, dict[str, Any]] = {}
        self.numprocesses = numprocesses
        self.name: str = type(self).__name__
        self.id: str = self.name

    single: bool = False
    stateful: Any = None
    item_ids: bool = False
    seeks: bool = False
    ignored_state: Collection[str] = ()
    independent_calls: bool = False
    rank: int = 0
    if TYPE_CHECKING:
        item_id: str
        sent_before: Mapping[str, int]
    else:
        item_id = _CallContext("item_ids")
        sent_before = _CallContext("seeks")
    _run_writer: Callable[[str, Any], None] | None = None
    _run_log: Callable[[str, int, str], None] | None = None

    def _add_input(
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
            name: its name.
            grouping: which instance gets an item: None for any one, a list of keys for items
                equal in ``item[key]`` to meet, ``"all"`` for every instance, ``"global"`` for
                instance 0.
            tuple_type: names of the fields of an item, for documentation.
            optional: the graph may leave it unconnected though other inputs are connected.
            ordered: its items arrive in the order in which the root made them, whatever is
                between; those of several ordered inputs, too.  A mapping that cannot do this
                refuses the graph.

        Raises:
            TypeError: ``super().__init__()`` was not called before.
        """
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

    def _add_output(self, name: str, tuple_type: Sequence[str] | None = None) -> None:
        """Declare an output, with the names of an item's fields for documentation.

        Raises:
            TypeError: ``super().__init__()`` was not called before.
        """
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
        """Tell the PE the types of its inputs: input name → field names.

        Called by `WorkflowGraph.propagate_types`; override it (or `get_output_types`) where the
        output's type depends on the input's.
        """
        for name, tuple_type in types.items():
            if name in self.inputconnections:
                self.inputconnections[name][TYPE] = tuple_type

    def get_output_types(self) -> dict[str, Any]:
        """Output name → field names, for the outputs whose type is known."""
        return {
            name: settings[TYPE]
            for name, settings in self.outputconnections.items()
            if TYPE in settings
        }

    def preprocess(self) -> None:
        """Called once per instance before its first item."""
        self._preprocess()

    def _preprocess(self) -> None:
        """Override to set up an instance (open a file, connect to a service)."""

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Called once per item, with a dict of exactly one input; for a root, with what it is fed.

        Returns:
            output name → data to send; None or ``{}`` sends nothing.
        """
        result: dict[str, Any] | None = self._process(inputs)
        return result

    def _process(self, data: Any) -> Any:
        """Override to do the work; see `process`."""
        return None

    def postprocess(self) -> None:
        """Called once per instance after its last item; may `write`."""
        self._postprocess()

    def _postprocess(self) -> None:
        """Override to finish an instance (send a total, close a file)."""

    def write(self, name: str, data: Any, **kwargs: Any) -> None:
        """Send one item to an output, at once.  Any number of calls per item.

        Raises:
            UnknownOutputError: the PE has no output of that name.
        """
        self._write(name, data, **kwargs)

    def _write(self, name: str, data: Any, **kwargs: Any) -> None:
        run_writer = self._run_writer
        if run_writer is not None:
            run_writer(name, data)
        else:  # outside a run: a test that put a writer of its own on the output
            self.outputconnections[name][WRITER].write(data)

    def log(self, message: Any) -> None:
        """Show a line where the run was started, whichever process this instance is in.

        It goes to the handlers of the logger ``dispel4py.run``, and to standard error if none of
        them takes it.
        """
        if self._run_log is not None:
            self._run_log(self.id, self.rank, str(message))
        else:
            show_log(self.id, self.rank, str(message))

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for attribute in RUNTIME_ATTRIBUTES:
            state.pop(attribute, None)
        return state
