"""The driver's side of an MPI run: starts the ranks or finds those of a job, and watches them.

`source` says where the ranks come from (`mpiexec`, `job`), `registration` waits until each has
connected, and `supervisor` notices their ends.
"""
