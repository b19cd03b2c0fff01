"""Pickling beyond the standard library: identity, writability, and objects that pickle refuses.

These modules know nothing of plans or runs; `dispel4py.engine.items.codec` combines them.
"""
