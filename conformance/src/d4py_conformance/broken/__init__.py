"""Mappings that break a rule each, on purpose: a suite that passes them would be worth nothing.

`known` has a sound mapping, from which all others derive, and most of the broken ones.  Duties that
came later have a module each.
"""

from d4py_conformance.broken.children import *  # noqa: F403
from d4py_conformance.broken.errors import *  # noqa: F403
from d4py_conformance.broken.known import *  # noqa: F403
from d4py_conformance.broken.output import *  # noqa: F403
from d4py_conformance.broken.starting import *  # noqa: F403
from d4py_conformance.broken.statistics import *  # noqa: F403
from d4py_conformance.broken.threads import *  # noqa: F403
