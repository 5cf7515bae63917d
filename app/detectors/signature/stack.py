"""Stack traces: the exception people should read about and the frames of the reporter's own code.

Languages: Java and Kotlin, Python, JavaScript, .NET and Mono, Ruby, Go, C and C++, Swift and
Objective-C, Rust. A frame is named by its last two parts (`CartService.total`), without lines,
addresses, arguments, and the suffixes compilers add for lambdas, closures and proxies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.detectors.template import mask_message


@dataclass(frozen=True, slots=True)
class Frame:
    """One call; `own` is False for the language's library and for well-known frameworks."""

    name: str
    own: bool


@dataclass(slots=True)
class Trace:
    """One run of frames: lines `first` to `last`, and the exception or signal that heads (or ends) it."""

    exception: str
    first: int
    last: int
    innermost_last: bool = False
    relation: str = ""  # to the trace before it: "cause" explains it, "wrapper" was raised because of it
    frames: list[Frame] = field(default_factory=list)

    def own_frames(self) -> list[str]:
        """Names of the reporter's own frames, innermost first, repeats and entry points left out."""
        frames = reversed(self.frames) if self.innermost_last else self.frames
        names = (
            frame.name for frame in frames if frame.own and frame.name.rpartition(".")[2] not in _UNTELLING
        )
        return list(dict.fromkeys(names))


_LIBRARIES = """
    java javax jakarta jdk sun com.sun kotlin kotlinx scala groovy android androidx com.android dalvik
    libcore org.postgresql com.mysql oracle.jdbc com.microsoft.sqlserver org.springframework org.apache
    org.hibernate org.eclipse org.junit org.jboss org.codehaus org.gradle org.slf4j io.netty
    io.reactivex io.undertow reactor rx okhttp okhttp3 retrofit2 com.google.common com.fasterxml
    com.zaxxer ch.qos System Microsoft Newtonsoft Castle MS Mono.Runtime NUnit Xunit UnhandledException
    runtime net/http reflect testing syscall sync std core alloc backtrace sys sys_common rt panicking
    unwind failure rustrt rust_panic test proc process Array Object Promise Function Module node
    internal Generator Map Set Reflect _start start raise abort malloc free memcpy strlen clone
    start_thread gsignal gtk_main _sigtramp
"""
_FRAMEWORK_NAME = re.compile(
    rf"(?:{'|'.join(map(re.escape, _LIBRARIES.split()))}"
    r"|__\w+|pthread\w*|g_(?:log|assert|main)\w*|mono_\w+)(?:[.:/(]|$)"
    r"|.*\$Proxy|.*FastClassBy|(?:rust_begin_unwind|lang_start|rust_\w+try|_Unwind_\w+|main|panic|<unknown>)$"
)
_FRAMEWORK_PLACE = re.compile(
    r"site-packages|dist-packages|/lib/python\d|<frozen|importlib|/gems/|/ruby/\d|/lib/ruby|node_modules|node:|internal/"
    r"|<anonymous>\)?$|^native|/pkg/mod/|/usr/local/go/|/usr/lib/go|/rustc/|libstd/|libcore/|src/rt/"
)
_SYSTEM_IMAGES = re.compile(
    r"CoreFoundation|UIKit|libobjc|libsystem|Foundation|libdispatch|GraphicsServices|dyld|libswift|AppKit|HIToolbox|libc\+\+"
    r"|QuartzCore|CoreData|CFNetwork|libxpc|WebKit|JavaScriptCore|BaseBoard|FrontBoard|libBacktrace|mono|libmono|\?\?\?"
)
_CALL = re.compile(
    r"\s*at (?:async |new |static )?(\(wrapper [^)\n]{0,60}\) )?([^\s(]{1,300})"
    r"(?: \[as [^\]\s]{1,60}\])? ?[(<\[]([^\n]{0,300})"
)
_UNNAMED = re.compile(
    r"\s*at (?:<unknown> |\(wrapper|<anonymous>|(?:https?|file|webpack|node):\S{1,300}:\d+$"
    r"|/\S{1,300}:\d+:\d+$)"
)
_POSITION = re.compile(r":\d+:\d+\)|<anonymous>\)|native\)")
_GAP_LINES = 3  # lines without a frame that a trace survives
_UNTELLING = frozenset(
    {
        "Main",
        "main",
        "assert",
        "Assert",
        "begin_unwind",
        "begin_unwind_fmt",
        "begin_unwind_inner",
        "bug",
        "bug_fmt",
    }
    | {
        "expect",
        "Fail",
        "fail",
        "fatal",
        "panic",
        "panic_fmt",
        "span_bug",
        "span_bug_fmt",
        "span_fatal",
        "Throw",
    }
    | {"throw", "ThrowHelper", "unwrap", "unwrap_failed", "logAndThrow"}
)
"""Entry points, and functions that only report a failure: naming one says nothing of where it happened."""
_PYTHON_HEAD = re.compile(r"(?:[\w.]{1,200}\.)?([A-Z]\w{2,80})(?=:|$)")
_PYTHON_CHAIN = re.compile(r"(?:During handling of the above|The above exception was the direct cause)")
_HASH_PART = re.compile(r"_?h?[0-9a-f]{10,}\w{0,4}$|_?\d+(?:pre)?$")
_PYTHON = re.compile(r'\s*File "([^"\n]{1,300})", line \d+, in ([\w<>.]{1,100})')
_RUBY = re.compile(r"\s*(?:from |\d+: from )?([^\s:]{1,200}\.rb):\d+:in [`']([^'\n]{1,100})'")
_GO = re.compile(r"([\w./-]{1,150}(?:\.\(\*?\w{1,60}\))?(?:\.\w{1,80}){1,4})\((?:0x|\.\.\.|\{|\))")
_C = re.compile(r"\s*#\d{1,3} +(?:0x[0-9a-fA-F]{4,16} in )?([\w:~<>,*& ]{1,120}?) ?\(")
_APPLE = re.compile(r"\s*\d{1,3}\s+([\w.+?-]{1,60})\s+0x[0-9a-fA-F]{4,16}\s+([^\n]{1,200})")
_RUST = re.compile(
    r"\s*\d{1,3}:\s+(?:0x[0-9a-fA-F]{2,16} - ([^\n]{1,300})|((?:<[^\n]{1,200}>|\w{1,80})::\S{1,300}))$"
)
_FIREFOX = re.compile(r"\s*([\w$./<]{1,100})@(?:https?|file|resource)://[^\s]{1,300}:\d+(?::\d+)?$")

