"""Standard input, output and error of the processes of a run.

Workers write whole lines to the streams of the driver, and have an empty standard input.
"""
