"""When a stream of numbers, as losses are, began to differ: detectors that are told one number at a time and keep a few. Pure.

Monitors judge windows. These are for a stream at hand, where a change is to be noticed at once.
"""

from __future__ import annotations

import math


class PageHinkley:
    """A sum of how far numbers are above (or below) their mean, which drifts away once they are (Page 1954, Hinkley 1971).

    `tolerated` is by how much they may differ for nothing, `limit` how far the sum may come, `memory` what is kept of it at
    each step. After a change it starts anew.
    """

    def __init__(self, tolerated: float = 0.005, limit: float = 50.0, memory: float = 0.9999, least: int = 30) -> None:
        self._tolerated, self._limit, self._memory, self._least = tolerated, limit, memory, least
        self._start()

    def _start(self) -> None:
        self._count, self._mean = 0, 0.0
        self._up = self._down = 0.0
        self._lowest, self._highest = math.inf, -math.inf

    def update(self, value: float) -> bool:
        """Whether the numbers changed, as of this one."""
        self._count += 1
        self._mean += (value - self._mean) / self._count
        apart = value - self._mean
        self._up = self._memory * self._up + apart - self._tolerated
        self._down = self._memory * self._down + apart + self._tolerated
        self._lowest, self._highest = min(self._lowest, self._up), max(self._highest, self._down)
        further = max(self._up - self._lowest, self._highest - self._down)
        if self._count < self._least or further <= self._limit:
            return False
        self._start()
        return True


class Adwin:
    """A window that grows while its numbers look alike, and loses its older part when they do not (Bifet, Gavaldà 2007).

    `rate` is that of false alarms at each look, and a look is taken every `every` numbers. The window is kept as buckets of
    1, 2, 4 … numbers, at most five of each size, so that a million numbers take a hundred buckets.
    """

    _OF_A_SIZE = 5
    _LEAST = 5  # numbers in each part
    _GRACE = 10

    def __init__(self, rate: float = 0.002, every: int = 32) -> None:
        self._rate, self._every = rate, every
        self._rows: list[list[tuple[float, float]]] = [[]]  # by size, the oldest first: (sum, sum of squares around its mean)
        self._ticks = 0
        self.width = 0
        self._total = self._spread = 0.0

    @property
    def mean(self) -> float:
        """Of the numbers in the window."""
        return self._total / self.width if self.width else 0.0

    def update(self, value: float) -> bool:
        """Whether the numbers changed, as of this one."""
        if self.width:
            self._spread += self.width * (value - self.mean) ** 2 / (self.width + 1)
        self.width, self._total, self._ticks = self.width + 1, self._total + value, self._ticks + 1
        self._rows[0].append((value, 0.0))
        self._compress()
        changed = False
        if self._ticks % self._every == 0 and self.width > self._GRACE:
            while self._has_cut():
                self._forget()
                changed = True
        return changed

    def _compress(self) -> None:
        for size, row in enumerate(self._rows):
            if len(row) <= self._OF_A_SIZE:
                return
            (one, of_one), (other, of_other) = row[:2]
            del row[:2]
            if size + 1 == len(self._rows):
                self._rows.append([])
            self._rows[size + 1].append((one + other, of_one + of_other + (one - other) ** 2 / 2 ** (size + 1)))

    def _has_cut(self) -> bool:
        """Whether the window can be cut so that its parts differ by more than chance (the bound by variance, theorem 3.2)."""
        before, total = 0, 0.0
        log = math.log(2 * math.log(self.width) / self._rate)
        for size in range(len(self._rows) - 1, -1, -1):
            for one, _ in self._rows[size]:
                before, total = before + 2**size, total + one
                after = self.width - before
                if after < self._LEAST:
                    return False
                if before < self._LEAST:
                    continue
                rows = 1 / (before - self._LEAST + 1) + 1 / (after - self._LEAST + 1)
                bound = math.sqrt(2 * rows * self._spread / self.width * log) + 2 / 3 * log * rows
                if abs(total / before - (self._total - total) / after) > bound:
                    return True
        return False

    def _forget(self) -> None:
        """Without its oldest bucket."""
        while not self._rows[-1]:
            self._rows.pop()
        size = 2 ** (len(self._rows) - 1)
        total, spread = self._rows[-1].pop(0)
        self.width, self._total = self.width - size, self._total - total
        apart = total / size - self.mean
        self._spread -= spread + size * self.width * apart * apart / (size + self.width)
