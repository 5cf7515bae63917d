"""How values read on a page: times that name their zone, counts with their noun, words for states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from app.detectors.budget import chance_weeks
from app.detectors.sentence import MOST_WEEKS, amount, plural, rounded, span
from app.domain import Event, PatternState
from app.reports.figures import figure
from app.reports.reasons import reason
from app.store.audit import Act

KINDS: Mapping[str, str] = {
    "new": "New",
    "cluster": "New cluster",
    "recurrence": "Back again",
    "spike": "Spike",
    "rising": "Rising",
    "sustained": "Sustained rise",
    "after_release": "After a release",
    "silent_feed": "Silent feed",
    "mass_event": "Mass event",
    "one_customer": "One customer",
}
SEVERITIES = ("high", "medium", "low")
STATES: Mapping[PatternState, str] = {
    PatternState.WATCHING: "Watching",
    PatternState.NEW: "New",
    PatternState.ESCALATING: "Escalating",
    PatternState.ONGOING: "Ongoing",
    PatternState.FIX_PENDING: "Fix pending",
    PatternState.RECOVERED: "Recovered",
    PatternState.REGRESSED: "Regressed",
    PatternState.DORMANT: "Dormant",
    PatternState.DISMISSED: "Dismissed",
    PatternState.MERGED: "Merged",
}
EVENTS: Mapping[str, str] = {
    "pattern.created": "Pattern found",
    "pattern.renamed": "Renamed",
    "pattern.linked": "Linked to a release",
    "pattern.noted": "Noted",
    "pattern.merged": "Merged",
    "pattern.split": "Split",
    "pattern.restored": "Restored",
    "pattern.dissolved": "Dissolved",
    "pattern.returned": "Seen again after a long silence",
    "pattern.changed": "State changed",
    "pattern.regressed": "Regressed: it came back after its fix",
    "alert.opened": "Alert opened",
    "alert.watching": "Put on the watchlist",
    "alert.escalated": "Alert got worse",
    "alert.acknowledged": "Acknowledged",
    "alert.assigned": "Assigned",
    "alert.snoozed": "Snoozed",
    "alert.woken": "Snooze over",
    "alert.judged": "Judged",
    "alert.muted": "Topic muted",
    "alert.unmuted": "Topic heard again",
    "alert.restored": "Decision taken back",
    "alert.dismissed": "Dismissed",
    "alert.resolved": "Resolved",
    "fix.verified": "Fix works",
    "fix.failed": "Fix did not work",
    "release.recorded": "Fix recorded",
    "suggestion.decided": "Suggestion decided",
}


LONG = timedelta(days=7)  # of a span: its beginning is told by the day


class Words:
    """The filters of the templates, for one business time zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def when(self, at: datetime | None, *, now: datetime | None = None) -> Markup:
        """ "23 Nov, 14:02 CET" as a <time>; with the year when it is another than `now`'s."""
        if at is None:
            return Markup("never")
        local = at.astimezone(self.zone)
        year = f" {local.year}" if now is None or local.year != now.astimezone(self.zone).year else ""
        return self._time(at, f"{local.day} {local:%b}{year}, {local:%H:%M} {self.abbreviation(at)}")

    def between(self, first: datetime, last: datetime | None, *, now: datetime) -> Markup:
        """ "23 Nov, 14:02 CET to 17:30 CET": the day once where it is one; of what is long ago the day alone."""
        if last is None or last - first < timedelta(minutes=1):
            return self.when(first, now=now)
        start, end = first.astimezone(self.zone), last.astimezone(self.zone)
        year = f" {start.year}" if start.year != now.astimezone(self.zone).year else ""
        day = f"{start.day} {start:%b}{year}"
        if last - first >= LONG:
            return Markup("{} to {}").format(day, self.when(last, now=now))
        begun = self._time(first, f"{day}, {start:%H:%M} {self.abbreviation(first)}")
        if start.date() == end.date():
            return begun + " to " + self._time(last, f"{end:%H:%M} {self.abbreviation(last)}")
        return begun + " to " + self.when(last, now=now)

    def clock(self, at: datetime, now: datetime) -> Markup:
        """ "14:02 Europe/Berlin"; with the date when it is not today."""
        local = at.astimezone(self.zone)
        date = "" if local.date() == now.astimezone(self.zone).date() else f"{local.day} {local:%b}, "
        return self._time(at, f"{date}{local:%H:%M} {self.zone.key}")

    def day(self, on: datetime | date) -> str:
        """ "23 Nov" on the business calendar."""
        local = on.astimezone(self.zone) if isinstance(on, datetime) else on
        return f"{local.day} {local:%b}"

    def ago(self, at: datetime, now: datetime) -> Markup:
        """How long before `now`, as a <time>."""
        length = now - at
        text = "just now" if length < timedelta(minutes=1) else f"{span(length)} ago"
        return self._time(at, text)

    def abbreviation(self, at: datetime) -> str:
        """ "CET"; "UTC+3" where the zone has no name for it."""
        name = at.astimezone(self.zone).tzname() or ""
        return f"UTC{name}" if name[:1] in "+-" else name

    def _time(self, at: datetime, text: str) -> Markup:
        local = at.astimezone(self.zone)
        full = f"{local:%A}, {local.day} {local:%B %Y, %H:%M:%S} {self.zone.key}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(local.isoformat(), full, text)


