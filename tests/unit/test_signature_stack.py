"""Stack traces: the exception at the reporter's own frame, in every language."""

from __future__ import annotations

import pytest

from app.detectors.signature import error_lines, frames, signatures
from app.detectors.signature.stack import frame_name

JAVA = """Export fails:
org.springframework.web.util.NestedServletException: Request processing failed
\tat org.springframework.web.servlet.FrameworkServlet.processRequest(FrameworkServlet.java:1014)
Caused by: java.lang.NullPointerException: null
\tat com.acme.billing.InvoiceRenderer.lambda$render$3(InvoiceRenderer.java:112)
\tat com.acme.billing.InvoiceService.send(InvoiceService.java:97)
\t... 42 more"""
PYTHON = """Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/flask/app.py", line 2190, in wsgi_app
    response = self.full_dispatch_request()
  File "/srv/shop/orders/pricing.py", line 57, in net_price
    return total / quantity
ZeroDivisionError: division by zero"""
JAVASCRIPT = """TypeError: Cannot read properties of null
    at Array.map (<anonymous>)
    at CartPage.renderRow (https://cdn.acme.test/main.js:2:18231)
    at run (/srv/node_modules/bull/queue.js:80:3)"""
DOTNET = """System.Reflection.TargetInvocationException: Thrown. ---> Acme.LicenseExpiredException: ended
   at System.Linq.Enumerable.First[T](IEnumerable`1 source)
   at Acme.Licensing.LicenseGuard.<CheckAsync>d__12.MoveNext() in D:\\a\\LicenseGuard.cs:line 31
   --- End of inner exception stack trace ---"""
MONO = """System.NullReferenceException: Object reference not set
  at (wrapper managed-to-native) System.Object.__icall_wrapper ()
  at MonoTouch.Tuner.ListExportedSymbols.ProcessMethod (Mono.Cecil.MethodDefinition m) [0x00010] in L.cs:7"""
RUBY = """/app/lib/billing/tax.rb:19:in `rate_for': undefined method `zip' for nil (NoMethodError)
\tfrom /app/lib/billing/invoice.rb:44:in `block in total'
\tfrom /usr/local/bundle/gems/rack-2.2/lib/rack.rb:1:in `call'"""
GO = """panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.(*Parser).next(0xc000010250)
\t/home/build/parser.go:88 +0x1d"""
CPP = """Thread 1 "acmed" received signal SIGABRT, Aborted.
#0  __GI_raise (sig=sig@entry=6) at ../sysdeps/unix/sysv/linux/raise.c:50
#1  0x0000555555561234 in acme::Codec::decode(std::vector<int> const&) (this=0x0) at codec.cpp:99
#2  0x0000555555561999 in main () at main.cpp:5"""
APPLE = """*** Terminating app due to uncaught exception 'NSInvalidArgumentException', reason: 'x'
0   CoreFoundation   0x000000010a2b4 __exceptionPreprocess + 350
2   AcmeShop         0x0000000104c11 -[BasketViewController reloadRows:] + 84"""
RUST = """thread 'main' panicked at 'explicit panic', src/main.rs:9
stack backtrace:
   1:     0x7f0a2b - sys::backtrace::write::h8532e701ef86014f4it
   2:     0x7f0a3c - acme_parser::lexer::Lexer::next_token::h0123456789abcdef
   3:     0x7f0a4d - main"""
TRACES = {
    "Java": (JAVA, "NullPointerException at InvoiceRenderer.render"),
    "Python": (PYTHON, "ZeroDivisionError at pricing.net_price"),
    "JavaScript": (JAVASCRIPT, "TypeError at CartPage.renderRow"),
    ".NET": (DOTNET, "LicenseExpiredException at LicenseGuard.CheckAsync"),
    "Mono": (MONO, "NullReferenceException at ListExportedSymbols.ProcessMethod"),
    "Ruby": (RUBY, "NoMethodError at tax.rate_for"),
    "Go": (GO, "panic: runtime error: index out of range at Parser.next"),
    "C++": (CPP, "SIGABRT at Codec.decode"),
    "Objective-C": (APPLE, "NSInvalidArgumentException at BasketViewController.reloadRows"),
    "Rust": (RUST, "panic: explicit panic at Lexer.next_token"),
}


