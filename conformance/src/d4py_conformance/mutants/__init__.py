"""Mutants: mappings that each break one rule on purpose, to show that the suite finds it.

`sound` has a mapping that keeps all rules, from which the mutants derive.  They are grouped as the
rules are in `d4py_conformance.rules`.
"""

from d4py_conformance.mutants.arrival import *  # noqa: F403
from d4py_conformance.mutants.batches import *  # noqa: F403
from d4py_conformance.mutants.children import *  # noqa: F403
from d4py_conformance.mutants.completion import *  # noqa: F403
from d4py_conformance.mutants.copies import *  # noqa: F403
from d4py_conformance.mutants.declarations import *  # noqa: F403
from d4py_conformance.mutants.errors import *  # noqa: F403
from d4py_conformance.mutants.in_worker import *  # noqa: F403
from d4py_conformance.mutants.inputs import *  # noqa: F403
from d4py_conformance.mutants.lifecycle import *  # noqa: F403
from d4py_conformance.mutants.memory import *  # noqa: F403
from d4py_conformance.mutants.observation import *  # noqa: F403
from d4py_conformance.mutants.order import *  # noqa: F403
from d4py_conformance.mutants.output import *  # noqa: F403
from d4py_conformance.mutants.routing import *  # noqa: F403
from d4py_conformance.mutants.sound import *  # noqa: F403
from d4py_conformance.mutants.starting import *  # noqa: F403
from d4py_conformance.mutants.state import *  # noqa: F403
from d4py_conformance.mutants.statistics import *  # noqa: F403
from d4py_conformance.mutants.threads import *  # noqa: F403
