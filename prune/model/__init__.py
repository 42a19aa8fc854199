"""`NetDef` → `torch.nn.Module`, and the way back."""
