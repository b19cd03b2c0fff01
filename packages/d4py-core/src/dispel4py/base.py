"""The PEs that most workflows are made from, with one input or output at most.

`ProducerPE` creates data, `IterativePE` maps an item to an item, `ConsumerPE` ends a stream,
`SimpleFunctionPE` calls a function, `CompositePE` wraps a graph, and `create_iterative_chain` wraps
a list of functions.  Authors override `_process`, which gets and returns plain data.

    >>> class Double(IterativePE):
    ...     def _process(self, data):
    ...         return 2 * data
    >>> Double().process({"input": 4})
    {'output': 8}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.workflow_graph import WorkflowGraph

INPUT_NAME = "input"
OUTPUT_NAME = "output"


class BasePE(GenericPE):
    """A PE whose ports are given by names or by their number.

    Args:
        inputs: names of inputs, or the name of one input.
        outputs: names of outputs, or the name of one output.
        num_inputs: adds inputs ``input0``, ``input1``, …
        num_outputs: adds outputs ``output0``, ``output1``, …
    """

    INPUT_NAME = INPUT_NAME
    OUTPUT_NAME = OUTPUT_NAME

    def __init__(
        self,
        inputs: Iterable[str] | str | None = None,
        outputs: Iterable[str] | str | None = None,
        num_inputs: int = 0,
        num_outputs: int = 0,
    ) -> None:
        super().__init__()
        # A single name would otherwise be taken for a list of letters.
        for name in [inputs] if isinstance(inputs, str) else inputs or ():
            self._add_input(name)
        for i in range(num_inputs):
            self._add_input(f"{INPUT_NAME}{i}")
        for name in [outputs] if isinstance(outputs, str) else outputs or ():
            self._add_output(name)
        for i in range(num_outputs):
            self._add_output(f"{OUTPUT_NAME}{i}")


class IterativePE(GenericPE):
    """A PE with an input ``input`` and an output ``output``.

    Override ``_process(data)``: it gets an item, and returns the item to send, or None to send
    nothing; `write` sends more than one.  ``_process_batch(items)`` in its place gets a list of
    items and returns a list of the same length.  `preprocess()` is called before the first item,
    `postprocess()` after the last.

    A PE that changes its own attributes sets ``stateful = True``; ``numprocesses`` is the number of
    its instances.  `GenericPE` lists all attributes.
    """

    INPUT_NAME = INPUT_NAME
    OUTPUT_NAME = OUTPUT_NAME

    def __init__(self) -> None:
        super().__init__()
        self._add_input(self.INPUT_NAME)
        self._add_output(self.OUTPUT_NAME)

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Call ``_process`` with the item; return its item for ``output``."""
        data = self._process(inputs[self.INPUT_NAME])
        return None if data is None else {self.OUTPUT_NAME: data}


