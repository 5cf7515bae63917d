"""Erasure and retention: what a person said is nowhere any more, and what may stay can still be counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app import worker
from app.backtest import Clock
from app.domain import Status, StatusChange
from app.errors import Invalid, NotFound
from app.pipeline import erase, memory, similar
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.store import audit, patterns, tickets
from tests.fakes import raw

WORD = "zugzwang"  # what only one person says


@pytest.fixture
def desk(runtime: Runtime, clock: Clock) -> Runtime:
    """Six tickets about one export, one of them by somebody with a word of their own."""
    said = f"Export {WORD} fails with E-4031 on the {WORD} report"
    told = [raw(n, "Export fails with E-4031 on the report") for n in range(5)]
    history = (StatusChange(told[4].created_at, Status.OPEN, f"With {WORD}"),)
    told.append(raw(5, said, requester="Zoe.Private@example.com", account="a-5", history=history))
    clock.at += timedelta(hours=8)
    accept(runtime, told, source_kind="push")
    while digest(runtime):
        pass
    detect(runtime)
    return runtime


def everything(runtime: Runtime) -> Iterator[str]:
    """Every value of every table, as text."""
    with runtime.store.engine.connect() as connection:
        inspected = runtime.store.engine.dialect.get_table_names(connection)
        for name in inspected:
            for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"'):
                yield from (str(value) for value in row if value is not None)


def private(runtime: Runtime) -> str:
    with runtime.store.read() as session:
        (found,) = tickets.search(session, {"text": WORD}).items
    return found.id


def ask(runtime: Runtime) -> set[str]:
    text = f"Export {WORD} fails with E-4031 on the {WORD} report"
    runtime.settings = runtime.settings.model_copy(update={"similar_floor": 0.0})
    answer = similar.similar(runtime, text=text, filters={}, k=10, include=())
    return {item["ticket"] for item in answer["items"]}


def test_erasing_a_person_leaves_no_word_of_theirs_in_any_table(desk: Runtime) -> None:
    gone = private(desk)
    assert any(WORD in value for value in everything(desk))
    assert gone in ask(desk)
    assert erase.erase_requester(desk, "zoe.private@example.com", actor="mara") == 1
    assert not [value for value in everything(desk) if WORD in value.lower()]
    assert gone not in ask(desk), "the similar-case index has forgotten it too"
    with desk.store.read() as session:
        assert tickets.vectors_of(session, desk.embedder.model_id, [gone]) == {}
        assert tickets.get(session, gone).requester == ""


def test_an_erased_ticket_is_not_taken_again(desk: Runtime) -> None:
    gone = private(desk)
    erase.erase_ticket(desk, gone, actor="mara")
    again = raw(5, f"Export {WORD} again", requester="Zoe.Private@example.com", account="a-5")
    outcome = accept(desk, [again], source_kind="push")
    assert outcome["T-0005"]["status"] == "duplicate"
    assert not [value for value in everything(desk) if WORD in value.lower()]


def test_the_pattern_goes_on_with_the_others_and_its_counts_follow(desk: Runtime) -> None:
    gone = private(desk)
    with desk.store.read() as session:
        home = tickets.get(session, gone).pattern_id
        assert home is not None
        before = patterns.resolve(session, home)
    erase.erase_ticket(desk, gone, actor="mara")
    with desk.store.read() as session:
        after = patterns.resolve(session, home)
        (sums,) = [s for s in patterns.sums(session) if s.id == home]
    assert (after.tickets, after.customers) == (before.tickets - 1, before.customers - 1)
    assert sums.vector_count == after.tickets, "the engine's sums have let go of its vector"
    held = memory.of(desk)
    assert held.grouping.pattern_of(gone) is None


def test_a_pattern_named_by_an_erased_ticket_is_named_anew_in_alerts_and_events_too(desk: Runtime) -> None:
    gone = private(desk)
    with desk.store.write() as session:
        home = tickets.get(session, gone).pattern_id
        assert home is not None
        patterns.change(session, home, name=f"Export {WORD} fails", phrases=(f"{WORD} report", "export"))
    erase.erase_ticket(desk, gone, actor="mara")
    with desk.store.read() as session:
        named = patterns.resolve(session, home)
    assert WORD not in named.name
    assert named.phrases == ("export",) or WORD not in " ".join(named.phrases)
    assert not [value for value in everything(desk) if WORD in value.lower()]


def test_erasing_survives_a_restart_of_the_engine(desk: Runtime) -> None:
    erase.erase_ticket(desk, private(desk), actor="mara")
    desk.memory = None
    accept(desk, [raw(9, "Export fails with E-4031 on the report")], source_kind="push")
    assert digest(desk) == 1


def test_who_filed_nothing_and_what_does_not_exist_is_said(desk: Runtime) -> None:
    with pytest.raises(NotFound, match="no ticket is by that person"):
        erase.erase_requester(desk, "nobody@example.com", actor="mara")
    with pytest.raises(Invalid):
        erase.erase_requester(desk, "  ", actor="mara")
    with pytest.raises(NotFound):
        erase.erase_ticket(desk, "tkt_nothing", actor="mara")


def test_erasure_over_http_is_audited_without_saying_who_it_was(desk: Runtime, api: TestClient) -> None:
    answer = api.post("/v1/erasures", json={"requester": "Zoe.Private@example.com"})
    assert answer.json() == {"tickets": 1}
    assert api.post("/v1/erasures", json={}).status_code == 422
    with desk.store.read() as session:
        (act,) = audit.search(session, {"type": "tickets."}).items
    assert (act.actor, act.data) == ("local", {"tickets": 1})
    assert not [value for value in everything(desk) if "zoe" in value.lower()]


# --- retention --------------------------------------------------------------------------------------


def test_what_is_older_than_its_retention_loses_text_and_vector_and_keeps_its_place(
    desk: Runtime, clock: Clock
) -> None:
    gone = private(desk)
    with desk.store.read() as session:
        home = tickets.get(session, gone).pattern_id
    desk.settings = desk.settings.model_copy(update={"retention_days": 200})
    clock.at += timedelta(days=199)
    worker.retire(desk)
    assert any(WORD in value for value in everything(desk)), "not a day too early"
    accept(desk, [raw(7, "A young ticket", at=clock.at)], source_kind="push")
    clock.at += timedelta(days=2)
    worker.retire(desk)
    with desk.store.read() as session:
        old = tickets.get(session, gone)
        assert (old.subject, old.body, old.requester, old.pattern_id) == ("", "", "", home)
        assert old.account, "the customer still counts"
        assert tickets.vectors_of(session, desk.embedder.model_id, [gone]) == {}
        assert [t.subject for t in tickets.search(session, {"text": "young"}).items] == ["A young ticket"]
        before = len(audit.search(session, {}).items)
    worker.retire(desk)
    with desk.store.read() as session:
        assert len(audit.search(session, {}).items) == before, "the second time there is nothing to do"


def test_without_retention_nothing_is_ever_erased(desk: Runtime, clock: Clock) -> None:
    clock.at += timedelta(days=4000)
    worker.retire(desk)
    assert any(WORD in value for value in everything(desk))


def test_the_engine_starts_again_over_expired_tickets(desk: Runtime, clock: Clock) -> None:
    desk.settings = desk.settings.model_copy(update={"retention_days": 190})
    clock.at += timedelta(days=191)
    worker.retire(desk)
    desk.memory = desk.cases = None
    accept(desk, [raw(8, "Export fails with E-4031 on the report", at=clock.at)], source_kind="push")
    assert digest(desk) == 1
