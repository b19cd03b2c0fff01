"""What observers of a run share: their base, and what they make of its events."""
