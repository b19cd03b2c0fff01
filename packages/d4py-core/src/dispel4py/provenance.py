"""The module of this name in dispel4py, which is replaced; importing it says by what.

A run is described by ``dispel4py MAPPING WORKFLOW --provenance DIR``, and a PE names what it reads
and writes by `GenericPE.provenance`.
"""

raise ImportError(
    "dispel4py.provenance is gone: leave out the import and what is made of it, run with"
    " --provenance DIR, and name files in PEs by self.provenance(used=…, generated=…)"
)
