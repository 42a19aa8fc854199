"""From samples to batches: decoding, augmentation, caches, loaders."""
