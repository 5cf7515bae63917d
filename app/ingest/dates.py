"""Reads the times of exported tickets: ISO 8601, epoch seconds or milliseconds, RFC 2822, written forms."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

_WRITTEN = (
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%d-%b-%Y %H:%M:%S", "%d-%b-%Y %H:%M", "%d-%b-%Y",
    "%b %d, %Y %H:%M:%S", "%b %d, %Y %I:%M %p", "%b %d, %Y",
)  # fmt: skip
_EPOCH = re.compile(r"[0-9]{9,14}(?:\.[0-9]{1,9})?")
_SLASHED = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "")
_MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138
_SLACK = timedelta(days=1)  # clocks and time zones of a source may be off by this


def parse(value: Any, *, now: datetime, naive_tz: tzinfo = UTC, day_first: bool = False) -> datetime:
    """The UTC time that `value` says. Raises ValueError with the reason when it says none, or one to come.

    `naive_tz` is where times without an offset were written; `day_first` reads 03/04/2026 as 3 April.
    """
    at = _epoch(value) or _text(str(value).strip(), day_first=day_first)
    if at is None:
        raise ValueError(f"{str(value)[:40]!r} is not a date")
    if at.tzinfo is None:
        at = at.replace(tzinfo=naive_tz)
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{str(value)[:40]!r} is outside the calendar") from None
    if at > now + _SLACK:
        raise ValueError(f"{at:%Y-%m-%d %H:%M} UTC is in the future")
    return at


def _epoch(value: Any) -> datetime | None:
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if not isinstance(value, int | float) and not _EPOCH.fullmatch(text):
        return None
    seconds = float(text)
    if seconds >= _MILLISECONDS_FROM:
        seconds /= 1000
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _text(text: str, *, day_first: bool) -> datetime | None:
    if len(text) < 8 or not any(map(str.isdigit, text)):
        return None
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC").replace(" +", "+"))
    except ValueError:
        pass
    for form in (*_slashed(text, day_first=day_first), *_WRITTEN):
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the caller's zone is applied after
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None


def _slashed(text: str, *, day_first: bool) -> tuple[str, ...]:
    """Forms of 3/4/2026; a first number above 12 can only be a day."""
    first, slash, _ = text.partition("/")
    if not slash or not first.isdigit() or len(first) > 2:
        return ()
    day = "%d/%m/%Y" if day_first or int(first) > 12 else "%m/%d/%Y"
    return tuple(f"{day} {time}".strip() for time in _SLASHED)
