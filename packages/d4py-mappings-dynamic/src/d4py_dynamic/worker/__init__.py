"""A worker: the loop that takes leases from a store, calls PEs and commits what they did."""
