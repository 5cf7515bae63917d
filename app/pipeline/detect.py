"""A tick: look at the topics that were touched, open what is worth reading, close what is over.

Everything is a function of `at` and of what is stored with times up to it; a tick that runs twice at
the same instant changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.detectors import guards, knot, members, slowburn
from app.detectors import releases as release_rule
from app.detectors.baseline import Desk, Span
from app.detectors.budget import (
    HOLD_H,
    HOLD_SLACK,
    SEVERITIES,
    Step,
    horizon_weeks,
    is_calm,
    severity,
    spend,
    step,
)
from app.detectors.guards import NOTICES, slot
from app.detectors.knot import Knot
from app.detectors.lifecycle import DORMANT_AFTER
from app.detectors.members import BROAD, Group
from app.detectors.scan import scan, threshold
from app.detectors.sentence import sentence
from app.domain import (
    Alert,
    Change,
    Finding,
    PatternState,
    Release,
    Tier,
    Topic,
    TopicKind,
    sortable_id,
)
from app.pipeline import fixes, lease, lifecycle, memory, suggest
from app.pipeline.memory import NOTE as DIGEST_NOTE
from app.pipeline.memory import Memory
from app.pipeline.regroup import about
from app.runtime import Runtime
from app.store import alerts, events, patterns, releases, sources, tickets, topics

NOTE = "detect"
DAY = 86_400.0
WEEK = timedelta(days=7)
RELEASES = timedelta(days=22)
WATCH_FACTOR = 5.0  # the watchlist may hold this many times the budget's false alarms
BROAD_SHARE = 0.5  # segments and the desk have this much of the watchlist's budget for themselves
CLOSED_BY_HAND = timedelta(days=14)  # how long a person's verdict on a topic stands
MUCH_WORSE = 1.0  # strength by which what was dismissed must grow to come back: ten times rarer by chance
MANY_MORE = 2.0  # and how many times the customers it had hit by then
HIT = timedelta(days=21)  # the longest window of any rule: the time those customers are counted in
AWAKE: dict[str, Any] = {
    "snoozed_at": None, "snoozed_until": None, "snoozed_customers": 0, "snoozed_escalating": False,
}  # fmt: skip
BROAD_FROM_DAYS = 28.0  # segments and the desk itself need a month to be expected of anything


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick was given to look at."""

    at: datetime
    desk: Desk
    active: int
    bar: float  # strength of an alert when nothing of the budget is spent
    narrow_bar: float  # strength of a watch on a signature or pattern
    broad_bar: float  # and on a segment or the desk: they are few, and share a budget of their own

    def watch_bar(self, topic: Topic) -> float:
        return self.broad_bar if topic.kind in BROAD else self.narrow_bar


def detect(runtime: Runtime, at: datetime | None = None) -> list[str]:
    """Run the rules at `at`; ids of alerts that were opened or promoted from the watchlist."""
    at = at or runtime.now()
    if not lease.held(runtime):
        return []
    with memory.turn(runtime) as held:
        with runtime.store.read() as session:
            note, digest_note = sources.note(session, NOTE), sources.note(session, DIGEST_NOTE)
            standing = alerts.unresolved(session)
            marks = releases.between(session, at - RELEASES, at)
            closed = alerts.of_topics(session, sorted(held.fresh)) if held.fresh else []
        voids = [(float(a), float(b)) for a, b in note.get("voids", ())]
        prepared = _prepare(runtime, held, at, voids)
        if prepared is None:
            return []
        tick, notices = prepared
        findings = _findings(held, tick, marks, closed, digest_note.get("knots", ()))
        with runtime.store.write() as session:
            findings = _of_release(session, findings)
            opened = _act(runtime, session, held, tick, [*findings, *notices], standing, closed)
            fixes.judge(session, held, tick.desk, at)
            lifecycle.settle(session, at)
            voids += [(f.since.timestamp(), f.at.timestamp()) for f in notices if f.kind == "mass_event"]
            sources.save_note(session, NOTE, {"at": at.isoformat(), "voids": sorted(set(voids))})
            memory.touch(session, held, (alerts.get(session, id_).pattern_id for id_ in opened))
            suggest.refresh(session, held)
            held.fresh.clear()
            memory.keep(session, held, knots=[])
    return opened


