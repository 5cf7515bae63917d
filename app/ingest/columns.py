"""Says which column of an exported file is which field of a ticket, and turns rows into raw tickets."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping as Values
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from app.domain import ATTRIBUTES, RawTicket, Status, StatusChange
from app.errors import Invalid
from app.ingest import dates
from app.ingest.files import Rejected

USUAL_NAMES: Values[str, str] = {
    "external_id": (
        "id ticket_id external_id key issue_key number case_number ticket_number ticket_no "
        "incident_number case_id issue_id bug_id request_id incident_id sys_id"
    ),
    "created_at": (
        "created_at created created_on created_date createddate create_date createdate "
        "opened_at opened opened_date open_date date_created date_opened creation_date "
        "submitted_at reported_at received_at date time timestamp created_time sys_created_on"
    ),
    "updated_at": (
        "updated_at updated updated_on updated_date last_updated modified_at last_modified "
        "lastmodifieddate sys_updated_on systemmodstamp"
    ),
    "subject": "subject summary title short_description ticket_subject headline name",
    "body": (
        "body description text content message ticket_description details comment question "
        "utterance review problem_description initial_message first_message"
    ),
    "product": (
        "product product_name product_purchased service business_service application app "
        "project cmdb_ci brand"
    ),
    "component": "component components category module area feature issue_type ticket_type type topic",
    "version": "version product_version app_version release affects_version affected_version build",
    "platform": "platform os operating_system device environment",
    "browser": "browser user_agent",
    "requester": (
        "requester requester_id requester_email reporter reporter_id caller caller_id "
        "customer customer_id customer_email contact contact_id email from user user_id "
        "author submitter opened_by creator"
    ),
    "account": (
        "account account_id organisation organization organisation_id organization_id org "
        "company company_id tenant tenant_id client"
    ),
    "account_name": "account_name organisation_name organization_name company_name",
    "status": "status state ticket_status incident_state",
    "priority": "priority ticket_priority urgency",
    "severity": "severity impact",
    "channel": "channel ticket_channel source_type origin via contact_type",
    "resolution": (
        "resolution resolution_notes close_notes solution answer resolution_text closed_code close_code"
    ),
    "resolved_at": (
        "resolved_at resolved resolved_on resolved_date resolution_date resolutiondate "
        "solved_at closed_at closed closed_date closeddate close_date date_closed"
    ),
    "tags": "tags labels keywords tag",
    "duplicate_of": "duplicate_of merged_into duplicate dup_of",
    "problem": "problem problem_id parent_problem",
    "url": "url link permalink web_url",
    "plan": "plan subscription tier edition license",
    "region": "region country location data_center datacenter",
    "language": "language lang locale",
    "agent": "agent assignee assigned_to owner",
    "team": "team assignment_group queue support_group",
    "macro": "macro",
    "satisfaction": (
        "satisfaction csat customer_satisfaction_rating satisfaction_rating "
        "satisfaction_score rating csat_score"
    ),
    "escalated": "escalated is_escalated escalation",
    "ai_handled": "ai_handled handled_by_ai bot_handled ai_agent",
    "articles": "articles kb_articles article knowledge_base kb",
    "history": "history status_history",
    "reopened": "reopened is_reopened reopen_count reopens",
}
"""Field by field the column names taken for it, most telling first; compared as `word` writes them."""

FIELDS = tuple(USUAL_NAMES)
_IGNORED = frozenset({"group", "duplicate_marked_at", "requester_kind"})  # truth labels of research data
_STATUS_WORDS: Values[Status, str] = {
    Status.NEW: "new unconfirmed untriaged triage submitted reported todo to_do logged",
    Status.OPEN: "open opened confirmed assigned in_progress active reopened tracked accepted working"
    " acknowledged work_in_progress started investigating escalated patch_available in_review",
    Status.PENDING: "pending needinfo need_info on_hold hold waiting waiting_for_customer awaiting_user_info"
    " pending_customer_response awaiting_customer pending_customer blocked",
    Status.SOLVED: "solved resolved fixed done completed complete answered verified",
    Status.CLOSED: "closed cancelled canceled rejected wontfix wont_fix duplicate invalid archived declined",
    Status.DELETED: "deleted spam removed trashed",
}
_STATUS_BY_WORD = {word: status for status, words in _STATUS_WORDS.items() for word in words.split()}
_NO_RESOLUTION = frozenset({"none", "unresolved", "reopened", "in_progress", "open", "pending", "in", "tbd"})
_TRUE = frozenset({"true", "yes", "y", "t", "x", "escalated"})
_FALSE = frozenset({"false", "no", "n", "f", "none", "normal"})
_GOOD = frozenset({"good", "happy", "satisfied", "positive"})
_BAD = frozenset({"bad", "unhappy", "unsatisfied", "dissatisfied", "negative"})
_HTML_START = re.compile(r"(?i)\s*<(?:!doctype|html|body|div|p|table|span|br|meta|font)\b[^>]*>")
_HTML_TAGS = re.compile(r"(?i)</(?:p|div|span|td|a|b|strong|li)>|<br\s?/?>")
_MAX_ID_CHARS = 200


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which column holds each field; `unknown` columns are dropped unless `keep_unknown`."""

    columns: Values[str, str]  # field -> column
    unknown: tuple[str, ...] = ()
    keep_unknown: bool = False

    @classmethod
    def recognise(
        cls, columns: Sequence[str], explicit: Values[str, str] | None = None, *, keep_unknown: bool = False
    ) -> Mapping:
        """The mapping of `columns`, `explicit` (field -> column) first.

        Raises `Invalid` naming what was found when id, creation time or both texts are missing.
        """
        chosen = _checked(columns, explicit or {})
        by_word = {word(column): column for column in reversed(columns)}
        for name, usual in USUAL_NAMES.items():
            free = (by_word[alias] for alias in usual.split() if alias in by_word)
            column = next((column for column in free if column not in chosen.values()), None)
            if name not in chosen and column is not None:
                chosen[name] = column
        _require(chosen, columns)
        taken = set(chosen.values())
        unknown = tuple(column for column in columns if column not in taken and word(column) not in _IGNORED)
        return cls(chosen, unknown, keep_unknown)


