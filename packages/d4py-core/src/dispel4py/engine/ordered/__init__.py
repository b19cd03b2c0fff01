"""Ordered inputs (rule M6): items that arrive in the order in which a root made them.

`ways` marks the edges that lead to ordered inputs.  Items travel there with a `places.Place`, which
is a sequence number of several levels; where there is no item, punctuation (`places.Void`,
`places.Elsewhere`) says so.  `router` sends them on their ways.  `runner` takes the places off and
gives new ones, and at an ordered input a `reorder_buffer` resequences what has come.
"""
