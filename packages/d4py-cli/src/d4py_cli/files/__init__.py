"""Files that runs write: by lines, and one run at a time."""
