"""``dispel4py check --migrate``: what a workflow of dispel4py uses that is gone or changed."""
