"""Texts of workflow files that several test files write."""

#: The call of a PE holds Python's lock, so nothing else of its process runs.
KEEPS_THE_LOCK = """
    import ctypes
    from dispel4py import IterativePE, ProducerPE, WorkflowGraph

    class Sends(ProducerPE):
        def _process(self, inputs):
            return 1

    class Keeps(IterativePE):
        def _process(self, data):
            open("ready", "w").close()
            ctypes.PyDLL(None).sleep(3600)

    graph = WorkflowGraph()
    graph.connect(Sends(), "output", Keeps(), "input")
"""
