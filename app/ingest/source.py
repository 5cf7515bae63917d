"""What every ticketing tool's source is made of: its options, its surroundings, its passes, its answers."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar

import httpx
from pydantic import ConfigDict, TypeAdapter, ValidationError

from app.domain import Checkpoint, RawTicket, Source, Status, StatusChange
from app.errors import Invalid, TryLater
from app.ports import Now, Page

State = dict[str, Any]
Record = Mapping[str, Any]
STATE_VERSION = 1
EPOCH_FORM = re.compile(r"\d{9,13}")
MISSING_MIN = 20  # fewer missing tickets than this are never called a lost permission


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every source can be told; each source adds its own and may change the defaults."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    base_url: str = ""
    start_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)  # nothing older is read
    page_size: int = 100
    lookback_s: float = 300  # how late a change may become visible and still be met by the next poll
    sweep_every_s: float = 86_400  # how often the last `sweep_back_s` are read again
    sweep_back_s: float = 129_600
    calls_per_minute: int = 100
    detail_calls_per_minute: int = 60  # for messages and resolutions: apart from the walk
    timeout_s: float = 30
    field_map: Mapping[str, str] = field(default_factory=dict)  # our name: path in the vendor's record
    status_map: Mapping[str, str] = field(default_factory=dict)  # the vendor's value: our status
    escalated_tags: tuple[str, ...] = ()  # a ticket with one of these is escalated
    ai_tags: tuple[str, ...] = ()  # a ticket with one of these was handled by an AI agent


OptionsT = TypeVar("OptionsT", bound=Options)


def nothing_known() -> Iterable[str]:
    """Used where no tickets are stored yet, as by `check`."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a source needs from outside itself.

    `secret` turns the name of a secret into its value; `known` lists the external ids that are stored
    and not deleted, for tools that leave no trace of a deletion.
    """

    now: Now
    secret: Callable[[str], str]
    sleep: Callable[[float], None] = time.sleep
    known: Callable[[], Iterable[str]] = nothing_known
    transport: httpx.BaseTransport | None = None
    jitter: Callable[[], float] = random.random  # spreads retries; 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a ticket's messages add to it; "" or empty means nothing was found, not that it was cleared."""

    external_id: str
    body: str = ""
    body_is_html: bool = False
    resolution: str = ""
    resolution_is_html: bool = False
    articles: tuple[str, ...] = ()
    duplicate_of: str = ""
    satisfaction: float | None = None  # 0 (bad) to 1 (good)
    reopened: bool | None = None
    history: tuple[StatusChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """What the tool says is left of its call limit, and for how long that must last."""

    remaining: int
    total: int
    resets_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One thing `check` looked at."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Checkup:
    """Whether a source works, in words, and the first tickets it would bring. Nothing is stored."""

    lines: tuple[Line, ...]
    tickets: tuple[RawTicket, ...] = ()

    @property
    def ok(self) -> bool:
        return all(line.ok for line in self.lines)


@dataclass(frozen=True, slots=True)
class Column:
    """One field an instance has; `path` is what `field_map` takes."""

    path: str
    label: str
    kind: str = ""
    choices: tuple[str, ...] = ()


class Connector(Protocol):
    """One ticketing tool. Every method may be repeated without harm; none touches the store."""

    def pull(self, after: Checkpoint) -> Page:
        """One page of what changed; pull again from its checkpoint while it says `more`."""
        ...

    def fetch(self, ids: Sequence[str]) -> Page:
        """These tickets as they are now, for hints from webhooks; its checkpoint is empty."""
        ...

    def details(self, ids: Sequence[str]) -> tuple[Details, ...]:
        """What the messages of these tickets add; costs calls, so it has its own lane."""
        ...

    def counted(self, start: datetime, end: datetime) -> int | None:
        """How many tickets created in [start, end) the tool itself counts; None when it does not say."""
        ...

    def quotas(self) -> Mapping[str, Quota]:
        """What the tool last said is left of its call limits, by lane."""
        ...

    def check(self) -> Checkup: ...
    def inspect(self) -> tuple[Column, ...]: ...
    def close(self) -> None:
        """Give back connections."""
        ...


def read_options(kind: type[OptionsT], source: Source) -> OptionsT:
    """The source's options, typed; Invalid names the first line to change."""
    try:
        return TypeAdapter(kind).validate_python(dict(source.options))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        option = ".".join(str(part) for part in first["loc"]) or "options"
        raise Invalid(
            f"source {source.name}: option {option}: {first['msg'].lower()}",
            pointer=f"sources.{source.name}.{option}",
        ) from None


def iso(at: datetime) -> str:
    """The one form of time in checkpoints."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant(given: Any, zone: Any = UTC) -> datetime | None:
    """A vendor's timestamp as aware UTC, None for what is none.

    In any offset form, without an offset in `zone`; or since the epoch, in seconds or milliseconds, as a
    number or in digits.
    """
    told = text(given)
    try:
        if EPOCH_FORM.fullmatch(told):
            return datetime.fromtimestamp(float(told) / (1000 if len(told) > 11 else 1), UTC)
        at = datetime.fromisoformat(told)
        return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def ident(record: Record, name: str = "id") -> str:
    """The id of a record that a tool hands out; TryLater when it has none, because no row may be skipped."""
    found = text(record.get(name))
    if not found:
        raise TryLater(f"the answer holds a record without {name}; trying again later", after_s=300)
    return found


def required(given: Any, what: str, *instead: Any) -> datetime:
    """A timestamp that must be there, because the walk depends on it; the first that can be read."""
    at = next(filter(None, map(instant, (given, *instead))), None)
    if at is None:
        raise Invalid(f"a ticket without a readable {what} cannot be placed in time")
    return at


# --- passes: one reading from a lower bound to the end -------------------------------------------


def begin(state: State, options: Options, now: datetime) -> State:
    """The position a pass starts from: `since`, and whether it is the regular wider one.

    A poll starts `lookback_s` before the moment the last pass began, by the server's clock: a change
    that becomes visible at most that late is met, and an idle poll re-reads next to nothing.
    """
    reached = instant(state.get("read_to"))
    since = options.start_at if reached is None else reached - timedelta(seconds=options.lookback_s)
    wide = sweep_due(state, options, now)
    if wide:
        since = min(since, now - timedelta(seconds=options.sweep_back_s))
    return {"since": iso(max(since, options.start_at)), "wide": wide}


def sweep_due(state: State, options: Options, now: datetime) -> bool:
    """Whether it is time to read the last `sweep_back_s` again."""
    swept = instant(state.get("sweep_at"))
    return swept is not None and (now - swept).total_seconds() >= options.sweep_every_s


def finish(state: State, position: State, *, begun: str) -> State:
    """The state after a complete pass that began at `begun` (ISO)."""
    swept = begun if position["wide"] or not state.get("sweep_at") else state["sweep_at"]
    return {"v": STATE_VERSION, "read_to": begun, "sweep_at": swept, "watermark": state.get("watermark")}


def opened(after: Checkpoint) -> State:
    """A deep copy of the checkpoint's state: a page that is never committed must change nothing.

    Invalid when a newer version wrote it.
    """
    state: State = deepcopy(dict(after.state))

    if state.setdefault("v", STATE_VERSION) != STATE_VERSION:
        raise Invalid(f"source {after.source}: the checkpoint was written by a newer version; upgrade again")
    return state


def seeded(source: str, stream: str, at: datetime) -> Checkpoint:
    """A checkpoint of a stream that begins at `at`, as if everything before had been read."""
    return Checkpoint(source, stream, {"v": STATE_VERSION, "read_to": iso(at), "sweep_at": iso(at)})


def reached(point: Checkpoint) -> datetime | None:
    """The newest change that was read."""
    return instant(point.state.get("watermark"))


def page(
    after: Checkpoint,
    state: State,
    *,
    more: bool,
    tickets: Sequence[RawTicket] = (),
    deleted: Sequence[str] = (),
    rated: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Page:
    """A page whose checkpoint holds `state`, the watermark moved to its newest ticket."""
    newest = max((iso(ticket.updated_at) for ticket in tickets if ticket.updated_at), default="")
    state = state | {"watermark": max(state.get("watermark") or "", newest) or None}
    checkpoint = Checkpoint(after.source, after.stream, state)
    return Page(
        tuple(tickets), checkpoint, more, deleted=tuple(deleted), rated=rated or {}, notes=tuple(notes)
    )


# --- records: reading a vendor's JSON -------------------------------------------------------------

OUTCOME_FIELDS = frozenset(
    {"resolution", "satisfaction", "escalated", "ai_handled", "duplicate_of", "problem"}
)


def text(value: Any) -> str:
    """A vendor's scalar as text; null is "", a list is joined, an object shows its name."""
    if value is None or value is False:
        return ""
    if value is True:
        return "true"
    if isinstance(value, list):
        return ", ".join(filter(None, (text(item) for item in value)))
    if isinstance(value, dict):
        return text(
            next((value[key] for key in ("display_value", "value", "name", "label") if key in value), None)
        )
    return str(value).strip()


def dig(record: Any, path: str) -> Any:
    """The value at a dotted path; a list of objects is entered by their `id`, else item by item."""
    value = record
    for step in path.split("."):
        if isinstance(value, list):
            by_id = [item for item in value if isinstance(item, dict) and str(item.get("id")) == step]
            value = (
                by_id[0].get("value")
                if by_id
                else [item.get(step) for item in value if isinstance(item, dict)]
            )
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def part(record: Record, name: str) -> Record:
    """The object under a name; an empty one for null or anything else."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def words_of(value: Any) -> tuple[str, ...]:
    """The words of a list; nothing for null or anything else."""
    return tuple(filter(None, map(text, value))) if isinstance(value, list) else ()


def rows_of(value: Any) -> Sequence[Record]:
    """The objects of a list; nothing for null or anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def mapped(record: Record, field_map: Mapping[str, str]) -> dict[str, str]:
    """What the operator's `field_map` finds in this record, without the empty ones."""
    found = {name: text(dig(record, path)) for name, path in field_map.items()}
    return {name: value for name, value in found.items() if value}


def outcomes(custom: Mapping[str, str], options: Options, tags: Sequence[str] = ()) -> dict[str, Any]:
    """What the operator's fields and tags say of how a ticket went, as RawTicket keywords."""
    found: dict[str, Any] = {}
    found |= {"escalated": True} if set(tags) & set(options.escalated_tags) else {}
    found |= {"ai_handled": True} if set(tags) & set(options.ai_tags) else {}
    for name in OUTCOME_FIELDS & custom.keys():
        value = custom[name]
        if name in ("escalated", "ai_handled"):
            found[name] = value.lower() not in ("0", "false", "no", "none")
        elif name == "satisfaction":
            found |= {} if (share := share_of(value)) is None else {name: share}
        else:
            found[name] = value
    return found


def share_of(rating: str) -> float | None:
    """A satisfaction rating as 0 to 1: "good"/"bad", or a number from 1 to 5."""
    words = {"good": 1.0, "bad": 0.0, "offered": None, "unoffered": None}
    if rating.lower() in words:
        return words[rating.lower()]
    try:
        number = float(rating)
    except ValueError:
        return None
    return min(1.0, max(0.0, (number - 1) / 4))


def attributes(custom: Mapping[str, str], **standard: Any) -> dict[str, str]:
    """The vendor's own fields as attributes, the operator's mapping winning, empty ones left out."""
    found = {name: text(value) for name, value in standard.items()}
    found |= {name: value for name, value in custom.items() if name not in OUTCOME_FIELDS}
    return {name: value for name, value in found.items() if value}


def lived(
    created_at: datetime | None,
    changes: Iterable[tuple[datetime | None, str, str]],
    means: Callable[[str], Status],
) -> tuple[StatusChange, ...]:
    """A ticket's status history, oldest first, from (time, status before, status after).

    It opens with the status before the first change, since `created_at`. Changes of one and the same moment
    are told in any order: each follows on the one that led to its status before. `means` reads the words.
    """
    left = sorted(((at, before, after) for at, before, after in changes if at and after), key=lambda c: c[0])
    entered: list[tuple[datetime, str]] = []
    while left:
        at, before, after = _next_of(left, entered[-1][1] if entered else "")
        left.remove((at, before, after))
        entered += [(created_at, before)] if not entered and created_at and before else []
        entered += [(at, after)] if not entered or entered[-1][1] != after else []
    return tuple(StatusChange(at, means(told), told) for at, told in entered)


def _next_of(changes: Sequence[tuple[datetime, str, str]], last: str) -> tuple[datetime, str, str]:
    """Of the changes of the first moment the one that comes after status `last`, or that none leads to."""
    ties = [change for change in changes if change[0] == changes[0][0]]
    led_to = {after for _, _, after in ties}
    follows = (change for change in ties if last and change[1] == last)
    opens = (change for change in ties if change[1] not in led_to)
    return next(follows, next(opens, ties[0]))


def chunks(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


# --- deletions that leave no trace ----------------------------------------------------------------


def vanished(
    known: Iterable[str], listed: frozenset[str], suspects: Iterable[str]
) -> tuple[list[str], list[str], str]:
    """Which stored ids are missing for the second time running, which for the first, and a warning.

    When most of what is stored seems gone, a permission was lost rather than the tickets: nothing is
    reported missing.
    """
    held = list(known)
    before = set(suspects)
    missing = [ticket_id for ticket_id in held if ticket_id not in listed]
    if len(missing) * 2 > len(held) and len(missing) > MISSING_MIN:
        return (
            [],
            [],
            f"{len(missing)} of {len(held)} tickets are no longer visible: check this account's permissions",
        )
    return (
        [ticket_id for ticket_id in missing if ticket_id in before],
        [ticket_id for ticket_id in missing if ticket_id not in before],
        "",
    )
