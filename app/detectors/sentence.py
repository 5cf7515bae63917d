"""One plain sentence for every kind of finding, made only from the finding's stored numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from app.detectors.budget import chance_weeks
from app.detectors.releases import Outcome, Verdict
from app.domain import Finding

MOST_WEEKS = 1_000.0  # the scale was not validated beyond


def sentence(finding: Finding, zone: str) -> str:
    """What happened, what was expected, since when, who, and how often chance alone does this."""
    match finding.kind:
        case "new":
            return _new(finding, zone)
        case "recurrence":
            return _windowed(finding, zone, "Back again: ")
        case "after_release":
            return _after_release(finding, zone)
        case "sustained" | "rising":
            return _sustained(finding, zone)
        case "silent_feed":
            return _silent_feed(finding, zone)
        case "mass_event":
            return _mass_event(finding, zone)
        case "one_customer":
            return _one_customer(finding, zone)
        case "cluster":
            return _cluster(finding, zone)
        case _:
            return _windowed(finding, zone, "")


def verdict_sentence(verdict: Verdict, zone: str) -> str:
    """Whether a fix worked, with the numbers it was judged by."""
    numbers = (
        f"{plural(verdict.after, 'customer')} since the fix against {amount(verdict.expected)} expected "
        f"at the level before it, {plural(verdict.before, 'customer')} from {clock(verdict.since, zone, day=True)} on"
    )
    share = f"{verdict.ratio:.0%} of that level, between {verdict.low:.0%} and {_high(verdict.high)}"
    match verdict.outcome:
        case Outcome.RECOVERED:
            return f"Recovered: {numbers} ({share})."
        case Outcome.NOT_YET:
            return f"Not yet: {numbers} ({share})."
        case _:
            until = f" until {clock(verdict.until, zone, day=True)}" if verdict.until else ""
            return f"Too little data{until}: {verdict.reason} ({numbers})."


def _high(ratio: float) -> str:
    return f"{ratio:.0%}" if ratio < 10 else "many times it"


def _windowed(finding: Finding, zone: str, opening: str) -> str:
    return (
        f"{opening}{counted(finding)} since {clock(finding.since, zone, near=finding.at)}; "
        f"{amount(finding.expected)} expected in that time with today's traffic; {_chance(finding)}."
    )


def _new(finding: Finding, zone: str) -> str:
    first = datetime.fromisoformat(str(finding.notes["first_at"]))
    further = max(0, int(finding.notes["counted"]) - 1)
    return (
        f"First seen {clock(first, zone, near=finding.at)}; {further} more "
        f"{'customer' if further == 1 else 'customers'} within {span(finding.at - first)} "
        f"({counted(finding)} in all); {amount(finding.expected)} expected of a problem never seen before; "
        f"{_chance(finding)}."
    )


def _sustained(finding: Finding, zone: str) -> str:
    seen = int(finding.notes["counted"])
    rise = seen / max(finding.expected, 1e-9) - 1.0
    traffic = float(finding.notes["traffic"]) - 1.0
    return (
        f"{counted(finding)} in the {span(finding.at - finding.since)} since "
        f"{clock(finding.since, zone, near=finding.at)}; counting each customer once a day, {seen} against "
        f"{amount(finding.expected)} expected ({_compared(rise)}), {_allowing(traffic)}; {_chance(finding)}."
    )


def _compared(rise: float) -> str:
    return f"{rise:+.0%}" if rise < 2.0 else f"{amount(rise + 1.0)} times as many"


def _allowing(traffic: float) -> str:
    if abs(traffic) < 0.005:
        return "with traffic as usual"
    return f"already allowing for {abs(traffic):.0%} {'more' if traffic > 0 else 'less'} traffic overall"


def _after_release(finding: Finding, zone: str) -> str:
    release = finding.release
    name = f'"{release.title}"' if release is not None else "the release"
    when = clock(release.at if release is not None else finding.since, zone, near=finding.at)
    version = ""
    if "on_version" in finding.notes and release is not None:
        version = f", {finding.notes['on_version']} of them naming version {release.version}"
    before = ""
    if "before_28_days" in finding.notes:
        customers = plural(int(finding.notes["before_28_days"]), "customer")
        before = f", {customers} in the 28 days before it"
    return (
        f"{counted(finding)} in the {span(finding.at - finding.since)} since {name} of {when}{version}; "
        f"{amount(finding.expected)} expected{before}; {_chance(finding)}."
    )


def _silent_feed(finding: Finding, zone: str) -> str:
    return (
        f"No ticket has arrived since {clock(finding.since, zone, near=finding.at)}; "
        f"about {amount(finding.expected)} were due. Until the feed speaks again, quiet is not recovery."
    )


def _mass_event(finding: Finding, zone: str) -> str:
    topics = int(finding.notes["topics"])
    return (
        f"{topics} patterns jumped together in the hour before {clock(finding.at, zone)}: {counted(finding)} "
        f"where the whole queue was expected to bring {amount(finding.expected)}. This looks like an import "
        f"or a mail loop, so that hour raises no alerts."
    )


def _cluster(finding: Finding, zone: str) -> str:
    before = max(int(finding.notes["history"]), int(finding.notes["earlier"]))
    said = plural(before, "customer") if before else "no one"
    return (
        f"{counted(finding)} since {clock(finding.since, zone, near=finding.at)} describe what looks like one "
        f"problem; {said} said the same in the {plural(round(float(finding.notes['weeks'])), 'week')} before; "
        f"{_chance(finding)}."
    )


def _one_customer(finding: Finding, zone: str) -> str:
    who = "One customer" if finding.customers == 1 else plural(finding.customers, "customer").capitalize()
    return (
        f"{who} filed {plural(finding.tickets, 'ticket')} since "
        f"{clock(finding.since, zone, near=finding.at)}. No one else is affected more than usual."
    )


def _chance(finding: Finding) -> str:
    weeks = chance_weeks(finding.strength)
    subject = "one " + ("pattern" if finding.topic.kind == "pattern" else "topic")
    if weeks < 2.0:
        return f"{subject} does this by chance about every week"
    if weeks > MOST_WEEKS:
        return f"{subject} does this by chance less than once in 1,000 weeks"
    return f"{subject} does this by chance once in about {rounded(weeks)} weeks"


def rounded(number: float) -> str:
    """To one leading digit, or two below 20: the scale is not finer than that."""
    if number < 20:
        return f"{number:.0f}"
    step = 10 ** (len(str(int(number))) - 1)
    return f"{round(number / step) * step:,}"


def counted(finding: Finding) -> str:
    return f"{plural(finding.tickets, 'ticket')} from {plural(finding.customers, 'customer')}"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def amount(number: float) -> str:
    """An expectation as people read it: 43, 7.2, 0.8, 0.02."""
    if number >= 20:
        return f"{number:,.0f}"
    if number >= 0.095:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.005 else "almost none"


def span(length: timedelta) -> str:
    """A duration in its natural unit."""
    hours = length.total_seconds() / 3600.0
    if hours < 1.0:
        return plural(max(1, round(hours * 60)), "minute")
    if hours <= 48.0:
        return plural(round(hours), "hour")
    return plural(round(hours / 24.0), "day")


def clock(moment: datetime, zone: str, *, near: datetime | None = None, day: bool = False) -> str:
    """`moment` on the business clock, naming the zone; without the year when it is that of `near`.

    The day is always said: a sentence is read again days after it was made.
    """
    local = moment.astimezone(ZoneInfo(zone))
    name = zone.replace("_", " ")
    is_near = near is not None and local.year == near.astimezone(ZoneInfo(zone)).year
    date = f"{local.day} {local:%b}" if is_near else f"{local.day} {local:%b %Y}"
    return f"{date} ({name})" if day else f"{date}, {local:%H:%M} ({name})"
