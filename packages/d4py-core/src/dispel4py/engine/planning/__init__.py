"""What is decided before a run starts: the `Plan`, which is the same in all processes of the run.

It is made of a graph (`plan`), refused by mappings that cannot run it (`capabilities`), and sent to
other processes with its PEs as bytes (`plan_bundle`).
"""
