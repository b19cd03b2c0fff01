"""Execution: runs the instances of one process, and passes what they write to the next ones.

An `Executor` has a stack of batches; a `Router` selects the instance that gets an item, and outlets
pass it on, in this process or to the `OutputHandler` of a mapping.
"""
