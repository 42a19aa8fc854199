"""Training: one loop, which sparsity and distillation extend through hooks."""