def _prepare(
    runtime: Runtime, held: Memory, at: datetime, voids: list[Span]
) -> tuple[Tick, list[Finding]] | None:
    """The desk as it stands, and the notices about it; None before the first ticket."""
    desk_id = topics.topic_id(TopicKind.DESK, "desk")
    moment = at.timestamp()
    if not held.book.knows(desk_id):
        return None
    series = held.book.series(desk_id, until=moment)
    if not len(series.at):
        return None
    active = max(1, held.book.active(moment - DORMANT_AFTER.total_seconds()))
    desk = Desk.build(series, held.clock, moment, voids=voids)
    last_hour = [
        held.book.series(t, until=moment) for t in sorted(held.fresh)
        if held.book.topic(t).kind not in BROAD
    ]  # fmt: skip
    last_hour = [s for s in last_hour if len(s.at) and s.at[-1] > moment - 3600]
    notices = guards.desk_notices(last_hour, desk, series.topic, moment, active_topics=active)
    spans = [(f.since.timestamp(), f.at.timestamp()) for f in notices if f.kind == "mass_event"]
    if spans:
        desk = Desk.build(series, held.clock, moment, voids=[*voids, *spans])
    budget = runtime.settings.alerts_per_week
    broad = max(1, held.book.active(moment - DORMANT_AFTER.total_seconds(), BROAD))
    bars = (
        threshold(active, budget),
        threshold(active, WATCH_FACTOR * budget),
        threshold(broad, BROAD_SHARE * WATCH_FACTOR * budget),
    )
    return Tick(at, desk, active, *bars), notices


def _findings(
    held: Memory,
    tick: Tick,
    marks: Sequence[Release],
    closed: Sequence[Alert],
    knots: Iterable[Mapping[str, Any]],
) -> list[Finding]:
    """The strongest finding of every touched topic that is worth at least watching."""
    moment = tick.at.timestamp()
    touched = [held.book.series(t, until=moment) for t in sorted(held.fresh)]
    young = tick.desk.age_days(moment) < BROAD_FROM_DAYS
    touched = [s for s in touched if len(s.at) and not (young and s.topic.kind in BROAD)]
    returning = {a.topic.id for a in closed if a.resolved_at is not None}
    found = scan(touched, tick.desk, moment, releases=marks, returning=returning)
    found += slowburn.slow_burn(touched, tick.desk, moment)
    narrow = [s for s in touched if s.topic.kind not in BROAD]
    for release in (m for m in marks if m.kind is Change.RELEASE):
        found += release_rule.after_release(narrow, tick.desk, release, moment)
    found += [f for k in knots if (f := _from_knot(held, tick, k)) is not None]
    floods = [guards.one_customer(s, tick.desk, moment) for s in touched if s.topic.kind is TopicKind.PATTERN]
    best: dict[str, Finding] = {}
    for finding in found:
        before = best.get(finding.topic.id)
        if finding.strength >= tick.watch_bar(finding.topic) - HOLD_SLACK and (
            before is None or finding.strength > before.strength
        ):
            best[finding.topic.id] = finding
    return [*best.values(), *(f for f in floods if f is not None)]


def _from_knot(held: Memory, tick: Tick, values: Mapping[str, Any]) -> Finding | None:
    """A knot as a finding about the pattern most of its tickets are in now."""
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    found = Knot(**plain | {"at": datetime.fromisoformat(plain["at"])})
    homes = [home for t in found.ticket_ids if (home := held.grouping.pattern_of(t)) is not None]
    if not homes:
        return None
    home = max(sorted(set(homes)), key=homes.count)
    series = held.book.series(memory.topic_of(home), until=tick.at.timestamp())
    mine = set(found.ticket_ids)
    first = min((t for t, k in zip(series.at.tolist(), series.ticket_ids, strict=True) if k in mine),
                default=found.at.timestamp())  # fmt: skip
    weeks = tick.desk.age_days(tick.at.timestamp()) / 7.0
    return Finding(
        topic=series.topic,
        rule="cluster",
        kind="cluster",
        at=tick.at,
        since=datetime.fromtimestamp(first, tz=UTC),
        tickets=len(found.ticket_ids),
        customers=found.customers,
        expected=0.0,
        spread=0.0,
        strength=knot.strength(found, tickets_per_week=_traffic(held, tick, weeks), topics=tick.active),
        ticket_ids=found.ticket_ids,
        notes={"mean": round(found.mean, 4), "history": found.history, "score": round(found.score, 4),
               "earlier": found.earlier, "weeks": round(min(weeks, 25.0), 1), "zone": tick.desk.clock.zone},
    )  # fmt: skip


