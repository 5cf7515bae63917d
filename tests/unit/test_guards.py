from __future__ import annotations

import numpy as np

from app.detectors.guards import desk_notices, one_customer
from app.detectors.scan import scan, threshold
from app.detectors.sentence import sentence
from tests.unit._desk import at, desk, desk_series, moment, series, topic, working_times

NORMAL = working_times(np.random.default_rng(7), days=60, per_day=60)
DESK = topic("desk")


def test_an_import_is_one_notice_and_its_hour_raises_nothing() -> None:
    rng = np.random.default_rng(1)
    usual = [working_times(rng, days=59, per_day=1) for _ in range(30)]
    imported = [[at(59, 10 + j / 20 + i / 1000) for j in range(1, 6)] for i in range(30)]
    topics = [series(f"e{i}", [*u, *m]) for i, (u, m) in enumerate(zip(usual, imported, strict=True))]
    now = at(59, 10.5)
    whole = desk_series([t for t in NORMAL if t <= now], *(list(s.at) for s in topics))
    before = desk(whole, now)
    [notice] = desk_notices(topics, before, DESK, now, active_topics=200)
    assert notice.kind == "mass_event"
    assert int(notice.notes["topics"]) >= 25
    assert sentence(notice, "UTC").startswith(f"{notice.notes['topics']} patterns jumped together")
    bar = threshold(200, 5)
    assert max(f.strength for f in scan(topics, before, now)) > bar
    span = (notice.since.timestamp(), notice.at.timestamp())
    after = before.advance(whole, now, voids=[span])
    assert all(f.strength < bar for f in scan(topics, after, now))


def test_one_real_outage_is_no_mass_event() -> None:
    outage = [at(59, 10 + j / 20) for j in range(1, 9)]
    quiet = [series(f"e{i}", [at(20 + i, 9), at(59, 10.2)]) for i in range(12)]
    now = at(59, 10.5)
    whole = desk_series([t for t in NORMAL if t <= now], outage, *(list(s.at) for s in quiet))
    assert desk_notices([series("o", outage), *quiet], desk(whole, now), DESK, now, active_topics=200) == []


def test_a_surge_of_everything_is_no_mass_event() -> None:
    rng = np.random.default_rng(1)
    usual = [working_times(rng, days=59, per_day=5) for _ in range(20)]
    surge = [sorted(rng.uniform(at(59, 10), at(59, 11), 2).tolist()) for _ in range(20)]
    topics = [series(f"e{i}", [*u, *m]) for i, (u, m) in enumerate(zip(usual, surge, strict=True))]
    now = at(59, 11)
    busy = rng.uniform(at(59, 9), at(59, 11), 36).tolist()
    whole = desk_series([t for t in NORMAL if t < at(59, 9)], busy, *(list(s.at) for s in topics))
    assert desk_notices(topics, desk(whole, now), DESK, now, active_topics=20) == []


def test_a_silent_feed_is_named_with_its_beginning() -> None:
    now = at(57, 17)  # a Tuesday
    spoke = [t for t in NORMAL if t < at(57, 11)]
    [notice] = desk_notices([], desk(desk_series(spoke), now), DESK, now, active_topics=200)
    assert notice.kind == "silent_feed"
    assert abs(notice.since.timestamp() - max(spoke)) < 1e-3
    assert "No ticket has arrived since" in sentence(notice, "UTC")


def test_a_quiet_weekend_is_no_silent_feed() -> None:
    now = at(54, 23)  # a Saturday
    spoke = [t for t in NORMAL if t < at(53, 18)]
    assert desk_notices([], desk(desk_series(spoke), now), DESK, now, active_topics=200) == []


def test_one_customer_with_forty_tickets_is_a_notice_of_its_own() -> None:
    times = [at(59, 9 + i / 10) for i in range(40)]
    notice = one_customer(series("e", times, [5] * 40), desk(desk_series(NORMAL), at(59, 14)), at(59, 14))
    assert notice is not None
    assert sentence(notice, "Europe/Berlin") == (
        "One customer filed 40 tickets since 6 Mar, 10:00 (Europe/Berlin). No one else is affected more than usual."
    )
    assert moment(59, 9) == notice.since


def test_ten_tickets_of_ten_customers_are_no_flood() -> None:
    times = [at(59, 9 + i / 10) for i in range(10)]
    assert one_customer(series("e", times), desk(desk_series(NORMAL), at(59, 14)), at(59, 14)) is None
