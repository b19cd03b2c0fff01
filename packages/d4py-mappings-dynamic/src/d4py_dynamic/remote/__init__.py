"""Workers on other machines: how a run is found and joined, and how one is resumed."""
