"""The engine: from a graph to a plan, and from a plan to calls of PEs.

Every mapping runs its instances with what is here: `plan` says what is to run, `executor` and
`runner` run it in one process, `routing` says where an item goes.  Nothing here starts a process
or opens a connection.
"""
