"""The mapping `threads`: one thread per rank, in the process of the caller."""