def kind(name: str) -> str:
    return KINDS.get(name, name.replace("_", " ").capitalize())


def state(of: PatternState) -> str:
    return STATES[of]


def hours(number: float) -> str:
    """A window's length in its natural unit."""
    return span(timedelta(hours=number))


def ratio(observed: float, expected: float) -> str:
    """ "4.2×", as far as it means anything; "" when nothing was expected."""
    if expected < 0.05:
        return ""
    times = observed / expected
    return f"{times:.0f}×" if times >= 10 else f"{times:.1f}×"


def chance(strength: float) -> str:
    """In how many weeks chance alone does this to one topic once: "1 in 40"."""
    weeks = chance_weeks(strength)
    if weeks > MOST_WEEKS:
        return f"< 1 in {MOST_WEEKS:,.0f}"
    return f"1 in {rounded(max(1.0, weeks))}"


def web_address(url: str) -> str:
    """`url` when it leads to a web page; "" for anything a browser would run or not open."""
    return url if url.startswith(("https://", "http://")) else ""


def compact(text: str) -> str:
    """Ticket text without lines that say nothing."""
    return "\n".join(line for line in text.splitlines() if any(c.isalnum() for c in line))


def event(of: Event) -> str:
    return EVENTS.get(of.type, of.type.replace(".", " "))


def detail(of: Event) -> str:
    """What an event adds to its name."""
    data = of.data
    match of.type:
        case "pattern.renamed":
            return f"“{data.get('was', '')}” is now “{data.get('name', '')}”"
        case "pattern.changed" | "pattern.regressed":
            return f"{_word(data.get('was'))} → {_word(data.get('state'))}"
        case "pattern.created":
            return f"{plural(data.get('tickets', 0), 'ticket')} from {plural(data.get('customers', 0), 'customer')}"
        case "pattern.linked":
            return str(data.get("release") or "no release")
        case "pattern.noted":
            return str(data.get("text", ""))
        case "alert.woken":
            return str(data.get("reason", ""))
        case "release.recorded":
            return f"{data.get('title', '')} {data.get('version', '')}".strip()
        case _:
            return str(data.get("sentence") or data.get("reason") or "")


def _word(value: object) -> str:
    return next((text for name, text in STATES.items() if name == value), str(value))


DEEDS: Mapping[str, str] = {
    "user.created": "Added a user", "user.changed": "Changed a role", "user.disabled": "Disabled a user",
    "user.enabled": "Enabled a user", "user.password_reset": "Gave a temporary password",
    "user.password_changed": "Changed their password", "user.linked": "Came by the identity provider",
    "key.created": "Made an API key", "key.revoked": "Revoked an API key", "session.opened": "Signed in",
    "session.shut": "Shut out after wrong attempts", "settings.changed": "Changed settings",
    "tickets.erased": "Erased tickets", "tickets.expired": "Erased what outlived its retention",
    "source.paused": "Paused a source", "source.resumed": "Resumed a source", "source.asked": "Asked for a sync",
    "subscription.created": "Added an endpoint", "subscription.changed": "Changed an endpoint",
    "subscription.rotated": "Rotated a secret", "subscription.removed": "Removed an endpoint",
    "report.asked": "Asked for a report by e-mail", "report.stopped": "Stopped a report by e-mail",
    "webhook.test": "Sent a test event", "release.recorded": "Recorded a release or fix",
}  # fmt: skip
PAGES = {"pat": "/patterns/", "alt": "/alerts/", "sub": "/webhooks/"}
NOT_TOLD = {"links", "pattern_id", "alert_id", "ticket_ids"}
"""What the audit log leaves out of an act's particulars: it is told beside them."""


def deed(of: Act) -> str:
    """What somebody did, in words."""
    return DEEDS.get(of.type) or EVENTS.get(of.type, of.type.replace(".", " "))


def target(of: Act) -> str:
    """The page of what an act was done to; "" when it has none."""
    page = PAGES.get(of.subject.partition("_")[0])
    return f"{page}{of.subject}" if page else ""


def particulars(of: Act) -> str:
    """What an act adds to its name: "role viewer → lead"."""
    told = []
    for name, value in of.data.items():
        if isinstance(value, Mapping) and set(value) == {"from", "to"}:
            told.append(f"{name.replace('_', ' ')} {_plain(value['from'])} → {_plain(value['to'])}")
        elif name not in NOT_TOLD and value not in ("", None, [], {}):
            told.append(f"{name.replace('_', ' ')}: {_plain(value)}")
    return "; ".join(told)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


FILTERS = {
    "deed": deed, "target": target, "particulars": particulars,
    "moment": datetime.fromisoformat, "kind": kind, "state": state, "span": hours, "ratio": ratio, "chance": chance, "reason": reason,
    "event": event, "detail": detail, "compact": compact, "web_address": web_address, "figure": figure, "amount": amount, "plural": plural,
}  # fmt: skip
