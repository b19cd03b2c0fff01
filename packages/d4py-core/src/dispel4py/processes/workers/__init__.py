"""The worker processes of a run on this machine.

`pool` starts, watches and ends them, and is what mappings use; `process` and `exiting` run in a
worker; `start_methods` says how one is started.
"""
