"""What must hold before a pruned network is written: see `equivalence` and `absorption`."""
