"""Training: one loop, with sparsity and distillation as hooks of it."""
