"""Contours of paddles that grow, turn smoothly and never touch one another."""

import numpy as np

from tasks.data.pathfinder_drawing import (
    FINE,
    NUM_DIRECTIONS,
    TURN_TABLE,
    Brush,
    Place,
    direction_step,
    turn_table,
)

TURN_TRIALS = 20
"""Turns that are tried before a contour is stuck."""
RETREATS_PER_PADDLE = 4
"""Times that a pair of contours may be cut back before it starts anew, over their length."""
RETREAT = 5
"""The most paddles that a stuck contour loses at a time."""
DISTRACTOR_TRIALS = 40


class Draws:
    """Uniform integers from the raw output of PCG64: the same for ever and everywhere."""

    def __init__(self, *key: int) -> None:
        self._source = np.random.PCG64(np.random.SeedSequence(key))
        self._words: list[int] = []

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1, for bounds far below 2^32."""
        if not self._words:
            self._words = (self._source.random_raw(64) >> np.uint64(32)).tolist()
        return self._words.pop() * bound >> 32


class Contour:
    """Paddles in a row, as pivots and directions, and the bits that they claim."""

    def __init__(self, brush: Brush, draws: Draws) -> None:
        self.pivots: list[Place] = []
        self.directions: list[int] = []
        self.claims: list[int] = [0]
        """After each paddle, the bits of all so far."""
        self._brush = brush
        self._draws = draws
        self._turns = turn_table(brush.settings.continuity)

    def __len__(self) -> int:
        return len(self.pivots)

    def start(self, tail: Place, taken: int) -> bool:
        """Lay the first paddle from there, in a random direction; False: no room."""
        direction = self._draws.below(NUM_DIRECTIONS)
        back = self._brush.to_tail[direction]
        pivot = Place(tail.y - back.y, tail.x - back.x)
        side = FINE * self._brush.settings.side
        inside = 0 <= pivot.y < side and 0 <= pivot.x < side
        return inside and self._lay(pivot, direction, taken)

    def extend(self, taken: int) -> bool:
        """Lay one more paddle; False where no turn that was tried finds room.

        A paddle may meet the footprint of the one before it, and no other.
        """
        last = self.directions[-1]
        pivot = self.pivots[-1].moved(self._brush.to_next[last])
        taken |= self.claims[-2]
        for _ in range(TURN_TRIALS):
            turn = self._turns[self._draws.below(TURN_TABLE)]
            if self._lay(pivot, (last + turn) % NUM_DIRECTIONS, taken):
                return True
        return False

    def _lay(self, pivot: Place, direction: int, taken: int) -> bool:
        footprint = self._brush.footprint(pivot, direction)
        if footprint & taken:
            return False
        self.pivots.append(pivot)
        self.directions.append(direction)
        self.claims.append(self.claims[-1] | footprint)
        return True

    def cut_back(self) -> None:
        """Take away a few paddles, but never the first."""
        keep = max(1, len(self) - 1 - self._draws.below(RETREAT))
        del self.pivots[keep:], self.directions[keep:], self.claims[keep + 1 :]

    def ends(self) -> tuple[Place, Place]:
        """The first paddle's tail and the last one's head."""
        first, last = self.directions[0], self.directions[-1]
        return (
            self.pivots[0].moved(self._brush.to_tail[first]),
            self.pivots[-1].moved(self._brush.to_head[last]),
        )


def grow_pair(brush: Brush, draws: Draws) -> tuple[Contour, Contour] | None:
    """Two contours whose first ends lie `seed_distance` apart, the shorter growing first.

    A contour that is stuck is cut back; a pair that was cut back too often is None.
    """
    settings = brush.settings
    edge = min(2 * settings.seed_distance, settings.side // 2 - 2)
    room = FINE * (settings.side - 2 * edge)
    tail = Place(FINE * edge + draws.below(room), FINE * edge + draws.below(room))
    apart = direction_step(draws.below(NUM_DIRECTIONS), settings.seed_distance)
    one, two = Contour(brush, draws), Contour(brush, draws)
    if not one.start(tail, brush.border):
        return None
    if not two.start(tail.moved(apart), brush.border | one.claims[-1]):
        return None
    retreats = RETREATS_PER_PADDLE * settings.contour_length
    while len(two) < settings.contour_length:
        shorter, other = (one, two) if len(one) <= len(two) else (two, one)
        if shorter.extend(brush.border | other.claims[-1]):
            continue
        retreats -= 1
        if retreats < 0 or len(shorter) == 1:
            return None
        shorter.cut_back()
    return one, two


def grow_distractor(brush: Brush, draws: Draws, taken: int) -> Contour | None:
    """One short contour anywhere, or None where there is no room."""
    settings = brush.settings
    side = FINE * settings.side
    for _ in range(DISTRACTOR_TRIALS):
        contour = Contour(brush, draws)
        if not contour.start(Place(draws.below(side), draws.below(side)), taken):
            continue
        while len(contour) < settings.distractor_length and contour.extend(taken):
            pass
        if len(contour) == settings.distractor_length:
            return contour
    return None
