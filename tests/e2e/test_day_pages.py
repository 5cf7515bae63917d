"""A lead's day on the pages as one story, by mouse and again by keyboard alone; the engine is real, the clock is moved.

She sees the alert, opens it, reads why, splits off two tickets that do not belong, merges a sibling in, renames
it, links the release it came with, takes the brief along, snoozes it until it gets worse, meets it again when it
does, records the fix, sees it recovered, and sees it come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol

import pypdf
import pytest

from app.backtest import Clock
from app.domain import EPOCH, Pattern, PatternState, RawTicket
from app.pipeline.detect import detect
from app.pipeline.digest import digest
from app.pipeline.intake import accept
from app.runtime import Runtime
from app.sample import generate
from app.store import patterns, releases
from tests.e2e._small_desk import END, EVERY, STORY
from tests.e2e.test_pages import address, browser, desk, open_alert, original, pattern_of

__all__ = ["address", "browser", "desk", "original"]  # fixtures
TABS = 250  # more stops than any page has: a control that is not among them cannot be reached
PATIENCE_MS = 60_000  # this is a story, not a race
NAME = "Boards stay blank after the update"


class World:
    """What goes on outside: everyday tickets as in the weeks before, and those about the problem when told."""

    def __init__(self, runtime: Runtime) -> None:
        assert isinstance(runtime.now, Clock)
        self.runtime, self.clock = runtime, runtime.now
        made = generate(7, END)
        story = {n for s in made.truth["stories"] if s["name"] == STORY for n in s["tickets"]}
        told = {n for s in made.truth["stories"] for n in s["tickets"]}
        self._problem = [t for t in made.tickets if t.external_id in story]
        self._everyday = [
            t for n, t in enumerate(made.tickets) if t.external_id not in told and n % EVERY == 0
        ]
        self._numbers = count(1)

    def live(self, days: int, *, problems_a_day: int = 0) -> None:
        """Let days pass, a tick each."""
        for _ in range(days):
            begin, self.clock.at = self.clock.at, self.clock.at + timedelta(days=1)
            new = [*self._usual(begin), *(self._hit(begin, n) for n in range(problems_a_day))]
            accept(self.runtime, sorted(new, key=lambda t: t.created_at), source_kind="sample")
            while digest(self.runtime):
                pass
            detect(self.runtime, self.clock.at)

    def _usual(self, begin: datetime) -> Iterator[RawTicket]:
        weeks = timedelta(days=28)
        for ticket in self._everyday:
            at = ticket.created_at + weeks
            while at <= begin:
                at += weeks
            if at <= begin + timedelta(days=1) and ticket.created_at > END - weeks:
                yield self._again(ticket, at, ticket.account)

    def _hit(self, begin: datetime, n: int) -> RawTicket:
        number = next(self._numbers)
        ticket = self._problem[number % len(self._problem)]
        return self._again(ticket, begin + timedelta(hours=2 + n), f"hit-{number}")

    def _again(self, ticket: RawTicket, at: datetime, account: str) -> RawTicket:
        return replace(
            ticket, external_id=f"{ticket.external_id}-{at:%m%d%H%M}-{account}", created_at=at, updated_at=at,
            resolved_at=None, resolution="", account=account, account_name=account, requester=f"{account}@example.com",
        )  # fmt: skip


class Hand(Protocol):
    """How a person works a page."""

    def press(self, part: Any) -> None: ...

    def write(self, part: Any, text: str) -> None: ...


class Mouse:
    def __init__(self, page: Any) -> None:
        self.page = page

    def press(self, part: Any) -> None:
        part.click()

    def write(self, part: Any, text: str) -> None:
        part.click(click_count=3)
        self.page.keyboard.type(text)


class Keyboard:
    """Nothing but keys: a control is reached with Tab, from wherever the focus is."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def _reach(self, part: Any) -> None:
        for _ in range(TABS):
            if part.evaluate("(e) => e === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {part}")

    def press(self, part: Any) -> None:
        self._reach(part)
        is_box = part.evaluate("(e) => e.type === 'checkbox' || e.type === 'radio'")
        self.page.keyboard.press("Space" if is_box else "Enter")

    def write(self, part: Any, text: str) -> None:
        self._reach(part)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)