class ProducerPE(GenericPE):
    """A PE with no input and an output ``output``: a root, which the run's inputs start.

    Override ``_process(inputs)``: it returns the item to send, or None to send nothing; `write`
    sends more than one.  It is called once for each iteration of the run, with ``{}`` or with the
    dict that the run's inputs have for it.  `preprocess()` is called before the first call,
    `postprocess()` after the last.

    ``independent_calls = True`` lets workers share the calls; `GenericPE` lists all attributes.
    """

    OUTPUT_NAME = OUTPUT_NAME

    def __init__(self) -> None:
        super().__init__()
        self._add_output(self.OUTPUT_NAME)

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Call ``_process`` with the dict of a call; return its item for ``output``."""
        data = self._process(inputs)
        return None if data is None else {self.OUTPUT_NAME: data}


class ConsumerPE(GenericPE):
    """A PE with an input ``input`` and no output.

    Override ``_process(data)``, which gets an item.  `preprocess()` is called before the first
    item, `postprocess()` after the last; `GenericPE` lists all attributes.
    """

    INPUT_NAME = INPUT_NAME

    def __init__(self) -> None:
        super().__init__()
        self._add_input(self.INPUT_NAME)

    def process(self, inputs: dict[str, Any]) -> None:
        """Call ``_process`` with the item."""
        self._process(inputs[self.INPUT_NAME])


class SimpleFunctionPE(IterativePE):
    """A PE that calls ``compute_fn(data, **params)`` for each item and sends the return value.

    Args:
        compute_fn: the function; None for a subclass that overrides `_process`.
        params: keyword arguments of the function.
    """

    def __init__(
        self,
        compute_fn: Callable[..., Any] | None = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if compute_fn is not None:
            self.name = self.id = f"PE_{_function_name(compute_fn)}"
        self.compute_fn = compute_fn
        self.params = params or {}

    def _process(self, data: Any) -> Any:
        if self.compute_fn is None:
            raise NotImplementedError(
                f"{self.name} has no compute_fn: pass one, or override _process"
            )
        return self.compute_fn(data, **self.params)


class CompositePE(WorkflowGraph):
    """A graph that is used like a PE, whose ports are mapped to ports of PEs inside.

    Args:
        create_graph: called as ``create_graph(self, **params)`` to fill the graph.
        params: its keyword arguments.
    """

    def __init__(
        self,
        create_graph: Callable[..., Any] | None = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if create_graph is not None:
            create_graph(self, **(params or {}))

    def map_input(self, input_name: str, internal_pe: Any, internal_input: str) -> None:
        """Map an input of the composite to an input of a PE inside.

        Args:
            input_name: name of the composite's input.
            internal_pe: the PE or composite inside.
            internal_input: name of its input.
        """
        self._map_input(input_name, internal_pe, internal_input)

    def map_output(self, output_name: str, internal_pe: Any, internal_output: str) -> None:
        """Map an output of the composite to an output of a PE inside.

        Args:
            output_name: name of the composite's output.
            internal_pe: the PE or composite inside.
            internal_output: name of its output.
        """
        self._map_output(output_name, internal_pe, internal_output)

    def _map_input(self, input_name: str, internal_pe: Any, internal_input: str) -> None:
        """Map an input; the name that dispel4py had for `map_input`."""
        self.inputmappings[input_name] = (internal_pe, internal_input)

    def _map_output(self, output_name: str, internal_pe: Any, internal_output: str) -> None:
        """Map an output; the name that dispel4py had for `map_output`."""
        self.outputmappings[output_name] = (internal_pe, internal_output)


def create_iterative_chain(
    functions: Sequence[Callable[..., Any] | Sequence[Any]],
    function_pe_class: Callable[..., GenericPE] = SimpleFunctionPE,
    name_prefix: str = "PE_",
    name_suffix: str = "",
    *,
    FunctionPE_class: Callable[..., GenericPE] | None = None,
) -> CompositePE:
    """Return a composite with input ``input`` and output ``output`` that calls functions in turn.

    Args:
        functions: each a function, or a pair (tuple or list) of a function and its keyword
            arguments.
        function_pe_class: creates a PE.  If it can be called without arguments, `compute_fn` and
            `params` of the PE are set afterwards; otherwise it is called with both.
        name_prefix: prefix of the function's name in the name of its PE.
        name_suffix: suffix of it.
        FunctionPE_class: name of `function_pe_class` in dispel4py before 2.0.

    Raises:
        ValueError: the list is empty.
    """
    if not functions:
        raise ValueError("create_iterative_chain() needs at least one function")
    chain = CompositePE()
    pes: list[GenericPE] = []
    for entry in functions:
        function, params = entry if isinstance(entry, tuple | list) else (entry, {})
        pe = _function_pe(FunctionPE_class or function_pe_class, function, params)
        pe.name = pe.id = f"{name_prefix}{_function_name(function)}{name_suffix}"
        if pes:
            chain.connect(pes[-1], OUTPUT_NAME, pe, INPUT_NAME)
        else:
            chain.add(pe)
        pes.append(pe)
    chain._map_input(INPUT_NAME, pes[0], INPUT_NAME)
    chain._map_output(OUTPUT_NAME, pes[-1], OUTPUT_NAME)
    return chain


def _function_pe(make: Callable[..., Any], function: Any, params: dict[str, Any]) -> GenericPE:
    made: GenericPE
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError):  # it has parameters, or no known signature
        made = make(function, params)
        return made
    without: Any = make()
    without.compute_fn, without.params = function, params
    made = without
    return made


def _function_name(function: Callable[..., Any]) -> str:
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
