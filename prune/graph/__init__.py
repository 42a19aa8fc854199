"""The structure of a network: channels, prune groups, residual blocks, costs."""