@pytest.mark.browser
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [Mouse, Keyboard])
def test_a_leads_whole_day(browser: Any, address: str, desk: Runtime, kind: type[Mouse | Keyboard]) -> None:
    world, page = World(desk), browser.new_page(viewport={"width": 1360, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    hand: Hand = kind(page)
    alert = open_alert(desk)
    id_ = alert.pattern_id or ""

    # She sees it, opens it, and reads what, how bad, who, since when and why.
    page.goto(address)
    hand.press(page.locator(f"[id='{alert.id}'] .go"))
    page.wait_for_url("**/patterns/*")
    assert alert.sentence in page.locator(".pattern-head .lead").inner_text()
    told = [t.inner_text() for t in page.locator(".vitals dt").all()]
    assert told == ["How bad", "Who", "Since", "How sure", "In common", "What helped"]
    assert page.locator(".course svg.chart").first.get_attribute("aria-label").count("release Projects 5.2.0")

    # Two tickets do not belong: she is told what splitting them off will do, and does it.
    before = pattern_of(desk, id_)
    for box in page.locator(".evidence input[type=checkbox]").all()[:2]:
        hand.press(box)
    hand.press(page.get_by_role("button", name="Split off"))
    page.wait_for_selector("text=2 tickets become a pattern of their own")
    hand.press(page.get_by_role("button", name="Split off"))
    page.wait_for_selector("text=The two are never put together again")
    assert pattern_of(desk, id_).tickets == before.tickets - 2

    # Another pattern is the same problem: it is merged into this one, for ever.
    sibling = _another(desk, id_)
    page.goto(f"{address}/patterns/{sibling.id}")
    hand.press(page.locator("#merge > summary"))
    hand.write(page.locator("#merge input[name=into]"), id_)
    hand.press(page.get_by_role("button", name="Look at the merge"))
    page.wait_for_selector("text=Merge these two patterns?")
    hand.press(page.get_by_role("button", name="Merge them"))
    page.wait_for_url(f"**/patterns/{id_}")
    assert pattern_of(desk, sibling.id).merged_into == id_

    # She gives it a name of her own.
    hand.press(page.locator("summary", has_text="Rename"))
    hand.write(page.locator("form[action$='/rename'] input[name=name]"), NAME)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The name is kept for ever")
    assert page.locator("h1").inner_text().endswith(NAME)

    # It came with the release of that day: the page and the brief say so from now on.
    hand.press(page.locator("#release > summary"))
    assert page.locator("#release select").input_value() == _release(desk, "5.2.0")
    hand.press(page.locator("#release button"))
    page.wait_for_selector("text=it came with that release")
    assert "Came with Projects 5.2.0" in page.locator(".pattern-head .meta").inner_text()

    # The brief goes along to the product team.
    hand.press(page.get_by_role("link", name="Brief"))
    page.wait_for_url("**/brief")
    with page.expect_download() as taken:
        hand.press(page.get_by_role("link", name="PDF"))
    brief = pypdf.PdfReader(taken.value.path()).pages[0].extract_text()
    assert NAME in brief
    assert "Projects 5.2.0" in brief

    # Until it gets worse she wants to hear no more of it.
    page.goto(f"{address}/patterns/{id_}")
    hand.press(page.locator(".deeds summary", has_text="Snooze"))
    hand.press(page.locator(".deeds form:has(input[name=escalating]) button"))
    page.wait_for_selector("text=Snoozed until it gets worse")
    page.goto(address)
    assert not page.locator(f"[id='{alert.id}']").count()

    # It gets worse: the same alert is back, and says so.
    world.live(1, problems_a_day=9)
    page.goto(address)
    row = page.locator(f"[id='{alert.id}']")
    hand.press(row.locator(".go"))
    page.wait_for_url("**/patterns/*")
    assert "Snooze over it got worse" in page.locator("#timeline ~ ol").inner_text()

    # The fix is out.
    hand.press(page.locator("#fix > summary"))
    hand.write(page.locator("#fix input[name=what]"), "Boards rebuilt")
    hand.write(page.locator("#fix input[name=version]"), "5.2.1")
    hand.press(page.locator("#fix button"))
    page.wait_for_selector("text=Whether it worked is judged every day")
    assert _state(page) == "Fix pending"

    # It worked; weeks later it is back, under the same id and name.
    _until(world, desk, id_, PatternState.RECOVERED, problems=(0, 0))
    page.reload()
    assert _state(page) == "Recovered"
    assert "Recovered" in page.locator("#fixes ~ ol").inner_text()
    _until(world, desk, id_, PatternState.REGRESSED, problems=(4, 4))
    page.reload()
    assert _state(page) == "Regressed"
    assert "Came back · Boards rebuilt" in page.locator("#fixes ~ ol").inner_text()
    assert page.locator("h1").inner_text().endswith(NAME)
    page.goto(f"{address}/?tab=regressed")
    assert NAME in page.locator(".rows").inner_text()
    page.close()


def _another(runtime: Runtime, id_: str) -> Pattern:
    """A small pattern that was not split from this one."""
    with runtime.store.read() as session:
        found = [p for p in patterns.search(session, {}, limit=200).items if id_ not in (p.id, p.split_from)]
    return min(found, key=lambda p: (p.tickets, p.id))


def _release(runtime: Runtime, version: str) -> str:
    with runtime.store.read() as session:
        (found,) = [r for r in releases.between(session, EPOCH, runtime.now()) if r.version == version]
    return found.id


def _state(page: Any) -> str:
    shown: str = page.locator(".pattern-head .state").inner_text()
    return shown


def _until(world: World, runtime: Runtime, id_: str, state: PatternState, *, problems: Sequence[int]) -> None:
    """Let days pass, a month at most, until the pattern is in a state."""
    for day in range(30):
        if pattern_of(runtime, id_).state is state:
            return
        world.live(1, problems_a_day=problems[day % len(problems)])
    raise AssertionError(f"not {state} within a month but {pattern_of(runtime, id_).state}")
