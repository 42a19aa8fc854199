"""What hangs together in a network: channels, prune groups, residual blocks, costs."""