_HEAD = re.compile(
    r"(?<![A-Za-z0-9_])([A-Z]\w{0,80}?(?:Exception|Error|Fault)|SIG(?:SEGV|ABRT|BUS|ILL|FPE|TRAP)"
    r"|EXC_[A-Z_]{3,30})(?![A-Za-z0-9_])"
)
_PANIC = re.compile(r"(?:panic: |fatal error: |[^\n]{0,80}panicked at ')([^\n']{3,200})")
_NOISE = re.compile(
    r"\$\$(?:EnhancerBy|FastClassBy|Lambda)[\w$/]*|::h[0-9a-f]{16}$|\{\{closure\}\}|\{closure[^}]*\}|`\d+"
)
_DOTNET_HIDDEN = re.compile(r"<(\w+)>[a-z]__\w*|<>c__\w*|<>c\b")
_GENERICS = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
_LAMBDA = re.compile(r"lambda\$(\w+?)\$\d+|\$?lambda[-$]\d+|\$\d+")
_PARTS = re.compile(r"[.:/+$#\\]+")


@dataclass(frozen=True, slots=True)
class Stack:
    """What the traces of one text say: causes resolved, with the `wrappers` that a cause explains away."""

    traces: tuple[Trace, ...]
    wrappers: frozenset[str]
    frame_lines: frozenset[int]


