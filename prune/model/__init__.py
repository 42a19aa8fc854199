"""`NetDef` → `torch.nn.Module`, and back."""
