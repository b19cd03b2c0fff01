"""What to write in place of what dispel4py had, by the name that a workflow imports."""

from __future__ import annotations

import re

_GRAPH_PROCESSES = "the plan does this now: run(graph, mapping=…, processes=…)"
_GROUPING = "self.add_input(name, grouping=…) in the PE; mappings choose the instance from that"
_OWN_MAPPING = "a mapping is a class with run(graph, inputs, options): see dispel4py.mapping"

#: Patterns of full names, the first that fits counts, and what to write instead.
_ADVICE = [
    (
        r"dispel4py\.provenance\b",
        "run with --provenance DIR, and name files by self.provenance(used=…, generated=…);"
        " `item_ids = True` gives each item an id by which it can be traced",
    ),
    (r"dispel4py\.(new\.spark_process|storm)\b", "the mapping multi, mpi or hybrid_redis"),
    (
        r"dispel4py\.seismo\b",
        "ObsPy in PEs of your own; create_iterative_chain for functions in turn",
    ),
    (r"dispel4py\.new\.logger\b", "Python's logging, or self.log(…) in a PE"),
    (r"dispel4py\.new\.dyn_redis_config\b", "--redis-url URL, or the variable REDIS_URL"),
    (r".*\.\w*(Shuffle|GroupBy|AllToOne|OneToAll)Communication$", _GROUPING),
    (r".*\._?get_destination$", _GROUPING),
    (r".*\.(Generic|MPI|MultiProcessing|SimpleProcessing|Dynamic)Wrapper$", _OWN_MAPPING),
    (r".*\.(ReadTiming|Monitoring)Wrapper$", "result.stats.instances: items and seconds of each"),
    (r".*\.SimpleProcessingPE$", "CompositePE, or the option -s"),
    (
        r"dispel4py\.new\.processor\..*(partition|assign|connect|dependenc|process)",
        _GRAPH_PROCESSES,
    ),
    (r"dispel4py\.new\.\w*(simple|multi|mpi|dynamic|redis)\w*\b", "run(graph, mapping=…)"),
    (r"dispel4py\.examples\b", "pip install d4py-examples"),
]
#: Modules of Python 2 that workflows import, and where their names are now.
PYTHON_2 = {
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "cPickle": "pickle",
    "cStringIO": "io",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
}


def advice_for(name: str, moved_to: str | None = None) -> str:
    """Return what to write instead of a module or name that is gone.

    Args:
        name: the full name, such as ``"dispel4py.new.processor.GenericWrapper"``.
        moved_to: a module that has the name now.
    """
    if moved_to is not None:
        return f"from {moved_to} import {name.rpartition('.')[2]}"
    for pattern, advice in _ADVICE:
        if re.match(pattern, name):
            return advice
    return "nothing replaces it; the reference lists what there is"
