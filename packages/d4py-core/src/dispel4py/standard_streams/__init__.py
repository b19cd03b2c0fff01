"""Standard input, output and error of the processes of a run.

Workers share those of the driver: lines are written whole, and input is empty.
"""
