"""Tasks in Redis streams, for workers of any machine.

What changes several keys at once is a script in `lua/`.
"""