def word(name: str) -> str:
    """`name` in lower case, words joined by underscores: "Ticket ID" and "ticketId" are "ticket_id"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\W_]+", "_", spaced).strip("_").lower()


def read_mapping(path: Path) -> dict[str, str]:
    """A mapping file, TOML or JSON: one `field = "column"` a line."""
    try:
        text = path.read_text("utf-8")
        values = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except OSError as error:
        raise Invalid(
            f"the mapping file {path} cannot be read: {error.strerror}", pointer="mapping"
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(
            f"the mapping file {path} is neither TOML nor JSON: {error}", pointer="mapping"
        ) from error
    if not all(isinstance(column, str) for column in values.values()):
        raise Invalid(
            f'the mapping file {path} must hold lines of the form field = "column"', pointer="mapping"
        )
    return values


def _checked(columns: Sequence[str], explicit: Values[str, str]) -> dict[str, str]:
    for name, column in explicit.items():
        if name not in FIELDS:
            raise Invalid(f"{name!r} is not a field; fields are {', '.join(FIELDS)}", pointer=name)
        if column not in columns:
            raise Invalid(f"there is no column {column!r} for {name}; found {_listed(columns)}", pointer=name)
    return dict(explicit)


def _require(chosen: Values[str, str], columns: Sequence[str]) -> None:
    missing = [name for name in ("external_id", "created_at") if name not in chosen]
    if "subject" not in chosen and "body" not in chosen:
        missing.append("subject or body")
    if missing:
        example = missing[0].split()[0]
        raise Invalid(
            f"no column for {', '.join(missing)}; found {_listed(columns)}. "
            f"Say which it is: --map {example}=COLUMN, or a line of a mapping file (--mapping FILE)",
            pointer=example,
        )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns[:40]) or "no columns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What else is needed to read a row: the source's name, the time now, and how dates are written."""

    source: str
    now: datetime
    naive_tz: tzinfo = UTC
    day_first: bool = False
    html: bool | None = None  # None: look at each body
    attributes: Values[str, str] = field(default_factory=dict)  # added to every ticket


def to_raw(
    values: Values[str, Any], mapping: Mapping, reading: Reading, *, line: int
) -> RawTicket | Rejected:
    """The ticket in one row, or why there is none."""
    cells = {name: values.get(column) for name, column in mapping.columns.items()}
    texts = {name: text_of(cell) for name, cell in cells.items()}
    try:
        return _ticket(cells, texts, _unknown(values, mapping), reading)
    except ValueError as error:
        return Rejected(line, str(error))


