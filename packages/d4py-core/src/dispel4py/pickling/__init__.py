"""What pickle leaves to us: identity, writability, and objects that it refuses.

These modules know nothing of plans or runs; `dispel4py.engine.codec` puts them together.
"""