def _traffic(held: Memory, tick: Tick, weeks: float) -> float:
    """Tickets a week, of the last four weeks or the last three days, whichever were busier."""
    now = tick.at.timestamp()
    desk = held.book.series(topics.topic_id(TopicKind.DESK, "desk"), since=now - 28 * DAY)
    lately = int((desk.at > now - 3 * DAY).sum()) * 7 / 3
    return max(len(desk.at) / min(max(weeks, 1.0), 4.0), lately)


def _of_release(session: Session, findings: Sequence[Finding]) -> list[Finding]:
    """Without the release where the window's tickets are about another product or older versions."""
    kept = []
    for finding in findings:
        release = finding.release
        if release is None:
            kept.append(finding)
            continue
        shown = [t.attributes for t in tickets.by_ids(session, finding.ticket_ids).values()]
        if _is_about(release, shown):
            on_version = sum(a.get("version") == release.version for a in shown)
            notes = {**finding.notes, "on_version": on_version} if release.version and on_version else {}
            kept.append(replace(finding, notes=notes or finding.notes))
        elif finding.rule != "after_release":
            kept.append(replace(finding, release=None, kind="rising"))
    return kept


def _is_about(release: Release, shown: Sequence[Mapping[str, str]]) -> bool:
    """Whether tickets with these attributes can come of `release`: half are of its product, if it has one,
    and not all that name a version name another than its own."""
    if release.product and 2 * sum(a.get("product") == release.product for a in shown) < len(shown):
        return False
    versions = {a["version"] for a in shown if a.get("version")}
    return not release.version or not versions or release.version in versions


def _act(
    runtime: Runtime,
    session: Session,
    held: Memory,
    tick: Tick,
    findings: Sequence[Finding],
    standing: Sequence[Alert],
    closed: Sequence[Alert],
) -> list[str]:
    """Open, promote, worsen, hold and resolve; ids of what became an alert now.

    A pattern that is back after a verified fix speaks for itself, whatever else tells of the event.
    """
    by_slot = {slot(f.topic, f.kind): f for f in findings}
    promoted = []
    for alert in standing:
        finding = by_slot.pop(slot(alert.topic, alert.kind), None)
        _wake(session, held, tick, alert, finding)
        if _continue(session, held, tick, alert, finding) and alert.tier is Tier.WATCH and finding:
            promoted.append(finding)
    raised = [f for f in by_slot.values() if _is_raised(f, tick)]
    quiet = _quiet(session, held, tick, raised, closed)
    loud = [*promoted, *(f for f in raised if f.topic.id not in quiet)]
    back = [f for f in loud if _has_recovered(session, f)]
    ongoing = [
        (a, held.book.series(a.topic.id, until=tick.at.timestamp()).ticket_ids) for a in standing
        if a.kind not in NOTICES and a.topic.id not in {f.topic.id for f in promoted}
    ]  # fmt: skip
    groups = members.groups(
        [f for f in loud if f not in back], ongoing, [f for f in raised if f.topic.id in quiet], bar=tick.bar
    )
    _join(session, groups)
    watched = {slot(a.topic, a.kind): a for a in standing if a.tier is Tier.WATCH}
    opened = []
    fresh = [g.told() for g in groups if g.finding is not None and not g.is_quiet]
    tiers = [*((f, Tier.ALERT) for f in back), *_tiers(runtime, session, tick, fresh)]
    for finding, tier in tiers:
        alert_id = _open(session, tick, finding, tier, watched.get(slot(finding.topic, finding.kind)))
        if alert_id and tier is Tier.ALERT:
            opened.append(alert_id)
            _absorb(session, tick, alert_id, finding, [a for a in standing if a.tier is Tier.WATCH])
    return opened


