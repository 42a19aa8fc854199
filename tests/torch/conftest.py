"""One thread: the networks of the tests are too small to share out, and a busy machine would stall them."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
