"""Into the store: what a source, a file or a push says, cleaned and redacted before anything is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.domain import Checkpoint, RawTicket, Source, Status, TicketDraft
from app.errors import Invalid
from app.ingest import boilerplate, normalise
from app.ingest.boilerplate import Boilerplate, LineCount, ScopeCount
from app.runtime import Runtime
from app.store import histories, messages, sources, tickets

FUTURE = timedelta(days=1)  # clocks differ; a ticket from further ahead is a mistake


def check(raw: RawTicket, now: datetime) -> None:
    """Raise Invalid for what no ticket may be."""
    if raw.created_at > now + FUTURE:
        raise Invalid(f"created_at {raw.created_at:%Y-%m-%d %H:%M} is in the future", pointer="/created_at")
    if not (raw.subject.strip() or raw.body.strip()):
        raise Invalid("a ticket needs a subject or a body", pointer="/subject")


def accept(
    runtime: Runtime,
    raws: Sequence[RawTicket],
    *,
    source_kind: str,
    backfill: bool = False,
    live_from: datetime | None = None,
    checkpoint: Checkpoint | None = None,
    deleted: Sequence[str] = (),
    deleted_from: str = "",
    rated: Mapping[str, float] | None = None,
    enrich: bool = False,
    notes: Sequence[str] = (),
    at: datetime | None = None,
) -> dict[str, dict[str, str]]:
    """Store tickets and how far their source was read, together; say of each external id what became of it.

    Cleaning happens before the transaction; a ticket whose raw content is known is not cleaned again.
    History, which raises nothing, is all (`backfill`) or what was created before `live_from`. `deleted` are
    ids of the checkpoint's source, or of `deleted_from`. With `enrich` messages are read later where they
    could tell more. `rated` are ratings told apart from the checkpoint's tickets.
    """
    at = at or runtime.now()
    key, keep_names = runtime.key, runtime.settings.keep_account_names
    hashes = {r.external_id: normalise.content_hash(r, key=key) for r in raws}
    with runtime.store.read() as session:
        stored = {s: tickets.known(session, s, _ids(raws, s)) for s in sorted({r.source for r in raws})}
    outcome: dict[str, dict[str, str]] = {}
    fresh: list[TicketDraft] = []
    for raw in raws:
        before = stored[raw.source].get(raw.external_id)
        if before is not None and before.content_hash == hashes[raw.external_id]:
            outcome[raw.external_id] = {"status": "duplicate", "id": before.id}
        else:
            is_old = backfill or (live_from is not None and raw.created_at < live_from)
            fresh.append(normalise.tidied(raw, key=key, keep_account_names=keep_names, backfill=is_old))
    gone_from = checkpoint.source if checkpoint else deleted_from
    with runtime.store.write() as session:
        for name in sorted({r.source for r in raws} | ({checkpoint.source} if checkpoint else set())):
            sources.register(session, Source(name, source_kind))
            newest = max((r.created_at for r in raws if r.source == name), default=None)
            changed_at = max((r.updated_at for r in raws if r.source == name and r.updated_at), default=None)
            sources.received(session, name, at=at, newest_at=newest, read_to=changed_at, notes=notes)
        drafts = _without_boilerplate(session, fresh, stored)
        drafts = _with_messages(session, drafts) if enrich else drafts
        done = tickets.save(session, drafts, seen_at=at)
        if rated and checkpoint is not None:
            messages.rate(session, checkpoint.source, rated, at=at)
        if deleted:
            histories.forget(session, tickets.delete(session, gone_from, deleted))
            messages.forget(session, gone_from, deleted)
        if checkpoint is not None:
            sources.save_checkpoint(session, checkpoint)
        ids = {s: tickets.known(session, s, [d.external_id for d in fresh if d.source == s]) for s in stored}
        new, changed = set(done.new), set(done.changed)
        # an erased ticket is not taken again, nor is what was said in it
        taken = {i: d for d in drafts if (i := ids[d.source][d.external_id].id) in new | changed}
        _keep_histories(session, raws, taken)
        if enrich:
            _want_messages(session, list(taken.values()), at)
    for draft in fresh:
        id_ = ids[draft.source][draft.external_id].id
        word = "accepted" if id_ in new else "updated" if id_ in changed else "duplicate"
        outcome[draft.external_id] = {"status": word, "id": id_}
    return outcome


def _with_messages(session: Session, drafts: Sequence[TicketDraft]) -> list[TicketDraft]:
    """The drafts with what their messages told before."""
    found = {
        s: messages.found(session, s, [d.external_id for d in drafts if d.source == s])
        for s in sorted({d.source for d in drafts})
    }
    return [enriched(d, found[d.source].get(d.external_id, {})) for d in drafts]


def _keep_histories(session: Session, raws: Sequence[RawTicket], taken: Mapping[str, TicketDraft]) -> None:
    """Keep the status histories that came with tickets, by our ids; of a deleted one none is kept."""
    told = {(r.source, r.external_id): normalise.history(r.history) for r in raws if r.history}
    alive = {id_: (d.source, d.external_id) for id_, d in taken.items() if d.status is not Status.DELETED}
    histories.save(session, {id_: told[key] for id_, key in alive.items() if key in told})
    histories.forget(session, [id_ for id_ in taken if id_ not in alive])


def _want_messages(session: Session, drafts: Sequence[TicketDraft], at: datetime) -> None:
    """Have messages read where they could tell what the ticket does not, or did so before; of a deleted one none are kept."""
    for source in sorted({d.source for d in drafts}):
        mine = [d for d in drafts if d.source == source]
        alive = [d for d in mine if d.status is not Status.DELETED]
        read = messages.found(session, source, [d.external_id for d in alive])
        lacking = {
            d.external_id: d.created_at
            for d in alive
            if not d.body or d.status.is_done or d.external_id in read
        }
        messages.want(session, source, lacking, due_at=at)
        messages.forget(session, source, [d.external_id for d in mine if d.status is Status.DELETED])


def enriched(draft: TicketDraft, found: Mapping[str, Any]) -> TicketDraft:
    """The ticket with what its messages told where it says nothing itself; how it ended, only once it has."""
    told: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if not getattr(draft, name) and (draft.status.is_done or name not in messages.OUTCOME)
    }
    return replace(draft, **told) if told else draft


def _ids(raws: Sequence[RawTicket], source: str) -> list[str]:
    return [r.external_id for r in raws if r.source == source]


def _without_boilerplate(
    session: Session, drafts: Sequence[TicketDraft], stored: dict[str, dict[str, Any]]
) -> list[TicketDraft]:
    """The drafts without learned footers and labels; each new ticket's lines are counted, in order."""
    keys = boilerplate.needed((d.body, d.account) for d in drafts)
    rows = sources.boilerplate(session, [*keys.lines, *((scope, "") for scope in keys.scopes)])
    known = Boilerplate.of(
        [LineCount(s, line, n, first) for (s, line), (n, first) in rows.items() if line],
        [ScopeCount(s, n) for (s, line), (n, _) in rows.items() if not line],
    )
    cleaned = [
        _stripped(d, known) if d.external_id in stored[d.source] else normalise.without_boilerplate(d, known)
        for d in drafts
    ]
    changes = known.changed()
    first = min((d.created_at for d in drafts), default=None)
    counts = {(c.scope, c.line_hash): (c.tickets, c.first_at) for c in changes.lines}
    counts |= {(c.scope, ""): (c.tickets, first) for c in changes.scopes if first}
    sources.save_boilerplate(session, counts)
    return cleaned


def _stripped(draft: TicketDraft, known: Boilerplate) -> TicketDraft:
    """An edited ticket is cleaned by what is known, and not counted again."""
    return replace(draft, body=known.strip(draft.body, draft.account, draft.created_at))
