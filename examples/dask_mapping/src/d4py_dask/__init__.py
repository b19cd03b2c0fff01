"""The mapping `dask`: every instance of a PE is an actor on a Dask cluster.

Dask places the instances, starts processes and carries bytes; which item goes to which instance,
and when the run is complete, is decided here.
"""

from d4py_dask.mapping import DaskMapping

__all__ = ["DaskMapping"]
