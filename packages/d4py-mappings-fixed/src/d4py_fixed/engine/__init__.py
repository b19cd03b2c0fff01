"""What all fixed mappings share: placement, the loop of a rank, the driver, and what they exchange.

A mapping adds a `Transport` and a way to start processes.
"""
