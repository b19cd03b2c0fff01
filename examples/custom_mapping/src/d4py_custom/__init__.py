"""The mapping `custom`: every instance of a PE on a thread of its own.

It is here to show what the author of a mapping writes.  Core brings the plan, which decides all
routing, and the executor, which runs instances; a mapping carries items and detects the end.
"""

from d4py_custom.mapping import CustomMapping

__all__ = ["CustomMapping"]