def _tiers(
    runtime: Runtime, session: Session, tick: Tick, findings: Sequence[Finding]
) -> list[tuple[Finding, Tier]]:
    """Which findings are alerts: by the budget, but for notices."""
    per_week = runtime.settings.alerts_per_week
    weeks = min(horizon_weeks(per_week), tick.desk.age_days(tick.at.timestamp()) / 7.0)
    used = alerts.opened_since(session, tick.at - weeks * WEEK, tier=Tier.ALERT, besides=NOTICES)
    rules = [f for f in findings if f.kind not in NOTICES]
    tiers = spend(rules, opened=used, weeks=weeks, per_week=per_week, active_topics=tick.active)
    tiers += [
        (f, Tier.WATCH if f.kind == "one_customer" else Tier.ALERT) for f in findings if f.kind in NOTICES
    ]
    return tiers


def _join(session: Session, groups: Sequence[Group]) -> None:
    """Remember which topics have joined an alert that stands."""
    for group in groups:
        if group.alert is None or not group.members:
            continue
        _list(session, group.alert.id, group.members)


def _list(session: Session, alert_id: str, joined: Sequence[Topic]) -> None:
    """Remember topics as members of an alert."""
    numbers = dict(alerts.get(session, alert_id).finding)
    known = {m["topic_id"]: m for m in [*numbers.get("members", ()), *members.listed(joined)]}
    alerts.change(session, alert_id, finding=numbers | {"members": list(known.values())})


def _absorb(session: Session, tick: Tick, alert_id: str, finding: Finding, watched: Sequence[Alert]) -> None:
    """What waited on the watchlist about the same tickets is part of the alert from now on."""
    if finding.topic.kind in BROAD or finding.kind in NOTICES:
        return
    own = set(finding.ticket_ids)
    told = [
        a for a in watched
        if a.id != alert_id and a.topic.kind not in BROAD and a.kind not in NOTICES
        and members.are_same(a.ticket_ids, own)
    ]  # fmt: skip
    for alert in told:
        alerts.change(
            session, alert.id, resolved_at=tick.at, updated_at=tick.at, reason="part of a stronger alert"
        )
    _list(session, alert_id, [a.topic for a in told])


def _has_recovered(session: Session, finding: Finding) -> bool:
    """Whether the finding is about a pattern whose fix was verified: that is always worth an alert."""
    return (
        finding.topic.kind is TopicKind.PATTERN
        and finding.kind not in NOTICES
        and patterns.resolve(session, finding.topic.key).state is PatternState.RECOVERED
    )


def _is_raised(finding: Finding, tick: Tick) -> bool:
    return finding.kind in NOTICES or finding.strength >= tick.watch_bar(finding.topic)


def _quiet(
    session: Session, held: Memory, tick: Tick, findings: Sequence[Finding], closed: Sequence[Alert]
) -> set[str]:
    """Topics people do not want to hear of: muted, or judged by them and not much worse since."""
    muted, dismissed = topics.muted(session), patterns.dismissed(session)
    return {
        f.topic.id for f in findings
        if f.topic.id in muted or not _is_much_worse(held, f, _judged(tick, f, dismissed, closed))
    }  # fmt: skip


def _judged(
    tick: Tick, finding: Finding, dismissed: Mapping[str, datetime], closed: Sequence[Alert]
) -> tuple[datetime, float] | None:
    """When people last judged a finding's topic, and how strong it was then; None when that is over.

    A verdict on an alert stands for CLOSED_BY_HAND; the dismissal of a pattern stands for ever.
    """
    dismissed_at = dismissed.get(finding.topic.key)
    for last in (a for a in closed if a.topic.id == finding.topic.id and a.verdict):
        if last.resolved_at and (dismissed_at or tick.at - last.resolved_at < CLOSED_BY_HAND):
            return last.resolved_at, float(last.finding.get("strength", 0.0))
    return (dismissed_at, tick.bar) if dismissed_at else None


def _is_much_worse(held: Memory, finding: Finding, judged: tuple[datetime, float] | None) -> bool:
    """Whether a finding is worth telling again after people judged its topic."""
    if judged is None:
        return True
    at, strength = judged
    before = held.book.series(finding.topic.id, since=(at - HIT).timestamp(), until=at.timestamp())
    hit = len(set(before.customer.tolist()))
    return finding.strength >= strength + MUCH_WORSE and finding.customers >= MANY_MORE * hit


