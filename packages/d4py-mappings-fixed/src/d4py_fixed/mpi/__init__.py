"""The mapping `mpi`: ranks are MPI processes, on one machine or on many.

The driver is no MPI process; a control channel connects it with each rank.
"""
