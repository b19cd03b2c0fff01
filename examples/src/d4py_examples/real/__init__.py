"""Workflows of the kind that scientists run.

`seismology`, `galaxies`, `sentiment`, `sensors` and `grids` work on measured data that Python
packages bring along, so they run without a network: ``pip install d4py-examples[all]``.
`event_detection` and `batched_inference` make their data themselves.
"""