def _wake(session: Session, held: Memory, tick: Tick, alert: Alert, finding: Finding | None) -> None:
    """End a snooze whose time or number has come, or whose alert is about to get worse."""
    if alert.snoozed_until is None:
        return
    before, further = _since_snooze(held, alert, tick.at)
    if tick.at >= alert.snoozed_until:
        reason = "its time has come"
    elif alert.snoozed_customers and further >= alert.snoozed_customers:
        reason = f"{alert.snoozed_customers} more customers"
    elif alert.snoozed_escalating and finding is not None and _is_worse(finding, alert, tick):
        reason = "it got worse"
    elif alert.snoozed_escalating and finding is not None and further >= max(before, 1):
        reason = "it got worse: twice as many customers"  # what is severe already cannot rise in severity
    else:
        return
    changed = alerts.change(session, alert.id, **AWAKE, updated_at=tick.at)
    _tell(session, "alert.woken", changed, tick.at, {"reason": reason})


def _since_snooze(held: Memory, alert: Alert, at: datetime) -> tuple[int, int]:
    """Customers of the three weeks before the snooze, and those with a ticket since it who are not among them."""
    begin = alert.snoozed_at or alert.opened_at
    series = held.book.series(alert.topic.id, since=(begin - HIT).timestamp(), until=at.timestamp())
    is_new = series.at > begin.timestamp()
    before = set(series.customer[~is_new].tolist())
    return len(before), len(set(series.customer[is_new].tolist()) - before)


def _is_worse(finding: Finding, alert: Alert, tick: Tick) -> bool:
    return SEVERITIES.index(severity(finding, tick.bar)) > SEVERITIES.index(alert.severity)


def _continue(session: Session, held: Memory, tick: Tick, alert: Alert, finding: Finding | None) -> bool:
    """Carry a standing alert on; True while it stands."""
    bar = tick.watch_bar(alert.topic) if alert.tier is Tier.WATCH else tick.bar
    last = datetime.fromisoformat(str(alert.finding.get("last_strong_at", alert.opened_at.isoformat())))
    quiet = tick.at - last >= timedelta(hours=HOLD_H)
    if finding is None and not quiet:
        return True
    series = held.book.series(alert.topic.id, until=tick.at.timestamp())
    calm = alert.kind in NOTICES or (quiet and is_calm(series, tick.desk, tick.at.timestamp()))
    what = step(finding, bar=bar, open_severity=alert.severity, last_strong_at=last, calm=calm, at=tick.at)
    if what is Step.RESOLVE:
        alerts.change(session, alert.id, resolved_at=tick.at, updated_at=tick.at, reason="back to normal")
        if alert.tier is Tier.ALERT:
            _tell(session, "alert.resolved", alert, tick.at, {"reason": "back to normal"})
        return False
    if finding is not None and finding.strength >= bar - HOLD_SLACK:
        _update(session, tick, alert, finding, worse=what is Step.WORSEN and alert.tier is Tier.ALERT)
    return True


def _update(session: Session, tick: Tick, alert: Alert, finding: Finding, *, worse: bool) -> None:
    """Bring a standing alert's numbers up to date; its sentence follows when it is at least as strong."""
    numbers = dict(alert.finding) | {"last_strong_at": tick.at.isoformat()}
    values: dict[str, Any] = {"updated_at": tick.at}
    level = severity(finding, tick.bar)
    if finding.strength >= float(alert.finding.get("strength", 0.0)):
        numbers |= _numbers(finding, tick) | {"members": alert.finding.get("members", [])}
        values |= {
            "sentence": sentence(finding, tick.desk.clock.zone),
            "ticket_ids": finding.ticket_ids,
            "kind": finding.kind,
        }
    if SEVERITIES.index(level) > SEVERITIES.index(alert.severity):
        values["severity"] = level
    changed = alerts.change(session, alert.id, **values, finding=numbers)
    if worse:
        changed = alerts.change(session, alert.id, escalated_at=tick.at)
        _refresh(session, alert.pattern_id, tick.at)
        _tell(session, "alert.escalated", changed, tick.at, {"was": alert.severity})


