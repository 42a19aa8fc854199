"""Detection: data sets, augmentation, boxes, loss, suppression and metrics."""
