"""The text for embedding: what people wrote, without what machines wrote."""

from __future__ import annotations

from app.detectors.text import BODY_LIMIT, embedding_text, without_code


def test_a_trace_becomes_one_token_that_names_its_exception() -> None:
    frames = "\tat com.acme.A.b(A.java:1)\n\tat com.acme.C.d(C.java:2)"
    cut = without_code(f"It died:\njava.lang.IllegalStateException: x\n{frames}\nHelp")
    assert cut == "It died:\njava.lang.IllegalStateException: x\n<stack IllegalStateException>\nHelp"


def test_a_run_of_log_lines_becomes_one_token_and_a_lone_one_stays() -> None:
    log = "10:00:00 ERROR db: gone\n10:00:01 ERROR db: still gone"
    assert without_code(f"Look:\n{log}\nbye") == "Look:\n<log>\nbye"
    assert without_code("Look:\n10:00:00 ERROR db: gone\nbye") == "Look:\n10:00:00 ERROR db: gone\nbye"


def test_code_blocks_fenced_or_indented_become_one_token() -> None:
    assert without_code("a\n```rust\nfn main() {}\n```\nb") == "a\n<code>\nb"
    assert without_code("a\n    x = 1\n      y = 2\n    z = 3\nb") == "a\n<code>\nb"


def test_ids_and_links_become_tokens_and_words_and_years_stay() -> None:
    text = "Order 2024031177 of 5f1b2c3d-1111-4222-8333-abcdefabcdef, https://acme.test/x, in 2024, decade"
    assert without_code(text) == "Order <id> of <id>, <link>, in 2024, decade"


def test_error_codes_in_prose_are_kept() -> None:
    assert "PAY-4031" in embedding_text("Card refused", "It says PAY-4031 and 0x80070005")


def test_subject_comes_first_and_the_body_is_cut_between_words() -> None:
    text = embedding_text(" Export fails ", "word " * 1000)
    subject, _, body = text.partition("\n")
    assert subject == "Export fails"
    assert BODY_LIMIT - 10 < len(body) <= BODY_LIMIT
    assert set(body.split()) == {"word"}


def test_what_follows_a_long_trace_is_still_read() -> None:
    trace = "TypeError: x\n" + "    at Cart.render (https://acme.test/a.js:1:2)\n" * 100
    assert embedding_text("s", trace + "It happens on Safari").endswith("It happens on Safari")


def test_an_empty_ticket_has_an_empty_text() -> None:
    assert embedding_text("", "") == ""
