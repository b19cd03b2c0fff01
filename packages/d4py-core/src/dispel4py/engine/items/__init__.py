"""Items apart from any graph: their copies, sizes, ids and places, and bytes of them.

Items of ordered inputs (rule M6) travel as `places.Placed`, and `reorder_buffer` holds those that
come early.
"""
