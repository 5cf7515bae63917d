"""Footers and form labels are learned from counts, and only from tickets counted before."""

from datetime import UTC, datetime, timedelta

import pytest

from app.ingest.boilerplate import Boilerplate, Changes, LineCount, ScopeCount, line_hashes, needed

START = datetime(2026, 1, 1, tzinfo=UTC)
FOOTER = "ACME Widgets Ltd, Registered in England 0123"


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def after(tickets: int, line: str, *, scope: str = "acme", every_days: float = 1) -> Boilerplate:
    boilerplate = Boilerplate()
    for number in range(tickets):
        boilerplate.learn(
            f"Question number {chr(97 + number % 26) * 4}\n{line}", scope, day(number * every_days)
        )
    return boilerplate


def test_a_line_in_five_tickets_of_one_customer_is_a_footer() -> None:
    body = f"The export is empty\n{FOOTER}"
    assert after(4, FOOTER).strip(body, "acme", day(9)) == body
    assert after(5, FOOTER).strip(body, "acme", day(9)) == "The export is empty"


def test_a_footer_of_one_customer_is_kept_for_another() -> None:
    body = f"The export is empty\n{FOOTER}"
    assert after(8, FOOTER).strip(body, "globex", day(9)) == body


def test_a_line_in_less_than_a_fifth_of_a_customers_tickets_is_no_footer() -> None:
    boilerplate = after(5, FOOTER)
    for number in range(30):
        boilerplate.learn(f"Other matter {number}", "acme", day(6))
    body = f"The export is empty\n{FOOTER}"
    assert boilerplate.strip(body, "acme", day(9)) == body


def test_forty_tickets_of_one_customer_in_a_day_teach_nothing() -> None:
    boilerplate = after(40, "Cannot open the portal", every_days=0.01)
    body = "Hello again\nCannot open the portal"
    assert boilerplate.strip(body, "acme", day(0.5)) == body


def desk(line: str, *, tickets: int, days: float, share: float) -> Boilerplate:
    boilerplate = Boilerplate()
    every = round(1 / share)
    for number in range(tickets):
        text = line if number % every == 0 else "nothing"
        boilerplate.learn(f"Subject {number}\n{text}", f"customer {number}", day(days * number / tickets))
    return boilerplate


@pytest.mark.parametrize(
    ("tickets", "days", "share", "expected"),
    [(400, 30, 0.10, True), (190, 30, 0.10, False), (400, 10, 0.10, False), (400, 30, 0.04, False)],
)
def test_a_form_label_needs_enough_tickets_and_time_and_share(
    tickets: int, days: float, share: float, *, expected: bool
) -> None:
    boilerplate = desk("Steps to reproduce:", tickets=tickets, days=days, share=share)
    stripped = boilerplate.strip("Steps to reproduce:\nopen it", "new customer", day(days))
    assert (stripped == "open it") is expected


@pytest.mark.parametrize(
    "line", ["Error AADSTS50011 shown", "System.NullReferenceException: oops", "HTTP 503 from the gateway",
     "}", "int main() {"]
)  # fmt: skip
def test_lines_with_error_codes_or_source_are_never_learned(line: str) -> None:
    boilerplate = desk(line, tickets=400, days=60, share=0.5)
    body = f"It happens at start\n{line}"
    assert boilerplate.strip(body, "customer 1", day(60)) == body


def test_a_body_of_boilerplate_only_is_kept() -> None:
    assert after(9, FOOTER).strip(FOOTER, "acme", day(9)) == FOOTER


def test_masked_digits_and_punctuation_make_one_line() -> None:
    assert set(line_hashes("Case ref: 123/4").values()) == set(line_hashes("case ref 99").values())


def test_batches_of_any_size_give_the_same_result_through_stored_rows() -> None:
    tickets = [
        (f"Matter {number % 7}\nPlease fill in the form\n{FOOTER}", f"c{number % 3}") for number in range(60)
    ]
    whole = Boilerplate()
    expected = []
    for number, (body, scope) in enumerate(tickets):
        expected.append(whole.strip(body, scope, day(number)))
        whole.learn(body, scope, day(number))
    assert run_in_batches(tickets, size=1) == run_in_batches(tickets, size=13) == (expected, whole.changed())


def run_in_batches(tickets: list[tuple[str, str]], *, size: int) -> tuple[list[str], Changes]:
    lines: dict[tuple[str, str], LineCount] = {}
    scopes: dict[str, ScopeCount] = {}
    stripped: list[str] = []
    for start in range(0, len(tickets), size):
        batch = tickets[start : start + size]
        keys = needed(batch)
        boilerplate = Boilerplate.of(
            [lines[key] for key in keys.lines if key in lines],
            [scopes[key] for key in keys.scopes if key in scopes],
        )
        for number, (body, scope) in enumerate(batch, start):
            stripped.append(boilerplate.strip(body, scope, day(number)))
            boilerplate.learn(body, scope, day(number))
        changes = boilerplate.changed()
        lines |= {(line.scope, line.line_hash): line for line in changes.lines}
        scopes |= {scope.scope: scope for scope in changes.scopes}
    return stripped, Changes(
        tuple(scopes[key] for key in sorted(scopes)), tuple(lines[key] for key in sorted(lines))
    )
