"""Tells pytest what it cannot collect from the sources of d4py-core."""

# Stands for a package that is not installed where core is tested by itself, and has no doctest.
collect_ignore = ["src/dispel4py/examples/__init__.py"]