@pytest.mark.parametrize("language", TRACES)
def test_a_trace_is_named_by_its_inmost_cause_and_first_own_frame(language: str) -> None:
    text, label = TRACES[language]
    primary = signatures("It crashed", text)[0]
    assert (primary.label, primary.family, primary.generic) == (label, "frame", False)


@pytest.mark.parametrize("language", TRACES)
def test_line_numbers_and_addresses_do_not_change_the_signature(language: str) -> None:
    text, _ = TRACES[language]
    shifted = (
        text.replace("57", "61").replace(":88", ":90").replace(":112", ":7").replace("0x00005", "0x00009")
    )
    assert signatures("", shifted) == signatures("", text)


def test_the_exception_alone_is_found_too_but_stays_generic() -> None:
    bare = signatures("", JAVA)[1]
    assert (bare.label, bare.generic) == ("NullPointerException", True)


def test_wrappers_around_a_cause_are_not_signatures() -> None:
    assert not {"NestedServletException", "TargetInvocationException"} & {
        signature.label for text in (JAVA, DOTNET) for signature in signatures("", text)
    }


def test_of_chained_python_errors_the_first_is_the_cause() -> None:
    text = f"""{PYTHON}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/shop/orders/api.py", line 9, in show
    raise PageError from error
acme.PageError: no page"""
    assert signatures("", text)[0].label == "ZeroDivisionError at pricing.net_price"


def test_a_trace_of_library_frames_alone_stays_generic() -> None:
    text = "java.io.IOException: x\n\tat java.io.Reader.read(Reader.java:1)\n\tat org.apache.x.Y.z(Y.java:2)"
    found = signatures("", text)
    assert [(signature.label, signature.generic) for signature in found] == [("IOException", True)]


@pytest.mark.parametrize(
    "prose",
    [
        "at home (see below) nothing works",
        "1: open the app\n2: press save\n3: it closes",
        "#1 reason (of many) to leave",
        "File \"report.pdf\" is empty",
        "from here on it fails",
    ],
)  # fmt: skip
def test_prose_that_starts_like_a_frame_is_no_trace(prose: str) -> None:
    assert frames(f"TypeError in the log\n{prose}") == []


def test_frames_are_own_calls_innermost_first_without_repeats() -> None:
    assert frames(JAVA) == ["InvoiceRenderer.render", "InvoiceService.send"]
    assert frames(PYTHON) == ["pricing.net_price"]


@pytest.mark.parametrize(
    ("qualified", "name"),
    [
        ("com.acme.Cart$Row.total", "Row.total"),
        ("com.acme.Repo$$EnhancerBySpringCGLIB$$1f2.save", "Repo.save"),
        ("Acme.Shell.<>c__DisplayClass4_0.<Start>b__0", "Shell.Start"),
        ("Acme.Till.<OpenAsync>d__12.MoveNext", "Till.OpenAsync"),
        ("Acme.Box`1[[System.Int32]].Open", "Box.Open"),
        ("acme::lexer::Lexer<T>::next::{{closure}}::h0123456789abcdef", "Lexer.next"),
        ("main.(*Server).handle", "Server.handle"),
        ("render", "render"),
    ],
)
def test_a_frame_is_named_by_its_last_two_parts_without_suffixes(qualified: str, name: str) -> None:
    assert frame_name(qualified) == name


def test_error_lines_are_masked_and_leave_out_prose_frames_and_quiet_lines() -> None:
    text = f"""Hello, the export failed again.
2024-05-06 10:11:12 INFO start
2024-05-06 10:11:13 ERROR job 4711 failed after 30 s
2024-05-06 10:12:13 ERROR job 4712 failed after 31 s
{JAVA}"""
    lines = error_lines(text)
    assert lines[0] == "<*> ERROR job <*> failed after <*> s"
    assert [line for line in lines if "InvoiceService" in line or "Hello" in line or "INFO" in line] == []
    assert len(lines) == len(set(lines))
