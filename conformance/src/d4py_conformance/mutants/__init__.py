"""Mappings that break a rule each, on purpose: a suite that passes them would be worth nothing.

`known` has a sound mapping, from which all others derive, and most of the broken ones.  Duties that
came later have a module each.
"""

from d4py_conformance.mutants.children import *  # noqa: F403
from d4py_conformance.mutants.errors import *  # noqa: F403
from d4py_conformance.mutants.known import *  # noqa: F403
from d4py_conformance.mutants.output import *  # noqa: F403
from d4py_conformance.mutants.starting import *  # noqa: F403
from d4py_conformance.mutants.statistics import *  # noqa: F403
from d4py_conformance.mutants.threads import *  # noqa: F403
