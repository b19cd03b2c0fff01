"""Redis servers apart from any run: how one is named, found or started, and connections to it."""
