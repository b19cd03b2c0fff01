"""Folders of runs that are kept, and the list of them."""

#: Names the folder of all runs where there is no ``--run-dir``.
RUN_DIR_VARIABLE = "DISPEL4PY_RUN_DIR"
