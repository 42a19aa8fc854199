"""Whole datasets: converting one format into another, and checking their contents. No torch."""
