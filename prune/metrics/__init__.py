"""What detections are worth: every protocol's average precision, and what else is counted. No torch here."""
