"""The mapping `dask`: every instance of a PE is an actor on a Dask cluster.

An example of a mapping on an engine that exists.  The engine places instances and carries bytes;
which item goes where, and when the run is over, is decided here.
"""

from d4py_dask.mapping import DaskMapping

__all__ = ["DaskMapping"]
