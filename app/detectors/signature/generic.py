"""Signatures too common to hold tickets together, and identifiers that only look like exceptions."""

from __future__ import annotations

_EXCEPTIONS = """
    AccessViolationException AggregateException AppError ApplicationException ArgumentError
    ArgumentException ArgumentNullException ArgumentOutOfRangeException ArithmeticException
    ArrayIndexOutOfBoundsException AssertionError AttributeError BaseException BuildError COMException
    ClassCastException ClassNotFoundException CompileError ConnectException ConnectionError
    DivideByZeroException EOFError EOFException ExecutionException FatalError FileNotFoundError
    FileNotFoundException FormatException HTTPError HttpError HttpRequestException IOError IOException
    IoError OtherIoError IllegalArgumentException IllegalStateException ImportError IndexError
    IndexOutOfBoundsException IndexOutOfRangeException InternalError InternalServerError
    InvalidCastException InvalidOperationException InvocationTargetException KeyError KeyNotFoundException
    KeyboardInterrupt MemoryError MissingFieldException MissingMethodException ModuleNotFoundError
    NSException NSInternalInconsistencyException NSInvalidArgumentException NSRangeException NameError
    NetworkError NoClassDefFoundError NoMethodError NotFoundException NotImplementedError
    NotImplementedException NotSupportedException NullPointerException NullReferenceException
    NumberFormatException OSError ObjectDisposedException OperationCanceledException OperationalError
    OutOfMemoryError OutOfMemoryException PDOException PermissionError RangeError ReadTimeout
    RecordNotFound ReferenceError RequestError RuntimeError RuntimeException SQLException
    SecurityException ServerError ServletException SocketException SocketTimeoutException SqlException
    StackOverflowError StackOverflowException SyntaxError SystemError SystemException
    TargetInvocationException TaskCanceledException TimeoutError TimeoutException TypeError
    TypeInitializationException TypeLoadException UnauthorizedAccessException UnboundLocalError
    UnicodeDecodeError UnicodeEncodeError UnknownError UnknownHostException UnsatisfiedLinkError
    UnsupportedOperationException ValidationError ValueError WebException XmlException ZeroDivisionError
"""
_LABELS = """
    0x80004005 0x80070005 0x80131500 0xC0000005 ERR_ABORTED ERR_FAILED E_FAIL E_INVALIDARG E_UNEXPECTED
    MSB3073 MSB4018 MSB6006 STATUS_ACCESS_VIOLATION
"""
_PHRASES = {
    "SQLSTATE HY000", "error -1", "error 0", "error 1", "error 2", "npm 1", "npm ELIFECYCLE",
    "assertion: false",
    "ICE: Encountered errors", "ICE: Segmentation fault", "ICE: unexpected failure", "ICE: unexpected panic",
    "panic: Box<Any>", "panic: Some tests failed", "panic: arithmetic operation overflowed",
    "panic: assertion failed: `(left == right)`",
    "panic: assertion failed: `(left == right) && (right == left)`",
    "panic: called `Option::unwrap()` on a `None` value",
    "panic: called `Result::unwrap()` on an `Err` value",
    "panic: capacity overflow", "panic: explicit failure", "panic: explicit panic",
    "panic: index out of bounds: the len", "panic: internal error: entered unreachable code",
    "panic: no entry found for key", "panic: not yet implemented",
    "panic: runtime error: index out of range",
    "panic: runtime error: invalid memory address or nil pointer dereference",
}  # fmt: skip
_VERBS = """
    Add Any By Capture Catch Clear Console Create Default Display Expected FirstChance From Get GetLast
    Handle Has Ignore Inner Is Last Log Make My No Notify On Page ParserOn Print Raise Record Report Seg
    Segmentation Send Set SetLast Show Some Status Throw Track Unexpected Unhandled Write
"""
_NOUNS = ("Error", "Exception", "Fault", "Interrupt")

GENERIC = frozenset(_EXCEPTIONS.split()) | frozenset(_LABELS.split()) | _PHRASES
"""Labels of specific families that are nevertheless generic."""

NOT_EXCEPTIONS = frozenset(verb + noun for verb in _VERBS.split() for noun in _NOUNS) | {
    "NSError",
    "DispatcherUnhandledException", "RedirectStandardError", "SoapFault", "StandardError", "ThreadException",
}  # fmt: skip
"""Names of methods, events and properties."""