def _ticket(
    cells: Values[str, Any], texts: Values[str, str], unknown: Values[str, str], reading: Reading
) -> RawTicket:
    external_id = texts["external_id"]
    if not external_id:
        raise ValueError("no id")
    if len(external_id) > _MAX_ID_CHARS:
        raise ValueError(f"the id is {len(external_id)} characters long")
    body, subject = texts.get("body", ""), texts.get("subject", "")
    if not body and not subject:
        raise ValueError("neither subject nor body")
    created_at = _date(cells, "created_at", reading)
    if created_at is None:
        raise ValueError("no created_at")
    known = {name: texts[name] for name in ATTRIBUTES if texts.get(name)}
    return RawTicket(
        source=reading.source,
        external_id=external_id,
        created_at=created_at,
        updated_at=_date(cells, "updated_at", reading),
        subject=subject,
        body=body,
        body_is_html=looks_like_html(body) if reading.html is None else reading.html,
        url=texts.get("url", ""),
        requester=texts.get("requester", ""),
        account=texts.get("account", ""),
        account_name=texts.get("account_name", ""),
        attributes={**reading.attributes, **known, **unknown},
        tags=_list(cells.get("tags")),
        status=status_of(texts.get("status", "")),
        resolution=_resolution(texts.get("resolution", "")),
        resolved_at=_date(cells, "resolved_at", reading),
        articles=_list(cells.get("articles")),
        reopened=_flag(texts.get("reopened", "")),
        satisfaction=_satisfaction(texts.get("satisfaction", "")),
        escalated=_flag(texts.get("escalated", "")),
        ai_handled=_flag(texts.get("ai_handled", "")),
        duplicate_of=texts.get("duplicate_of", ""),
        problem=texts.get("problem", ""),
        history=_history(cells.get("history"), reading),
    )


def _unknown(values: Values[str, Any], mapping: Mapping) -> dict[str, str]:
    if not mapping.keep_unknown:
        return {}
    return {word(column): text for column in mapping.unknown if (text := text_of(values.get(column)))}


def text_of(cell: Any) -> str:
    """A cell as text: the usual words for nothing are "", lists are joined, an object gives its name."""
    if cell is None or cell == "":
        return ""
    if isinstance(cell, list | tuple):
        return "; ".join(filter(None, map(text_of, cell)))
    if isinstance(cell, dict):
        keys = (
            key for key in ("display_value", "displayName", "name", "value", "id", "email") if cell.get(key)
        )
        return text_of(cell.get(next(keys, "")))
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = str(cell).strip()
    return "" if text in ("null", "NULL", "NaN", "nan", "None", "N/A", "n/a") else text


def looks_like_html(text: str) -> bool:
    """Whether `text` is HTML mark-up rather than text that shows some."""
    head = text[:4000]
    return _HTML_START.match(head) is not None or ("```" not in head and len(_HTML_TAGS.findall(head)) >= 3)


def status_of(text: str) -> Status:
    """The status for a vendor's word; an unknown word is an open ticket."""
    return _STATUS_BY_WORD.get(word(re.sub(r"^\d+\s*-\s*", "", text)), Status.OPEN)


def _resolution(text: str) -> str:
    """What resolved the ticket: a note, or the bare outcome (FIXED); words for "not yet" are nothing."""
    return "" if word(text) in _NO_RESOLUTION else text


def _date(cells: Values[str, Any], name: str, reading: Reading) -> datetime | None:
    if not text_of(cells.get(name)):
        return None
    try:
        return dates.parse(
            cells[name], now=reading.now, naive_tz=reading.naive_tz, day_first=reading.day_first
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _history(cell: Any, reading: Reading) -> tuple[StatusChange, ...]:
    """Status changes: a list of objects with `at` and `status`, also as JSON text; nothing for other words."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError as error:
            raise ValueError(f"history: {error}") from error
    changes = []
    for entry in cell if isinstance(cell, list | tuple) else ():
        told = text_of(entry.get("status")) if isinstance(entry, dict) else ""
        at = _date(entry, "at", reading) if told else None
        if at is None:
            raise ValueError('history: each change needs "at" and "status"')
        changes.append(StatusChange(at, status_of(told), told))
    return tuple(changes)


def _list(cell: Any) -> tuple[str, ...]:
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError:
            cell = cell.strip("[] ").replace("'", "")
    parts = cell if isinstance(cell, list | tuple) else re.split(r"[,;|]", text_of(cell))
    return tuple(dict.fromkeys(text for part in parts if (text := text_of(part))))


def _flag(text: str) -> bool | None:
    lower = text.lower()
    if lower in _TRUE or lower in _FALSE:
        return lower in _TRUE
    return float(lower) > 0 if re.fullmatch(r"-?\d+(?:\.\d+)?", lower) else None


def _satisfaction(text: str) -> float | None:
    """0 to 1 from good/bad, a percentage, 4/5, a share, or a grade of 1 to 5."""
    lower = text.lower()
    if lower in _GOOD or lower in _BAD:
        return float(lower in _GOOD)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|/\s*(\d+))?", lower)
    if not match:
        return None
    grade = float(match[1])
    if match[2] == "%":
        share = grade / 100
    elif match[3]:
        share = grade / max(1.0, float(match[3]))
    else:
        share = grade if grade < 1 else (grade - 1) / 4
    return share if 0 <= share <= 1 else None
