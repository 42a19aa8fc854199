"""Evaluation metrics: the average precision of every protocol, and other counts. No torch here."""
