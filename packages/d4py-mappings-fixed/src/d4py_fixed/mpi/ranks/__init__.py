"""What runs in the ranks of an MPI run.

`main` makes a rank of a process, and `process` connects it to the driver and runs what the driver
sends.  The rest carries its messages and ends it with the run.
"""
