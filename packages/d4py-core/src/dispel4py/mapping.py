"""What the author of a mapping imports: the parts of core that every mapping is made from.

A mapping is a class with the attributes and methods of `Mapping`.  It makes a plan of the graph,
declares its `Capabilities` and refuses graphs that need more, runs instances in an `Executor`, and
returns a `RunResult`.

All names here are public.  Stable, so that only a new major version changes them, are the protocols
(`Mapping`, `CheckingMapping`, `JoiningMapping`, `CollectiveMapping`, `Command`, `JobCommand`,
`OutputHandler`), `Capabilities`, the options and results of a run, the errors, and the functions.
The classes that run instances, count what they do and carry plans (`Executor`, `FailureCollector`,
`Meter`, `Plan`, `PlanBundle`, `RunEvents`, `UserCodeThread`, `WorkerCodec`, `WorkerContext`,
`WorkerPool`) may gain or lose parameters and attributes in a minor version, which its changelog
lists.  Modules below ``dispel4py.engine``, ``.processes``, ``.pickling``, ``.files``, ``.checks``,
``.exceptions``, ``.observing`` and ``.standard_streams`` are private: import their names from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispel4py.core import show_log
from dispel4py.engine.calls.runner_options import raise_error
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.execution.output_table import OutputHandler
from dispel4py.engine.failures import FailureCollector
from dispel4py.engine.inputs import calls, root_inputs
from dispel4py.engine.items.copying import copy_item, share_item
from dispel4py.engine.planning.capabilities import Capabilities, refusal
from dispel4py.engine.planning.local_pes import with_local_copies
from dispel4py.engine.planning.pe_copies import check_copies
from dispel4py.engine.planning.plan import Plan, make_plan
from dispel4py.engine.planning.plan_bundle import PlanBundle, WorkerCodec, make_bundle
from dispel4py.engine.run_events import RunEvents, events_of
from dispel4py.errors import (
    D4pyError,
    GraphError,
    InputError,
    OptionError,
    ProcessingError,
    RunError,
    ServiceError,
    UnsupportedGraphError,
    UsageError,
    WorkerLostError,
)
from dispel4py.files.file_argument import file_argument
from dispel4py.registry import (
    CheckingMapping,
    CollectiveMapping,
    Command,
    JobCommand,
    JoiningMapping,
    Mapping,
)
from dispel4py.result import (
    Failure,
    InstanceStats,
    ResultCollector,
    RunOptions,
    RunResult,
    RunStats,
)
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import Meter, MeterReport
    from dispel4py.processes.user_code_thread import UserCodeThread
    from dispel4py.processes.workers.pool import WorkerPool
    from dispel4py.processes.workers.process import WorkerContext
    from dispel4py.processes.workers.reports import picklable_error
    from dispel4py.processes.workers.start_methods import end_if_imports_main

__all__ = [
    "Capabilities",
    "CheckingMapping",
    "CollectiveMapping",
    "Command",
    "D4pyError",
    "Executor",
    "Failure",
    "FailureCollector",
    "GraphError",
    "InputError",
    "InstanceStats",
    "JobCommand",
    "JoiningMapping",
    "Mapping",
    "Meter",
    "MeterReport",
    "OptionError",
    "OutputHandler",
    "Plan",
    "PlanBundle",
    "ProcessingError",
    "ResultCollector",
    "RunError",
    "RunEvents",
    "RunOptions",
    "RunResult",
    "RunStats",
    "ServiceError",
    "UnsupportedGraphError",
    "UsageError",
    "UserCodeThread",
    "WorkerCodec",
    "WorkerContext",
    "WorkerLostError",
    "WorkerPool",
    "WorkflowGraph",
    "calls",
    "check_copies",
    "copy_item",
    "end_if_imports_main",
    "events_of",
    "file_argument",
    "make_bundle",
    "make_plan",
    "picklable_error",
    "raise_error",
    "refusal",
    "root_inputs",
    "share_item",
    "show_log",
    "with_local_copies",
]

#: Names that not every run needs, and the modules that they are in.
_IMPORTED_LATE = {
    "Meter": "dispel4py.engine.execution.metering",
    "MeterReport": "dispel4py.engine.execution.metering",
    "UserCodeThread": "dispel4py.processes.user_code_thread",
    "WorkerContext": "dispel4py.processes.workers.process",
    "WorkerPool": "dispel4py.processes.workers.pool",
    "end_if_imports_main": "dispel4py.processes.workers.start_methods",
    "picklable_error": "dispel4py.processes.workers.reports",
}


def __getattr__(name: str) -> Any:
    if name not in _IMPORTED_LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_IMPORTED_LATE[name]), name)
