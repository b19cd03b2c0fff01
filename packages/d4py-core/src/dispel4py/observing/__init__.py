"""From what a run does to the events that its observers get."""
