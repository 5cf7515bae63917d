"""Cold start: which signals are active on a desk of a given age, and why the others wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of signal: since which day of history it is active, and why not before."""

    name: str
    from_day: float
    why: str


SIGNALS = (
    Signal(
        "cluster", 0.0, "tickets that say the same are compared with each other, from the fiftieth ticket on"
    ),
    Signal("new", 3.0, "a new error needs three days of traffic to be new against"),
    Signal(
        "spike", 3.0, "a window is looked at once the history is twice as long: 2 hours to a day from day 3"
    ),
    Signal("rising", 6.0, "a window of three days needs six days of history"),
    Signal("silent_feed", 7.0, "how much is due at each hour of the week takes a week to know"),
    Signal(
        "sustained",
        14.0,
        "a window of a week needs a fortnight of history, one of three weeks needs six weeks",
    ),
    Signal("mass_event", 14.0, "what a jump of many topics is takes two weeks to know"),
    Signal("segments", 28.0, "products, regions and the desk itself need a month to be expected of anything"),
)
LEARNT_DAYS = 28.0  # after that a baseline counts as learnt


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What is active on a desk of this age, what waits, and that in a sentence."""

    age_days: float
    active: tuple[Signal, ...]
    waiting: tuple[Signal, ...]

    @property
    def is_learning(self) -> bool:
        return self.age_days < LEARNT_DAYS

    @property
    def sentence(self) -> str:
        if not self.is_learning:
            return "The baseline is learnt."
        named = ", ".join(s.name.replace("_", " ") for s in self.active)
        following = self.waiting[0]
        return (
            f"{int(self.age_days)} of {LEARNT_DAYS:.0f} baseline days: active are {named}. "
            f"Next, from day {following.from_day:.0f}: {following.name.replace('_', ' ')}, as {following.why}. "
            f"Importing eight weeks of history starts everything at once."
        )


def cold_start(age_days: float) -> ColdStart:
    """What a desk with `age_days` of ticket history can say, and what it cannot say yet."""
    active = tuple(s for s in SIGNALS if s.from_day <= age_days)
    return ColdStart(age_days, active, tuple(s for s in SIGNALS if s.from_day > age_days))
