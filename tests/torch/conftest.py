"""One thread: the networks of the tests are too small for more, and a busy machine would slow them down."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
