"""How many workers should be active: policies, and a trace of what they decided."""