def read_stack(lines: Sequence[str]) -> Stack:
    """Every stack trace in the lines, in order; prose without a single frame gives an empty one."""
    reader = _Reader()
    for number, line in enumerate(lines):
        reader.read(number, line)
    kept: list[Trace] = []
    for trace in reader.traces:
        if not trace.frames:
            continue
        if trace.relation and kept and trace.exception and kept[-1].exception:
            kept.append(_chained(kept.pop(), trace, reader.wrappers))
        else:
            kept.append(trace)
    wrappers = reader.wrappers - {trace.exception for trace in kept}
    return Stack(tuple(kept), frozenset(wrappers), frozenset(reader.frame_lines))


def _chained(earlier: Trace, later: Trace, wrappers: set[str]) -> Trace:
    """Of two traces of one failure the cause, with the frames of the other when its own say nothing."""
    cause, wrapper = (later, earlier) if later.relation == "cause" else (earlier, later)
    wrappers.add(wrapper.exception)
    if not cause.own_frames():
        cause.frames, cause.innermost_last = wrapper.frames, wrapper.innermost_last
    cause.first, cause.last = earlier.first, later.last
    cause.relation = earlier.relation
    return cause


class _Reader:
    """Takes lines one by one; `head` is the latest announcement of an exception without frames so far."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self.frame_lines: list[int] = []
        self.wrappers: set[str] = set()
        self._head = ""
        self._relation = ""  # of the next trace to the one before it
        self._current: Trace | None = None

    def read(self, number: int, line: str) -> None:
        reading = _read_frame(line)
        if reading is not None:
            self._add_frame(number, line, *reading)
        elif self._current and self._current.innermost_last and not self._current.exception:
            if line[:1].strip():  # Python names the exception below its frames; source lines are indented
                match = _PYTHON_HEAD.match(line)
                self._current.exception = match[1] if match else ""
                self._current.last = number
                self._current = None
        elif name := _head(line):
            if "--->" in line:
                self.wrappers.update(_HEAD.findall(line[: line.rfind("--->")]))
            self._head, self._current = name, None
            self._relation = "cause" if line.lstrip().startswith("Caused by") else ""
        elif "exception" in line and _PYTHON_CHAIN.match(line):
            self._relation = "wrapper"
        elif self._current and number - self._current.last > _GAP_LINES:
            self._current = None

    def _add_frame(self, number: int, line: str, frame: Frame | None, innermost_last: bool) -> None:
        starts = self._current is None or self._current.innermost_last != innermost_last
        head = "" if innermost_last else self._head
        if starts and not head and ".rb:" in line:  # Ruby names the exception behind its first frame
            head = _head(line)
        else:
            self.frame_lines.append(number)
        if self._current is None or starts:
            self._current = Trace(head, number, number, innermost_last, self._relation)
            self.traces.append(self._current)
            self._head = self._relation = ""
        self._current.last = number
        if frame:
            self._current.frames.append(frame)


def _head(line: str) -> str:
    """The exception, signal or panic that a line announces, "" when none; after `--->` the inner one."""
    if ("anic" in line or "fatal error" in line) and (panic := _PANIC.match(line)):
        return f"panic: {mask_message(panic[1])}"
    if (
        "Exc" not in line
        and "Err" not in line
        and "SIG" not in line
        and "Fault" not in line
        and "EXC" not in line
    ):
        return ""
    match = _HEAD.search(line[line.rfind("--->") :] if "--->" in line else line)
    return match[1] if match else ""


def _read_frame(line: str) -> tuple[Frame | None, bool] | None:
    """(frame, innermost last) of one line; a frame of None is a frame without a usable name."""
    start = line.lstrip()[:12]
    if start.startswith("at ") or start.startswith("at\t"):
        return _read_call(line)
    if start.startswith('File "'):
        return _read_python(line)
    if start[:1] == "#":
        placed = "0x" in line or ") at " in line or ") from " in line or line.endswith(")")
        return _named(_C.match(line)) if placed else None
    if start[:1].isdigit():
        return _read_numbered(line) or _read_ruby(line)
    if ".rb:" in line:
        return _read_ruby(line)
    if "@" in line:
        return _named(_FIREFOX.match(line))
    if line[:1] == "\t" and ".go:" in line:
        return None, False
    if line.endswith(")") and (go := _GO.match(line)):
        return Frame(frame_name(go[1].rpartition("/")[2]), not _FRAMEWORK_NAME.match(go[1])), False
    if start.startswith("goroutine "):
        return None, False
    return None


def _read_call(line: str) -> tuple[Frame | None, bool] | None:
    """Java, .NET, Mono and JavaScript: `at name (place)`."""
    call = _CALL.match(line)
    if call is None:
        return (None, False) if _UNNAMED.match(line) else None
    wrapper, name, place = call[1], call[2], call[3]
    if not ("." in name or ":" in name or _POSITION.search(place)):
        return None
    own = not (
        wrapper or "<anonymous>" in name or _FRAMEWORK_NAME.match(name) or _FRAMEWORK_PLACE.search(place)
    )
    short = frame_name(name)
    return (Frame(short, own) if short else None), False


def _read_python(line: str) -> tuple[Frame | None, bool] | None:
    frame = _PYTHON.match(line)
    if frame is None:
        return None
    parts = re.split(r"[/\\]", frame[1].removesuffix(".py").removesuffix("/__init__"))
    name = parts[-1] if frame[2] == "<module>" else f"{parts[-1]}.{frame[2]}"
    return Frame(name, not (_FRAMEWORK_PLACE.search(frame[1]) or frame[1].startswith("<"))), True


def _read_ruby(line: str) -> tuple[Frame | None, bool] | None:
    frame = _RUBY.match(line)
    if frame is None:
        return None
    module = frame[1].rpartition("/")[2].removesuffix(".rb")
    method = re.sub(r"^(?:block|rescue|ensure)(?: \(\d+ levels\))? in ", "", frame[2])
    name = frame_name(method) if "#" in method or "." in method else f"{module}.{method}"
    return Frame(name, not _FRAMEWORK_PLACE.search(frame[1])), False


def _read_numbered(line: str) -> tuple[Frame | None, bool] | None:
    """Apple crash reports (`3 Image 0x1 symbol + 84`) and Rust backtraces (`3: crate::function`)."""
    if apple := _APPLE.match(line):
        symbol = re.sub(r"\s\+\s\d+.*$", "", apple[2])
        objective_c = re.match(r"[-+]\[([\w()]+) ([\w:]+)\]", symbol)
        name = (
            f"{objective_c[1]}.{objective_c[2].strip(':')}"
            if objective_c
            else frame_name(symbol.partition("(")[0])
        )
        return Frame(name, not _SYSTEM_IMAGES.match(apple[1]) and bool(name)), False
    if rust := _RUST.match(line):
        path = rust[1] or rust[2]
        return Frame(frame_name(path), "::" in path and not _FRAMEWORK_NAME.match(path)), False
    return None


def _named(match: re.Match[str] | None) -> tuple[Frame | None, bool] | None:
    """A C, C++ or Firefox frame whose first group is the function."""
    if match is None:
        return None
    name = frame_name(match[1])
    return (Frame(name, not _FRAMEWORK_NAME.match(match[1].strip())) if name else None), False


def frame_name(qualified: str) -> str:
    """The last two parts of a function's name without compiler-made suffixes: "CartService.total"."""
    name = _DOTNET_HIDDEN.sub(lambda match: match[1] or "", _NOISE.sub("", qualified))
    name = _LAMBDA.sub(lambda match: match[1] or "", name.replace("<init>", "new").replace("<clinit>", "new"))
    for _ in range(3):  # generic arguments nest, rarely deeper
        name = _GENERICS.sub("", name)
    parts = (part.strip("()*<>& ") for part in _PARTS.split(name.replace("..ctor", ".new")))
    kept = [part for part in parts if part and part != "MoveNext" and not _HASH_PART.match(part)]
    return ".".join(kept[-2:])
