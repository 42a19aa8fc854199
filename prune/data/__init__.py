"""Data sets as a whole: converting one format into another, and checking what is in them. No torch."""
