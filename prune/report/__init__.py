"""What a run leaves behind for people: summaries and tables."""
