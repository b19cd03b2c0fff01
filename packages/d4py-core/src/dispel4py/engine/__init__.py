"""The engine: makes a plan of a graph, and calls PEs by that plan.

All mappings use it: `plan` describes a run, `executor` and `runner` run instances in one process,
`routing` selects the receivers of items.  Nothing here starts a process or opens a connection.
"""
