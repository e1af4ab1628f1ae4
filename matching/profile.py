"""An ask's free capacity by hour, run-length encoded.

`edges` holds n + 1 rising hours and `free` n quantities: `free[i]` GPUs are free in every hour of [edges[i],
edges[i + 1]). Neighbouring runs differ, no quantity is negative, and `gpu_hours` is their sum. A fresh
profile is one run; a fill splits at most two. A profile past its last hour has no runs.
"""

from bisect import bisect_right

import msgspec

from matching.units import BookCorrupt


class Profile(msgspec.Struct, gc=False, eq=False):
    """Free GPUs for each hour of [edges[0], edges[-1])."""

    edges: list[int]
    free: list[int]
    gpu_hours: int

    @staticmethod
    def flat(starts_hour: int, ends_hour: int, quantity: int) -> "Profile":
        """Return a profile of one run."""
        return Profile([starts_hour, ends_hour], [quantity], (ends_hour - starts_hour) * quantity)

    @staticmethod
    def of_runs(edges: list[int], free: list[int]) -> "Profile":
        """Return a profile of these runs."""
        return Profile(edges, free, sum((edges[i + 1] - edges[i]) * free[i] for i in range(len(free))))

    def copy(self) -> "Profile":
        """Return an independent profile of the same content."""
        return Profile(self.edges.copy(), self.free.copy(), self.gpu_hours)

    def room(self, starts_hour: int, ends_hour: int) -> int:
        """Return the GPUs free in every hour of the window; 0 where it reaches outside the profile."""
        edges = self.edges
        if starts_hour < edges[0] or ends_hour > edges[-1]:
            return 0
        free = self.free
        if len(free) == 1:
            return free[0]
        first = bisect_right(edges, starts_hour) - 1
        least = free[first]
        first += 1
        while edges[first] < ends_hour:
            least = min(least, free[first])
            first += 1
        return least

    def greatest(self) -> int:
        """Return the most GPUs free in any one hour."""
        free = self.free
        return free[0] if len(free) == 1 else max(free, default=0)

    def carve(self, starts_hour: int, ends_hour: int, quantity: int) -> bool:
        """Take a rectangle out; return whether an hour sold out by it.

        Raises BookCorrupt where less than `quantity` is free.
        """
        edges = self.edges
        free = self.free
        if edges == [starts_hour, ends_hour] and 0 < quantity <= free[0]:
            # The window of the whole profile, one run.
            free[0] -= quantity
            self.gpu_hours = free[0] * (ends_hour - starts_hour)
            return not free[0]
        if quantity <= 0 or self.room(starts_hour, ends_hour) < quantity:
            raise BookCorrupt(f"carving {quantity} GPUs of [{starts_hour}, {ends_hour}) out of {self.runs()}")
        self.gpu_hours -= quantity * (ends_hour - starts_hour)
        first = self._split(starts_hour)
        last = self._split(ends_hour)
        sold_out = False
        for i in range(first, last):
            free[i] -= quantity
            if not free[i]:
                sold_out = True
        self._join(last)
        self._join(first)
        return sold_out

    def withdraw(self, quantity: int) -> None:
        """Lower every hour by `quantity`, to 0 where less is free."""
        runs = self.runs()
        self.edges = self.edges[:1]
        self.free = []
        self.gpu_hours = 0
        for starts_hour, ends_hour, gpus in runs:
            left = max(gpus - quantity, 0)
            self.gpu_hours += left * (ends_hour - starts_hour)
            if self.free and self.free[-1] == left:
                self.edges[-1] = ends_hour
            else:
                self.edges.append(ends_hour)
                self.free.append(left)

    def before(self, hour: int) -> int:
        """Return the GPU-hours free before `hour`."""
        lapsed = 0
        for starts_hour, ends_hour, gpus in self.runs():
            if starts_hour >= hour:
                break
            lapsed += (min(ends_hour, hour) - starts_hour) * gpus
        return lapsed

    def trim(self, hour: int) -> None:
        """Drop the hours before `hour`."""
        if hour <= self.edges[0]:
            return
        self.gpu_hours -= self.before(hour)
        if hour >= self.edges[-1]:
            self.edges = [hour]
            self.free = []
            return
        gone = bisect_right(self.edges, hour) - 1
        del self.edges[:gone]
        del self.free[:gone]
        self.edges[0] = hour

    def mask(self, origin_hour: int) -> int:
        """Return the hours with something free, bit 0 being `origin_hour`, which is not after the first."""
        mask = 0
        for starts_hour, ends_hour, gpus in self.runs():
            if gpus:
                mask |= (1 << (ends_hour - origin_hour)) - (1 << (starts_hour - origin_hour))
        return mask

    def stretches(self) -> list[tuple[int, int]]:
        """Return (starts_hour, ends_hour) of each longest stretch of hours with something free, in order."""
        stretches: list[tuple[int, int]] = []
        for starts_hour, ends_hour, gpus in self.runs():
            if gpus and stretches and stretches[-1][1] == starts_hour:
                stretches[-1] = (stretches[-1][0], ends_hour)
            elif gpus:
                stretches.append((starts_hour, ends_hour))
        return stretches

    def runs(self) -> list[tuple[int, int, int]]:
        """Return (starts_hour, ends_hour, free GPUs) of each run, in order."""
        edges = self.edges
        return [(edges[i], edges[i + 1], gpus) for i, gpus in enumerate(self.free)]

    def _split(self, hour: int) -> int:
        """Make `hour` an edge and return its place."""
        i = bisect_right(self.edges, hour) - 1
        if self.edges[i] == hour:
            return i
        self.edges.insert(i + 1, hour)
        self.free.insert(i + 1, self.free[i])
        return i + 1

    def _join(self, i: int) -> None:
        """Drop the edge at place `i` where both sides are equal."""
        if 0 < i < len(self.free) and self.free[i - 1] == self.free[i]:
            del self.edges[i]
            del self.free[i]
