"""RowSum: the sum of the few rows of a table that a song's ids, features and flags point at."""

from __future__ import annotations

import torch
from torch import Tensor


class RowSum:
    """Sums of rows, each song its own.

    Args:
        table: float32 [N, K], the rows of the ids of each member of a group, then of the features, then of the flags.
        first: int64 [G + F], where in the table each member's and each feature's rows begin.
        members: G, how many of these are members.
        num_flags: M, the last rows of the table.
        rows: R, how many songs.
    """

    def __init__(self, table: Tensor, first: Tensor, members: int, num_flags: int, rows: int) -> None:
        self.table, self.first, self.members, self.known = table, first, members, 0
        width = len(first) + num_flags
        self.index = first.new_zeros(rows, width)
        self.index[:, len(first) :] = torch.arange(len(table) - num_flags, len(table), device=table.device)
        self.counts = torch.zeros(rows, width, dtype=torch.bool, device=table.device)
        self.counts[:, members : len(first)] = True
        self.begin = first.new_zeros(rows)

    def point(self, members: Tensor, columns: Tensor, flags: Tensor) -> None:
        """Say which rows count.

        Args:
            members: int64 [R, g], as many of the group's ids as are known. columns: int64 [R, F]. flags: bool [R, M].
        """
        known, numbers = members.shape[1], len(self.first)
        for values, start in ((members, 0), (columns, self.members)):
            place = slice(start, start + values.shape[1])
            torch.add(values.to(self.table.device), self.first[place], out=self.index[:, place])
        if known != self.known:
            self.counts[:, :known], self.counts[:, known : self.members] = True, False
            self.known = known
        self.counts[:, numbers:] = flags

    def total(self) -> Tensor:
        """The sums, float32 [R, K], a new tensor."""
        if self.table.is_cuda:  # all rows with a weight of 0 or 1: the shapes of a captured graph are fixed
            begin = torch.arange(0, self.index.numel(), self.index.shape[1], device=self.table.device)
            weights = self.counts.to(self.table.dtype).flatten()
            return torch.embedding_bag(self.table, self.index.flatten(), begin, False, 0, False, weights)[0]
        rows = self.index.masked_select(self.counts)
        if len(self.begin) > 1:
            torch.cumsum(self.counts[:-1].sum(dim=1), dim=0, out=self.begin[1:])
        return torch.embedding_bag(self.table, rows, self.begin, False, 0, False)[0]
