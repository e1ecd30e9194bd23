"""Timing in turns, a b a b ..., so that clock, power and temperature are the same for both sides.

A GPU that works on for some tenths of a second reaches its power limit and slows down, and how much
depends on the kernel. There are therefore two measurements: bursts, which end before that, and
sustained work. In a turn the GPU first rests; then the side launches once untimed and as often behind
it as fills its time, at least once, with all launches in the queue together. A side is any object with
`name` and `batch(launches)`, which gives the seconds of each launch behind an untimed one. Nothing
flushes caches: the other side's turn does.
"""

import dataclasses
import statistics
import time

MOST_LAUNCHES = 5000  # of a turn


@dataclasses.dataclass(frozen=True)
class Turns:
    rounds: int
    rest: float  # seconds before each turn
    seconds: float  # of a turn


@dataclasses.dataclass(frozen=True)
class Effort:
    bursts: Turns
    sustained: Turns


FULL = Effort(bursts=Turns(rounds=7, rest=0.15, seconds=0.04),
              sustained=Turns(rounds=2, rest=0.15, seconds=0.6))
LEAST = Effort(bursts=Turns(rounds=1, rest=0, seconds=0),
               sustained=Turns(rounds=1, rest=0, seconds=0))


def interleaved(sides, effort):
    """The seconds of a launch in each round, by the side's name: in bursts, and in sustained work."""
    usual = {side.name: statistics.median(side.batch(2)) for side in sides}
    return (in_turns(sides, effort.bursts, statistics.median, usual),
            in_turns(sides, effort.sustained, statistics.fmean, usual))


def in_turns(sides, turns, average, usual):
    """`average` makes one number of the launches of a turn; `usual` holds each side's last one."""
    rounds = {side.name: [] for side in sides}
    for _ in range(turns.rounds):
        for side in sides:
            fitting = round(turns.seconds / max(usual[side.name], 1e-6))
            time.sleep(turns.rest)
            usual[side.name] = average(side.batch(min(max(fitting, 1), MOST_LAUNCHES)))
            rounds[side.name].append(usual[side.name])
    return rounds


def summary(values):
    """Median and median absolute deviation."""
    center = statistics.median(values)
    return center, statistics.median(abs(value - center) for value in values)
