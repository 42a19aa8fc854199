"""The output of a run for people: summaries, tables, pictures and pages."""
