"""Keys and values of the tokens that generation has read."""

import torch
from torch import Tensor


class KVCache:
    """The tokens read so far and, of every layer, their keys and values: one more token then costs one column only."""

    def __init__(self):
        self.kept: dict[object, Tensor] = {}

    def append(self, name: object, new: Tensor, dim: int) -> Tensor:
        """Keep `new` after what was kept under this name, such as (layer, "k") or (layer, "v"); return all of it."""
        self.kept[name] = torch.cat([self.kept[name], new], dim) if name in self.kept else new
        return self.kept[name]

    @property
    def length(self) -> int:
        """How many tokens have been read."""
        return self.kept["tokens"].size(1) if self.kept else 0
