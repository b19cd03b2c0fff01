"""Ordered inputs (rule M6): items that arrive in the order in which a root made them.

`paths` marks the edges that lead to ordered inputs.  On these edges each item has a `places.Place`,
a sequence number of several levels; where there is no item, punctuation (`places.EmptyPlace`,
`places.OtherInstance`) takes the place.  `router` routes both.  `runner` removes the places, gives
new ones to what a PE writes, and resequences the items of an ordered input in a `reorder_buffer`.
"""
