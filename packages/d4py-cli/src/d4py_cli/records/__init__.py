"""What a run leaves beside its results, as options ask for it."""
