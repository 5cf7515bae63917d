"""Error signatures in prose: every family found, and rightly not found."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.detectors.signature import error_lines, frames, signatures
from app.detectors.signature.extract import TEXT_LIMIT
from app.detectors.signature.families import FAMILIES
from app.detectors.text import embedding_text

FOUND = {
    "aadsts": ("Sign-in fails with AADSTS50011 for everyone", "AADSTS50011"),
    "oracle": ("the job stops with ora-1555 at night", "ORA-01555"),
    "npm": ("npm ERR! code ERESOLVE", "npm ERESOLVE"),
    "browser": ("Chrome: net::ERR_CONNECTION_RESET", "ERR_CONNECTION_RESET"),
    "bugcheck": ("*** STOP: 0x0000007B (0xF78D2524)", "STOP 0x7B"),
    "hresult": ("update stops with 0x800f0922", "0x800F0922"),
    "win32": ("it returned RPC_E_DISCONNECTED", "RPC_E_DISCONNECTED"),
    "sqlstate": ("SQLSTATE[42S22]: Column not found", "SQLSTATE 42S22"),
    "sqlserver": ("Msg 1205, Level 13, State 51, Line 1", "Msg 1205"),
    "mysql": ("ERROR 1045 (28000): Access denied", "MySQL 1045"),
    "db2": ("SQL0911N  The current transaction was rolled back", "SQL0911N"),
    "rustc": ("error[E0382]: borrow of moved value", "E0382"),
    "product": ("error MSB4019: project not found", "MSB4019"),
    "ice": ("internal compiler error: src/ty.rs:41: no type for node 17", "ICE: no type for node"),
    "panic": ("thread 'a' panicked at 'capacity overflow', src/a.rs:1", "panic: capacity overflow"),
    "assertion": ("* Assertion at ../class.c:55, condition `class' not met", "assertion: class"),
    "errno": ("connect ECONNREFUSED <ip>:5432", "ECONNREFUSED"),
    "signal": ("the helper dies with SIGSEGV", "SIGSEGV"),
    "kubernetes": ("pods are in CrashLoopBackOff", "CrashLoopBackOff"),
    "cloud": ("SignatureDoesNotMatch on uploads", "SignatureDoesNotMatch"),
    "exception": ("we see acme.billing.OrderNotBillableException", "OrderNotBillableException"),
    "grpc": ("rpc error: code = DeadlineExceeded desc = late", "DEADLINE_EXCEEDED"),
    "smtp": ("550 5.7.1 Unable to relay", "SMTP 5.7.1"),
    "http": ("I keep getting a 403 on shared dashboards", "HTTP 403"),
    "exit": ("Process completed with exit code 137.", "exit code 137"),
    "vendor": ("My card is refused with PAY-4031", "PAY-4031"),
    "number": ("Beim Speichern kommt Fehlercode 4711", "error 4711"),
}
NOT_FOUND = {
    "aadsts": "What does AADSTS stand for?",
    "oracle": "Flora-12 is our test group, pandora-1555 the other",
    "npm": "Which npm code style do you use?",
    "browser": "the ERR_ prefix is documented where?",
    "bugcheck": "stop 0 of the tour is memory management training",
    "hresult": "the pointer is 0x7ffe1234, the base 0x00400000, the colour 0xC0FFEE",
    "win32": "set ERROR_LOG_PATH and STATUS_BAR_HEIGHT in the ini file",
    "sqlstate": "which SQLSTATE values exist?",
    "sqlserver": "send me a msg 1205 times",
    "mysql": "I made an error 4 (four) times",
    "db2": "is SQL2019 supported?",
    "rustc": "the E0 series is sold out",
    "product": "warning CS0168: variable declared but never used; our TS group has 20 people",
    "ice": "an internal compiler would be nice",
    "panic": "I panicked at first",
    "assertion": "his assertion failed to convince me",
    "errno": "Enoent is our partner, EIOPA the other, PENOENT a name",
    "signal": "the signal was weak and the SIG meets monthly",
    "kubernetes": "please do not back off pulling images",
    "cloud": "please slow down the e-mails, access denied or not",
    "exception": "set OnError or call GetLastError; the exception to the rule; see ImportError.log",
    "grpc": "INTERNAL use only; the order was CANCELLED",
    "smtp": "we run firmware 5.7.1 on the bridge",
    "http": "we added 500 users, 404 are active, on a 500 GB disk for $503",
    "exit": "take exit 14; process finished with exit code 0",
    "vendor": "order SO-33810, ISO-27001, Q3-2024, SHA-256, INV-2024-001, part number AB-1234",
    "number": "error 5 times a day, 14 errors in 300 rows, error 29 minutes after login",
}


def labels(text: str) -> list[str]:
    return [signature.label for signature in signatures("", text, ticket_prefixes=("SUP",))]


def test_every_family_is_tested_both_ways() -> None:
    assert {family.name for family in FAMILIES} == set(FOUND) == set(NOT_FOUND)


@pytest.mark.parametrize("family", FOUND)
def test_a_code_of_each_family_is_found(family: str) -> None:
    text, label = FOUND[family]
    found = signatures("", text)
    assert (found[0].label, found[0].family) == (label, family)


@pytest.mark.parametrize("family", NOT_FOUND)
def test_what_only_resembles_a_family_is_not_found(family: str) -> None:
    assert labels(NOT_FOUND[family]) == []


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("error: saml_signature_invalid", "saml_signature_invalid"),
        ('{"error":"invalid_grant","state":7}', "invalid_grant"),
        ("the error code is card_declined.", "card_declined"),
        ("callback?error=redirect_uri_mismatch&state=1", "redirect_uri_mismatch"),
    ],
)
def test_a_code_of_words_is_found_where_an_error_is_named(text: str, label: str) -> None:
    assert labels(text) == [label]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Msg 1205, Level 13, State 51", "Msg 1205"),
        ("order 88213 failed with PAY-2290 on 2024-02-11", "PAY-2290"),
        ("invoice 20931: error code 553 in step 4", "error 553"),
        ("version 5.2.0 gives E-7001, version 5.1.9 was fine", "E-7001"),
        ("see https://kb.acme.test/E-1001 but I have E-2002", "E-2002"),
        ("phone <phone>, IP <ip>, code PAY-3310, order 778812", "PAY-3310"),
        ("ticket SUP-1182 was closed but MSB4018 is back", "MSB4018"),
    ],
)
def test_a_trap_does_not_swallow_the_code_beside_it(text: str, label: str) -> None:
    assert labels(text) == [label]


@pytest.mark.parametrize(
    "text",
    [
        "https://status.acme.test/ERR-5501?code=500&e=ORA-01555",
        "write to ORA-01555@acme.test",
        "device 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "any news on SUP-4410?",
        "error: my_function returned nothing",
        "the field customer_no is empty",
        "a duplicate of PLAT-2231, introduced by HDFS-123",
        "https://tracker.test/browse/PLAT-7 and then PLAT-2231 broke it",
        "my Latitude E5430 is slow",
        "call +49 30 404500 or 0221-404500",
        "ISO-8859-1, UTF-16, TLS-1.2, RFC-5322, COVID-19, CVE-2021-44228",
    ],
)
def test_links_addresses_keys_phones_and_standards_hold_no_codes(text: str) -> None:
    assert labels(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "código de error 9005", "code d'erreur : 9005", "codice errore 9005", "foutcode 9005", "felkod 9005",
        "kod błędu 9005", "код ошибки: 9005", "エラーコード 9005", "错误代码：9005", "오류 코드 9005",
    ],
)  # fmt: skip
def test_error_code_n_is_one_signature_in_every_language(text: str) -> None:
    assert labels(text) == ["error 9005"]


def test_one_code_written_differently_has_one_key() -> None:
    keys = {signatures("", text)[0].key for text in ("ORA-01555: old", "ora-1555 again", "ORA-1555")}
    assert len(keys) == 1


def test_a_decimal_hresult_is_the_hexadecimal_one() -> None:
    assert labels("Error #-2146762487 while signing") == labels("0x800B0109 while signing")


def test_the_most_specific_comes_first_and_generic_ones_last() -> None:
    found = signatures("HTTP 504 on export", "then ECONNRESET and ORA-12170")
    assert [signature.label for signature in found] == ["ORA-12170", "ECONNRESET", "HTTP 504"]
    assert [signature.generic for signature in found] == [False, True, True]


@pytest.mark.parametrize(
    "text", ["HTTP 500", "NullPointerException", "exit code 1", "ETIMEDOUT", "KeyError: 'a'"]
)
def test_what_everybody_sees_is_generic(text: str) -> None:
    assert signatures("", text)[0].generic


@pytest.mark.parametrize(
    "text", ["AADSTS50011", "OrderNotBillableException", "PAY-4031", "MSB4019", "0x800f0922"]
)
def test_what_names_one_problem_is_not_generic(text: str) -> None:
    assert not signatures("", text)[0].generic


def test_a_repeated_code_is_one_signature() -> None:
    assert labels("PAY-4031 and then PAY-4031, always PAY-4031") == ["PAY-4031"]


def test_null_pointer_in_plain_words_is_the_exception() -> None:
    assert labels("a null pointer exception in the wizard") == ["NullPointerException"]


def test_letters_that_grow_in_lower_case_hide_no_code() -> None:
    assert labels("İstanbul'da ORA-01555 ve Msg 1205, Level 13") == ["ORA-01555", "Msg 1205"]


def test_windows_line_ends_change_nothing() -> None:
    text = "panic: boom\n\ngoroutine 1 [running]:\nmain.(*Parser).next(0xc000010250)\n\t/a/parser.go:88"
    assert signatures("", text.replace("\n", "\r\n")) == signatures("", text)


def test_nothing_comes_from_nothing() -> None:
    assert signatures("", "") == ()


PIECES = [
    *(text for text, _ in FOUND.values()),
    *NOT_FOUND.values(),
    "\n",
    "\tat a.B.c(B.java:1)",
    "İ",
    "é",
    "--->",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join))
def test_any_mixture_gives_the_same_unique_signatures_twice(text: str) -> None:
    found = signatures("subject", text)
    assert found == signatures("subject", text)
    assert len({signature.key for signature in found}) == len(found)
    assert all(signature.key and signature.label for signature in found)


@pytest.mark.parametrize(
    "piece",
    [
        "a", "A", "a.", "AB-", "Error", "PAY-4031 ", "order no ", "E_", "AB_E_", "_", "<", "[", "\n", "@",
        "a@", "http://", "error code ", " ", "panicked at '", "---> XException ", " at a.b(c:1)\n", "1.2.",
        "\n ", "ERROR \n",
        '  File "a", line 1, in b\n',
        "1: a::b\n", "12 34 ", "/a", "-abcd", "```", "Assertion failed ('", "HTTP 500 ", "*** [", "İ",
    ],
)  # fmt: skip
def test_a_hostile_megabyte_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    signatures(piece, text)
    frames(text)
    error_lines(text)
    embedding_text(piece, text)
    assert time.process_time() - began < 2.0  # measured: under 0.15 s; anything quadratic takes minutes


def test_a_code_beyond_the_reading_limit_is_not_looked_for() -> None:
    assert labels("x " * TEXT_LIMIT + "PAY-4031") == []
