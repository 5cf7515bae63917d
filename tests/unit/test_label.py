"""Names a lead would have given: whole, and about all the tickets rather than one of them."""

from __future__ import annotations

from app.detectors.label import Background, name


def titled(*subjects: str, body: str = "") -> str:
    return name([(s, body) for s in subjects], signature="", background=Background()).title


def test_a_subject_that_trails_off_gives_way_to_a_whole_one() -> None:
    title = titled("Mails vanish...", "Mails vanish…", "Mails vanish for some recipients")
    assert title == "Mails vanish for some recipients"


def test_an_amount_that_only_one_ticket_names_stays_out_of_the_title() -> None:
    title = titled("All 660 users locked out", "Users locked out since today", "All 12 users locked out")
    assert title == "Users locked out since today"


def test_a_number_that_members_share_may_stand_in_the_title() -> None:
    title = titled("Board broken since v5.2", "Board broken since v5.2", "Board broken since v5.2 again")
    assert "v5.2" in title