def _open(session: Session, tick: Tick, finding: Finding, tier: Tier, watched: Alert | None) -> str | None:
    """Open an alert or a watch, or promote the watch to an alert; its id, None when nothing changed."""
    if watched is not None and tier is Tier.WATCH:
        return None
    alert = _alert(session, tick, finding, tier)
    if watched is not None:
        values = {f.name: getattr(alert, f.name) for f in fields(alert)}
        for kept in ("id", "topic", "rule"):
            del values[kept]
        alert = alerts.change(session, watched.id, **values | {"tier": tier.value})
    else:
        topics.ensure(session, [finding.topic])
        alerts.open_alert(session, alert)
    type_ = "alert.opened" if tier is Tier.ALERT else "alert.watching"
    _tell(session, type_, alert, tick.at, {})
    if tier is Tier.ALERT and finding.kind not in NOTICES:
        _refresh(session, alert.pattern_id, tick.at)
    return alert.id


def _refresh(session: Session, pattern_id: str | None, at: datetime) -> None:
    if pattern_id is not None:
        lifecycle.refresh(session, [pattern_id], at)


def _alert(session: Session, tick: Tick, finding: Finding, tier: Tier) -> Alert:
    is_pattern = finding.topic.kind is TopicKind.PATTERN
    return Alert(
        id=sortable_id("alt", tick.at, finding.topic.id, finding.rule),
        topic=finding.topic,
        rule=finding.rule,
        kind=finding.kind,
        tier=tier,
        severity="low" if finding.kind in NOTICES else severity(finding, tick.bar),
        sentence=sentence(finding, tick.desk.clock.zone),
        finding=_numbers(finding, tick),
        ticket_ids=finding.ticket_ids,
        pattern_id=finding.topic.key if is_pattern else _home(session, finding),
        opened_at=tick.at,
        updated_at=tick.at,
    )


def _home(session: Session, finding: Finding) -> str | None:
    """The pattern that most of a signature's tickets are in."""
    if finding.topic.kind is not TopicKind.SIGNATURE:
        return None
    homes = [t.pattern_id for t in tickets.by_ids(session, finding.ticket_ids).values() if t.pattern_id]
    best = max(sorted(set(homes)), key=homes.count, default=None)
    return best if best and homes.count(best) * 2 >= len(finding.ticket_ids) else None


def _numbers(finding: Finding, tick: Tick) -> dict[str, Any]:
    """Every number the sentence shows, as stored with the alert."""
    values = {
        k: v for k, v in asdict(finding).items() if k not in ("topic", "ticket_ids", "release", "notes")
    }
    values |= {"at": finding.at.isoformat(), "since": finding.since.isoformat(), **finding.notes}
    for name in ("expected", "spread", "strength"):
        values[name] = round(float(values[name]), 4)
    values |= {"bar": round(tick.bar, 4), "active_topics": tick.active, "last_strong_at": tick.at.isoformat()}
    if finding.release is not None:
        values["release"] = {"id": finding.release.id, "title": finding.release.title,
                             "at": finding.release.at.isoformat()}  # fmt: skip
    return values


def _tell(session: Session, type_: str, alert: Alert, at: datetime, more: Mapping[str, Any]) -> None:
    evidence = tickets.by_ids(session, alert.ticket_ids[:50]).values()
    products = [p for t in evidence if (p := t.attributes.get("product"))]
    data = {
        "alert_id": alert.id, "kind": alert.kind, "severity": alert.severity, "sentence": alert.sentence,
        "topic": alert.topic.label, "pattern_id": alert.pattern_id,
        "product": max(sorted(set(products)), key=products.count, default=""),
        "tickets": alert.finding.get("tickets", len(alert.ticket_ids)),
        "customers": alert.finding.get("customers", 0),
        "strength": alert.finding.get("strength", 0.0), "bar": alert.finding.get("bar", 0.0), "ticket_ids": list(alert.ticket_ids[:50]),
        "links": {"alert": f"/v1/alerts/{alert.id}"},
    }  # fmt: skip
    if alert.pattern_id:
        data["links"] |= about(alert.pattern_id)["links"]
    is_heard = alert.snoozed_until is None or at >= alert.snoozed_until
    events.write(
        session, type_, alert.id, data | dict(more), at=at, owed=alert.tier is Tier.ALERT and is_heard
    )
