"""Detection: boxes, assignment, loss, suppression, evaluation and prediction."""
