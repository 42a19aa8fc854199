"""Darknet's files: the network definition (`.cfg`), the weights and the data descriptors."""
