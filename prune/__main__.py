"""`python -m prune`: the program `darknet-prune` as a module (for `torch.distributed.run -m prune train`)."""

from __future__ import annotations

from prune.commands.start import main

if __name__ == "__main__":
    main()
