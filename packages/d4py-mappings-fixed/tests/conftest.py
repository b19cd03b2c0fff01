"""What all tests of the fixed mappings share."""

from hypothesis import settings

# A busy machine is no failure, and a failure on one machine is one on all.
settings.register_profile("d4py", deadline=None, derandomize=True)
settings.load_profile("d4py")
