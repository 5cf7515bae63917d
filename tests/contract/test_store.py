"""What the store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from app.domain import (
    EPOCH,
    Alert,
    Checkpoint,
    Pattern,
    PatternState,
    Placement,
    Release,
    Sighting,
    Source,
    Status,
    Tier,
    TopicKind,
    sortable_id,
)
from app.domain import Change as Kind
from app.errors import Invalid, NotFound
from app.store import alerts, events, feedback, keys, patterns, releases, sources, tickets, topics
from app.store.core import Store
from tests.fakes import START, draft

HOUR = timedelta(hours=1)
MODEL = "words-128"


def saved(store: Store, *numbers: int) -> list[str]:
    with store.write() as session:
        return list(tickets.save(session, [draft(n) for n in numbers], seen_at=START).new)


def pattern(n: int, **values: object) -> Pattern:
    at = START + n * HOUR
    given: dict[str, object] = {
        "id": sortable_id("pat", at, str(n)), "name": f"Pattern {n}", "name_by": "engine",
        "founded_at": at, "first_at": at, "last_at": at,
    }  # fmt: skip
    return Pattern(**{**given, **values})  # type: ignore[arg-type]


def alert(n: int, topic_key: str = "E-1", **values: object) -> Alert:
    at = START + n * HOUR
    topic = topics.topic(TopicKind.SIGNATURE, topic_key, topic_key, START)
    given: dict[str, object] = {
        "id": sortable_id("alt", at, topic_key, str(n)), "topic": topic, "rule": "scan", "kind": "spike",
        "tier": Tier.ALERT, "severity": "low", "sentence": "More than usual.", "finding": {"tickets": 3},
        "ticket_ids": ("tkt_1",), "pattern_id": None, "opened_at": at, "updated_at": at,
    }  # fmt: skip
    return Alert(**{**given, **values})  # type: ignore[arg-type]


def opened(store: Store, *made: Alert) -> None:
    with store.write() as session:
        topics.ensure(session, [a.topic for a in made])
        for one in made:
            alerts.open_alert(session, one)


# --- transactions -----------------------------------------------------------------------------------


def test_a_write_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as session:  # noqa: PT012
        tickets.save(session, [draft(1)], seen_at=START)
        raise ZeroDivisionError
    with store.read() as session:
        assert tickets.total(session) == 0


def test_a_write_refuses_to_nest_and_the_outer_one_still_commits(store: Store) -> None:
    with store.write() as session:
        tickets.save(session, [draft(1)], seen_at=START)
        with pytest.raises(RuntimeError, match="inside write"), store.write():
            pass
    with store.read() as session:
        assert tickets.total(session) == 1


def test_reading_never_keeps_a_change(store: Store) -> None:
    with store.read() as session:
        tickets.save(session, [draft(1)], seen_at=START)
    with store.read() as session:
        assert tickets.total(session) == 0


def test_migrating_again_changes_nothing(store: Store) -> None:
    assert store.pending_migration() is None
    saved(store, 1)
    store.migrate()
    with store.read() as session:
        assert tickets.total(session) == 1


def test_an_older_database_gets_the_index_a_cache_follows_the_vector_log_by(
    tmp_path: Path,
) -> None:
    store = Store(f"sqlite:///{tmp_path}/old.sqlite3")
    store.migrate()
    saved(store, 1)
    with store.write() as session:
        session.execute(text("DROP INDEX vector_by_model"))
        session.execute(text("ALTER TABLE pattern DROP COLUMN came_with"))
        session.execute(text("ALTER TABLE vector DROP COLUMN filed_under"))
        session.execute(text("DROP TABLE history"))
        session.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    assert store.pending_migration() == "0002 -> 0006"
    store.migrate()
    assert store.pending_migration() is None
    after = "EXPLAIN QUERY PLAN SELECT seq FROM vector WHERE model_id = 'm' AND seq > 1 ORDER BY seq LIMIT 9"
    with store.read() as session:
        assert tickets.total(session) == 1
        (step,) = session.execute(text(after)).all()
    assert "vector_by_model (model_id=? AND seq>?)" in step.detail  # and no sort
    store.close()


# --- tickets ----------------------------------------------------------------------------------------


def test_a_ticket_comes_back_as_it_was_saved(store: Store) -> None:
    whole = draft(
        1, "Ünïcode 🧨 “quoted”", attributes={"product": "Reports", "version": "4.2"}, tags=("a", "b"),
        machine_tags=("ai",), status=Status.SOLVED, resolution="Restarted", resolved_at=START + HOUR,
        articles=("KB-1",), reopened=False, satisfaction=0.75, escalated=True, ai_handled=None,
        duplicate_of="T-0000", problem="P-1", backfill=True, account_name="Acme", url="https://desk/1",
    )  # fmt: skip
    with store.write() as session:
        (id_,) = tickets.save(session, [whole], seen_at=START).new
    with store.read() as session:
        found = tickets.get(session, id_)
    for name in whole.__dataclass_fields__:
        assert getattr(found, name) == getattr(whole, name), name
    assert found.seen_at == START
    assert found.digested_at is None


def test_saving_the_same_content_again_changes_nothing(store: Store) -> None:
    (id_,) = saved(store, 1)
    with store.write() as session:
        tickets.mark_digested(session, [id_], at=START)
        again = tickets.save(session, [draft(1)], seen_at=START + HOUR)
    assert again.unchanged == (id_,)
    with store.read() as session:
        found = tickets.get(session, id_)
    assert (found.seen_at, found.digested_at) == (START, START)


def test_a_new_text_sends_a_ticket_through_digestion_again_and_a_new_status_does_not(store: Store) -> None:
    one, two = saved(store, 1, 2)
    with store.write() as session:
        tickets.mark_digested(session, [one, two], at=START)
        edited = draft(1, "Import fails", updated_at=START + 9 * HOUR)
        solved = draft(2, status=Status.SOLVED, updated_at=START + 9 * HOUR)
        assert tickets.save(session, [edited, solved], seen_at=START).changed == (one, two)
    with store.read() as session:
        assert [t.id for t in tickets.undigested(session, limit=9)] == [one]
        assert tickets.get(session, one).subject == "Import fails"
        assert tickets.get(session, two).status is Status.SOLVED


def test_an_older_copy_of_a_ticket_is_ignored(store: Store) -> None:
    saved(store, 1)
    older = draft(1, "Old words", updated_at=START)
    with store.write() as session:
        done = tickets.save(session, [older], seen_at=START)
    assert len(done.unchanged) == 1
    with store.read() as session:
        assert tickets.get(session, done.unchanged[0]).subject == "Export fails"


def test_of_one_ticket_told_twice_in_a_batch_the_last_word_counts(store: Store) -> None:
    with store.write() as session:
        done = tickets.save(session, [draft(1, "First"), draft(1, "Second")], seen_at=START)
        assert tickets.get(session, done.new[0]).subject == "Second"
    assert len(done.new) == 1


def test_the_same_number_in_two_sources_is_two_tickets(store: Store) -> None:
    with store.write() as session:
        done = tickets.save(session, [draft(1), draft(1, source="other")], seen_at=START)
        assert len(set(done.new)) == 2
        assert list(tickets.known(session, "other", ["T-0001"])) == ["T-0001"]


def test_a_deleted_ticket_loses_its_text_at_once(store: Store) -> None:
    (id_,) = saved(store, 1)
    with store.write() as session:
        tickets.mark_digested(session, [id_], at=START)
        assert tickets.delete(session, "desk", ["T-0001", "T-9999"]) == (id_,)
    with store.read() as session:
        gone = tickets.get(session, id_)
        assert (gone.subject, gone.body, gone.status, gone.digested_at) == ("", "", Status.DELETED, None)
        assert tickets.between(session, EPOCH, START + 99 * HOUR) == []


def test_more_tickets_than_an_in_list_may_hold_are_all_found(store: Store) -> None:
    ids = saved(store, *range(1200))
    with store.read() as session:
        assert len(tickets.by_ids(session, ids)) == 1200
        assert len(tickets.known(session, "desk", [f"T-{n:04}" for n in range(1200)])) == 1200


def test_undigested_tickets_come_oldest_first_and_only_until_then(store: Store) -> None:
    saved(store, 3, 1, 2)
    with store.read() as session:
        found = tickets.undigested(session, limit=9, until=START + 2 * HOUR)
        assert [t.external_id for t in found] == ["T-0001", "T-0002"]
        assert tickets.count_undigested(session) == 3


def test_an_unknown_ticket_is_said_to_be_unknown(store: Store) -> None:
    with store.read() as session, pytest.raises(NotFound, match="tkt_nothing"):
        tickets.get(session, "tkt_nothing")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"product": "Reports"}, {"T-0001"}),
        ({"text": "EXPORT"}, {"T-0001", "T-0002"}),
        ({"text": "%"}, set()),
        ({"text": "_"}, set()),
        ({"status": "solved", "source": "desk"}, {"T-0002"}),
        ({"product": "Nothing"}, set()),
    ],
)
def test_tickets_are_found_by_filter(store: Store, filters: dict[str, str], found: set[str]) -> None:
    rows = [draft(1, attributes={"product": "Reports"}), draft(2, status=Status.SOLVED)]
    with store.write() as session:
        tickets.save(session, rows, seen_at=START)
    with store.read() as session:
        assert {t.external_id for t in tickets.search(session, filters).items} == found


# --- vectors ----------------------------------------------------------------------------------------


def test_vectors_are_a_log_and_a_cache_by_text(store: Store) -> None:
    vector = np.arange(8, dtype=np.float16)
    with store.write() as session:
        tickets.save_vectors(session, MODEL, [("t1", "h1", vector), ("t2", "h2", vector + 1)])
        tickets.save_vectors(session, "other", [("t1", "h1", vector + 9)])
        tickets.save_vectors(session, MODEL, [("t1", "h3", vector + 2)])
    with store.read() as session:
        assert set(tickets.cached_vectors(session, MODEL, ["h1", "h2", "h9", ""])) == {"h1", "h2"}
        assert np.array_equal(tickets.cached_vectors(session, "other", ["h1"])["h1"], vector + 9)
        assert np.array_equal(tickets.vectors_of(session, MODEL, ["t1", "t2"])["t1"], vector + 2)
        log = tickets.searchable_after(session, MODEL, 0, limit=99, body_chars=9)
        assert tickets.last_vector_seq(session, MODEL) == log[-1].seq
        later = tickets.searchable_after(session, MODEL, log[0].seq, limit=1, body_chars=9)
        assert [row.ticket_id for row in later] == ["t2"]
    assert [row.ticket_id for row in log] == ["t1", "t2", "t1"]


def test_of_a_retired_ticket_no_vector_stays_and_the_log_says_so(store: Store) -> None:
    vector = np.arange(8, dtype=np.float16)
    with store.write() as session:
        one, two = tickets.save(session, [draft(1), draft(2)], seen_at=START).new
        tickets.save_vectors(session, MODEL, [(one, "h1", vector), (two, "h2", vector)])
        tickets.save_vectors(session, MODEL, [(two, "", None)])
    with store.read() as session:
        assert list(tickets.vectors_of(session, MODEL, [one, two])) == [one]
        assert set(tickets.cached_vectors(session, MODEL, ["h1", "h2"])) == {"h1"}
        log = tickets.searchable_after(session, MODEL, 0, limit=99, body_chars=9)
    assert [(row.ticket_id, row.vector is None) for row in log] == [(one, False), (two, True), (two, True)]


def test_every_write_of_a_ticket_is_seen_once_by_who_reads_on_from_the_last_place(store: Store) -> None:
    with store.write() as session:
        ids = tickets.save(session, [draft(n) for n in range(5)], seen_at=START).new
    place, seen = (0, ""), []
    for _ in range(6):
        with store.read() as session:
            rows = tickets.facets_after(session, place, limit=2)
        seen += [row.id for row in rows]
        place = (rows[-1].revision, rows[-1].id) if rows else place
    assert sorted(seen) == sorted(ids)
    with store.write() as session:
        tickets.save(session, [draft(3, status=Status.SOLVED)], seen_at=START)
        tickets.delete(session, "desk", ["T-0001"])
    with store.read() as session:
        changed = tickets.facets_after(session, place, limit=9)
    assert {(row.id, row.status) for row in changed} == {(ids[3], "solved"), (ids[1], "deleted")}


def test_merges_duplicates_and_problem_records_tie_tickets_into_groups(store: Store) -> None:
    rows = [draft(1), draft(2, duplicate_of="T-0001"), draft(3, duplicate_of="T-0002"),
            draft(4, problem="P-7"), draft(5, problem="P-7"), draft(6), draft(1, source="other")]  # fmt: skip
    with store.write() as session:
        ids = tickets.save(session, rows, seen_at=START).new
    with store.read() as session:
        found = tickets.links(session)
    groups: dict[str, set[str]] = {}
    for link in found:
        groups.setdefault(link.group, set()).add(link.id)
    assert sorted(map(sorted, groups.values())) == sorted([sorted(ids[:3]), sorted(ids[3:5])])


# --- topics and sightings ---------------------------------------------------------------------------


def sighting(ticket: str, topic: str, hours: int = 0) -> Sighting:
    return Sighting(ticket, topic, START + hours * HOUR, f"customer of {ticket}")


def test_a_topic_is_kept_once_and_as_it_was_first_seen(store: Store) -> None:
    first = topics.topic(TopicKind.SIGNATURE, "e1", "E1", START)
    with store.write() as session:
        topics.ensure(session, [first])
        topics.ensure(session, [replace(first, label="another", first_at=START + HOUR)])
        assert topics.every(session) == [first]
        topics.relabel(session, first.id, "E 1")
        assert topics.by_ids(session, [first.id, "top_none"])[first.id].label == "E 1"


def test_sightings_written_twice_count_once(store: Store) -> None:
    rows = [sighting("t1", "a"), sighting("t1", "b"), sighting("t2", "a", 1)]
    with store.write() as session:
        for _ in range(2):
            topics.replace_sightings(session, ["t1", "t2"], rows)
            topics.add_sightings(session, rows)
        assert len(topics.rows_of(session, None, since=EPOCH)) == 3
        assert topics.active(session, START) == 2
        assert topics.shown_by(session, ["t1", "t2"]) == {"a": ["t1", "t2"], "b": ["t1"]}


def test_replacing_drops_what_a_ticket_shows_no_more_and_leaves_the_others(store: Store) -> None:
    with store.write() as session:
        topics.add_sightings(session, [sighting("t1", "a"), sighting("t2", "a")])
        topics.replace_sightings(session, ["t1"], [sighting("t1", "b")])
        topics.forget(session, "a", ["t1"])
        rows = topics.rows_of(session, None, since=EPOCH)
    assert {(topic, ticket) for topic, _, ticket, _, _ in rows} == {("b", "t1"), ("a", "t2")}


def test_the_sightings_of_a_merged_topic_become_its_heirs(store: Store) -> None:
    with store.write() as session:
        topics.add_sightings(session, [sighting("t1", "a"), sighting("t2", "b")])
        topics.merge(session, "b", "a")
        assert {row[2] for row in topics.rows_of(session, ["a"], since=EPOCH)} == {"t1", "t2"}
        assert topics.rows_of(session, ["b"], since=EPOCH) == []


def test_the_topics_of_a_kind_are_told_by_ticket(store: Store) -> None:
    code = topics.topic(TopicKind.SIGNATURE, "e1", "E1", START)
    desk = topics.topic(TopicKind.DESK, "desk", "Desk", START)
    with store.write() as session:
        topics.ensure(session, [code, desk])
        topics.add_sightings(session, [sighting("t1", code.id), sighting("t1", desk.id)])
        assert topics.of_tickets(session, ["t1"], TopicKind.SIGNATURE) == {"t1": [code]}


# --- patterns ---------------------------------------------------------------------------------------


def test_a_recount_brings_a_pattern_up_to_its_members(store: Store) -> None:
    one, two, three = saved(store, 1, 2, 3)
    made = pattern(9)
    with store.write() as session:
        patterns.create(session, made)
        tickets.set_pattern(session, [one, two, three], made.id)
        patterns.recount(session, {made.id: 2})
        found = patterns.resolve(session, made.id)
    assert (found.tickets, found.customers, found.version) == (3, 3, 3)
    assert (found.first_at, found.last_at) == (START + HOUR, START + 3 * HOUR)


def test_a_merged_pattern_redirects_through_every_later_merge(store: Store) -> None:
    one, two = saved(store, 1, 2)
    a, b, c = (pattern(n) for n in (1, 2, 3))
    with store.write() as session:
        for made, members in ((a, [one]), (b, [two]), (c, [])):
            patterns.create(session, made)
            tickets.set_pattern(session, members, made.id)
        assert patterns.merge(session, a.id, b.id) == (one,)
        assert patterns.merge(session, b.id, c.id) == (one, two)
    with store.read() as session:
        assert patterns.heir(session, a.id) == patterns.heir(session, b.id) == c.id
        assert patterns.resolve(session, a.id).state is PatternState.MERGED
        assert patterns.resolve(session, a.id).merged_into == c.id
        assert patterns.resolve(session, c.id).tickets == 2
        assert [p.id for p in patterns.search(session, {}).items] == [c.id]
        assert {p.id for p in patterns.search(session, {"state": "merged"}).items} == {a.id, b.id}


def test_every_change_of_a_pattern_moves_its_version_on(store: Store) -> None:
    made = pattern(1)
    with store.write() as session:
        patterns.create(session, made)
        changed = patterns.change(session, made.id, name="By hand", phrases=("x", "y"))
    assert (changed.version, changed.name, changed.phrases) == (2, "By hand", ("x", "y"))
    with store.read() as session:
        assert patterns.by_ids(session, [made.id]) == {made.id: changed}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"min_customers": "2"}, [1]),
        ({"text": "pattern 2"}, [2]),
        ({"product": "Reports"}, [1]),
        ({}, [2, 1]),
    ],
)
def test_patterns_are_found_by_filter_the_newest_first(
    store: Store, filters: dict[str, str], found: list[int]
) -> None:
    with store.write() as session:
        for n in (1, 2):
            patterns.create(session, pattern(n))
        rows = [draft(1, attributes={"product": "Reports"}), draft(2), draft(5, attributes={"product": "Q"})]
        ids = tickets.save(session, rows, seen_at=START).new
        tickets.set_pattern(session, ids[:2], pattern(1).id)
        tickets.set_pattern(session, ids[2:], pattern(2).id)
        patterns.recount(session, {pattern(1).id: 1, pattern(2).id: 1})
    with store.read() as session:
        assert [p.id for p in patterns.search(session, filters).items] == [pattern(n).id for n in found]


def test_every_placement_is_kept_and_the_newest_is_in_force(store: Store) -> None:
    first = Placement("t1", "p1", START, "founded", 0.5, None, 0.0, "v1")
    later = Placement("t1", None, START, "none", 0.1, "p1", 0.05, "v2")
    with store.write() as session:
        patterns.place(session, [first])
        patterns.place(session, [later])
        patterns.place(session, [])
        assert patterns.placements(session, ["t1", "t2"]) == {"t1": later}
        assert patterns.placement_history(session, "t1") == [first, later]


def test_edits_are_kept_in_order_and_protect_their_patterns(store: Store) -> None:
    with store.write() as session:
        patterns.create(session, pattern(1))
        for n in (1, 2):
            patterns.save_edit(session, id_=f"edt_{n}", kind="rename", patterns=[pattern(1).id], tickets=[],
                               actor="Ann", at=START, value=f"Name {n}", undoes="edt_1" if n == 2 else "")  # fmt: skip
        found = patterns.edits(session)
        assert [(e.id, e.value, e.undoes) for e in found] == [
            ("edt_1", "Name 1", ""),
            ("edt_2", "Name 2", "edt_1"),
        ]
        patterns.touch(session, [pattern(1).id])
        patterns.save_sums(session, patterns.sums(session))
        (sums,) = patterns.sums(session)
        assert sums.touched


# --- alerts, events, releases -----------------------------------------------------------------------


def test_the_database_itself_refuses_a_second_open_alert_of_a_topic_and_rule(store: Store) -> None:
    opened(store, alert(1), alert(1, "E-2"), alert(1, rule="slow", id="alt_slow"))
    with pytest.raises(Exception, match=r"(?i)unique|alert_open"):
        opened(store, alert(2))
    with store.write() as session:
        alerts.change(session, alert(1).id, resolved_at=START + HOUR)
    opened(store, alert(2))
    with store.read() as session:
        assert len(alerts.unresolved(session, [alert(1).topic.id])) == 2
        assert len(alerts.of_topics(session, [alert(1).topic.id])) == 3


def test_an_alert_comes_back_as_it_was_opened(store: Store) -> None:
    made = alert(
        1, finding={"expected": 0.25, "notes": {"zone": "UTC"}}, ticket_ids=("t1", "t2"), pattern_id="p"
    )
    opened(store, made)
    with store.read() as session:
        assert alerts.get(session, made.id) == made
        assert alerts.of_patterns(session, ["p"]) == {"p": [made]}
        assert alerts.opened_since(session, START, tier=Tier.ALERT) == 1
        assert alerts.opened_since(session, made.opened_at, tier=Tier.ALERT) == 0
        assert alerts.evidence_since(session, START, rule="scan") == {"t1", "t2"}


@pytest.mark.parametrize(
    ("state", "count"), [("open", 3), ("acknowledged", 1), ("snoozed", 1), ("resolved", 1)]
)
def test_alerts_are_found_by_state(store: Store, state: str, count: int) -> None:
    opened(
        store, alert(1, "a"), alert(2, "b", acknowledged_at=START), alert(3, "c", snoozed_until=START),
        alert(4, "d", resolved_at=START),
    )  # fmt: skip
    with store.read() as session:
        assert len(alerts.search(session, {"state": state}).items) == count


def test_events_of_one_subject_are_numbered_from_one(store: Store) -> None:
    with store.write() as session:
        written = [events.write(session, "pattern.changed", s, {"n": 1}, at=START) for s in ("a", "b", "a")]
    assert [e.sequence for e in written] == [1, 1, 2]
    with store.read() as session:
        assert events.after(session, 0, limit=9) == written
        assert events.after(session, written[0].seq, limit=1) == [written[1]]
        assert events.after(session, 0, limit=9, since=START + HOUR) == []
        assert events.of(session, ["a"]) == [written[2], written[0]]
        assert events.by_id(session, written[1].id) == written[1]
        assert events.seq_of(session, written[1].id) == written[1].seq
        assert events.last_seq(session) == written[2].seq
        with pytest.raises(Invalid, match="evt_none"):
            events.seq_of(session, "evt_none")


def test_a_release_recorded_twice_is_one(store: Store) -> None:
    made = Release("rel_1", START, Kind.RELEASE, "4.2", "Reports", "4.2")
    with store.write() as session:
        releases.save(session, [made])
        releases.save(session, [replace(made, title="again")])
        assert releases.get(session, "rel_1") == made
        assert releases.between(session, START - HOUR, START) == [made]
        assert releases.between(session, START, START + HOUR) == []
        assert releases.search(session, {"product": "Reports"}).items == (made,)
        assert releases.search(session, {"product": "Other"}).items == ()


# --- keys, idempotency, sources, notes --------------------------------------------------------------


def test_a_key_is_found_by_its_secret_until_it_is_revoked(store: Store) -> None:
    with store.write() as session:
        assert not keys.any_active(session)
        made = keys.add(session, "fsk_secret", name="Ann", scopes=["read", "write"], at=START)
        assert keys.find(session, "fsk_secret") == made
        assert keys.find(session, "fsk_other") is None
        keys.sign_in(session, "token", made, csrf="c", at=START, until=START + HOUR)
        assert keys.web_session(session, "token", at=START) is not None
        assert keys.web_session(session, "token", at=START + HOUR) is None
        keys.revoke(session, made.id, at=START)
        assert keys.find(session, "fsk_secret") is None
        assert keys.web_session(session, "token", at=START) is None
        assert [k.revoked_at for k in keys.every(session)] == [START]


def test_an_idempotency_key_stands_for_its_first_request_for_a_day(store: Store) -> None:
    with store.write() as session:
        assert keys.begin_idempotent(session, "k", "hash", at=START) is None
        first = keys.begin_idempotent(session, "k", "hash", at=START)
        assert first == keys.Answered("hash", None, "")
        keys.end_idempotent(session, "k", status=202, answer="{}")
    with store.write() as session:
        answered = keys.begin_idempotent(session, "k", "other", at=START + 23 * HOUR)
        assert answered == keys.Answered("hash", 202, "{}")
        assert keys.begin_idempotent(session, "k", "other", at=START + 24 * HOUR) is None
        keys.end_idempotent(session, "k", status=None, answer="")
        assert keys.begin_idempotent(session, "k", "third", at=START + 24 * HOUR) is None


def test_checkpoints_are_kept_by_source_and_stream(store: Store) -> None:
    with store.write() as session:
        assert sources.checkpoint(session, "desk") == Checkpoint("desk")
        sources.save_checkpoint(session, Checkpoint("desk", "tickets", {"after": 1}))
        sources.save_checkpoint(session, Checkpoint("desk", "tickets", {"after": 2}))
        sources.save_checkpoint(session, Checkpoint("desk", "users", {"page": "x"}))
        assert sources.checkpoint(session, "desk").state == {"after": 2}
        assert sources.checkpoint(session, "desk", "users").state == {"page": "x"}


def test_a_source_tells_how_it_is_doing(store: Store) -> None:
    with store.write() as session:
        sources.register(session, Source("desk", "push"))
        sources.register(session, Source("desk", "zendesk", {"a": 1}))
        sources.received(session, "desk", at=START, newest_at=START, notes=["slow"])
        sources.received(session, "desk", at=START + HOUR, newest_at=START - HOUR)
        sources.received(session, "nobody", at=START, newest_at=None)
        (health,) = sources.health(session)
        assert (health.kind, health.last_success_at, health.newest_at) == ("zendesk", START + HOUR, START)
        assert sources.change(session, "desk", paused=True).paused
        with pytest.raises(NotFound, match="nobody"):
            sources.change(session, "nobody", paused=True)


def test_a_note_is_the_last_one_left(store: Store) -> None:
    with store.write() as session:
        assert sources.note(session, "n") == {}
        sources.save_note(session, "n", {"a": [1, {"b": None}]})
        sources.save_note(session, "n", {"a": 2})
        assert sources.note(session, "n") == {"a": 2}


def test_counts_of_lines_and_terms_are_overwritten(store: Store) -> None:
    with store.write() as session:
        sources.save_boilerplate(session, {("acme", "l1"): (1, START), ("", ""): (9, START)})
        sources.save_boilerplate(session, {("acme", "l1"): (2, START)})
        wanted = [("acme", "l1"), ("acme", "l2"), ("", "")]
        assert sources.boilerplate(session, wanted) == {("acme", "l1"): (2, START), ("", ""): (9, START)}
        sources.save_terms(session, [("w", 1, 1), ("w", 2, 1)])
        sources.save_terms(session, [("w", 1, 5)])
        assert sorted(sources.terms(session)) == [("w", 1, 5), ("w", 2, 1)]


def test_what_people_said_of_an_answer_is_their_last_word(store: Store) -> None:
    with store.write() as session:
        assert feedback.query(session, "q") is None
        feedback.keep_query(session, "q", at=START, ticket_id=None, answer=[{"ticket": "t1"}])
        feedback.keep_query(session, "q", at=START, ticket_id=None, answer=[{"ticket": "t2"}])
        assert feedback.query(session, "q") == [{"ticket": "t1"}]
        feedback.keep(session, "q", "t1", verdict="right", at=START, actor="Ann")
        feedback.keep(session, "q", "t1", verdict="wrong", at=START, actor="Ben")


# --- paging -----------------------------------------------------------------------------------------


def test_pages_show_every_ticket_once_though_new_ones_arrive_between(store: Store) -> None:
    saved(store, *range(10, 20))
    seen: list[str] = []
    cursor = None
    while True:
        with store.read() as session:
            page = tickets.search(session, {"source": "desk"}, cursor=cursor, limit=3)
        seen += [t.external_id for t in page.items]
        saved(store, 30 + len(seen))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"T-{n:04}" for n in range(19, 9, -1)]


def test_tickets_of_one_instant_are_neither_lost_nor_repeated_at_a_page_break(store: Store) -> None:
    with store.write() as session:
        tickets.save(session, [draft(n, created_at=START) for n in range(7)], seen_at=START)
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        with store.read() as session:
            page = tickets.search(session, {}, cursor=cursor, limit=2)
        seen += [t.id for t in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)


def test_a_cursor_is_refused_with_another_filter_than_its_own(store: Store) -> None:
    saved(store, 1, 2, 3)
    with store.read() as session:
        cursor = tickets.search(session, {"source": "desk"}, limit=1).next_cursor
        with pytest.raises(Invalid, match="another filter"):
            tickets.search(session, {}, cursor=cursor, limit=1)


def test_the_store_speaks_aware_times_only(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)aware|naive|timezone"), store.write() as session:
        tickets.save(session, [draft(1)], seen_at=datetime(2026, 1, 1))  # noqa: DTZ001
