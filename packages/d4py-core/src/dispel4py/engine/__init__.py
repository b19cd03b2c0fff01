"""The engine: makes a plan of a graph, and calls PEs by that plan.

All mappings use it.  `planning` describes a run before it starts, `calls` calls the instances of
PEs, and `execution` passes what they write to the next ones; `items` copies, measures and names
what they write.  Nothing here starts a process or opens a connection.
"""
