"""Where tasks wait: the protocols that workers and the driver use, and what is stored.

`store.memory` and `store.redis` implement them.
"""
