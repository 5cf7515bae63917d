"""The typed families of error codes, earlier ones owning their span; a new family is one line and one test.

Every expression is free of nested repetition, so that a scan is linear in the text. Before one is
tried, one of the family's `hints` must occur in the text's *shape*: lower case, every digit a zero.
"""
# ruff: noqa: E501  # one family is one line

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.detectors.template import mask_message

_Label = Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of code: how it looks, when it is worth looking for, and how it is written."""

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    label: _Label
    open_to_traps: bool = False  # True: its shape alone also fits order numbers, dates and the like
    generic: bool = False  # True: too common to hold tickets together
    at_hint: bool = False  # True: a match begins exactly where a hint does, so only there is it tried


def _text(match: re.Match[str]) -> str:
    return match[match.lastindex or 0]


def _upper(match: re.Match[str]) -> str:
    return _text(match).upper()


def _form(template: str) -> _Label:
    """A label from the groups of a match, upper-cased: "{1}-{2:0>5}"."""
    return lambda match: template.format(match[0].upper(), *(group.upper() for group in match.groups("")))


def _prefixed(prefix: str) -> _Label:
    return lambda match: prefix + _text(match)


def _stop_code(match: re.Match[str]) -> str:
    return f"STOP 0x{int(match[1], 16):X}"


def _grpc(match: re.Match[str]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _text(match)).upper()


def _number(match: re.Match[str]) -> str:
    """ "error 4711"; a large negative number is an HRESULT written in decimal, and becomes one."""
    number = int(_text(match))
    return f"0x{number & 0xFFFFFFFF:08X}" if -0x8000_0000 <= number < -0x7000_0000 else f"error {number}"


def _message(prefix: str) -> _Label:
    """A label from a free-text message: values masked, cut at a length people still read."""
    return lambda match: f"{prefix}: {mask_message(_text(match))}"


_HTTP_STATUS = r"(4(?:0[0-9]|1[0-8]|2[1-9]|31|51|99)|5(?:0[0-8]|1[01]|2[0-9]|30))(?!\w|-\w|[.,]\d)"
_HTTP_REASON = (
    r"internal server|bad gateway|service unavailable|gateway time-?out|not found|forbidden|unauthori[sz]ed"
    r"|bad request|too many requests|conflict|unprocessable|method not allowed|errors?\b|response|status\b"
)
_UNITS = (
    r"(?!\s?(?:%|°|€|\$|£|(?:[a-z]+ )?(?:users?|seats?|times?|items?|pieces?|pcs|rows?|records?|e?mails?|tickets?"
    r"|people|customers?|licen[cs]es?|files?|pages?|days?|hours?|minutes?|seconds?|secs?|mins?|weeks?|months?"
    r"|years?|ms|[kmgt]i?b|eur|usd|gbp|chf|euros?|dollars?|pounds?|watts?|volts?|km|kg|mm|cm|percent|tests?"
    r"|warnings?|errors?|mal|fois|veces|volte|keer|volts?)\b))"
)
_ERROR_CODE_WORDS = (
    r"(?<![^\W_])(?:error[ _-]?(?:code|number|num|no\.?|nr\.?|id)|err(?:or)?[ ]?#|error[ ]\(code|fehler[ -]?(?:code|nummer|nr\.?)"
    r"|code[ ]d['’ ]?erreur|erreur[ ]n[°o]\.?|c[oó]digo[ ]de[ ]err(?:or|o)|codice[ ](?:di[ ])?errore|foutcode"
    r"|foutmelding|felkod|fejlkode|feilkode|virhekoodi|kod[ ]błędu|k[oó]d[ ]chyby|chybov[yý][ ]k[oó]d|hibakód"
    r"|hata[ ]kodu|cod[ ]de[ ]eroare|mã[ ]lỗi|kode[ ](?:kesalahan|error)|код[ ]ошибки|код[ ]помилки"
    r"|エラー(?:コード|番号)|错误代码|错误码|錯誤代碼|错误编号|오류[ ]?코드|에러[ ]?코드|رمز[ ]الخطأ|קוד[ ]שגיאה)"
    r"[ \t]?(?:is|was|ist|lautet|est|es|è)?(?:[ \t:：#=(\"'“„]|-[ ]){0,4}"
)
_BARE_ERROR = r"(?<![^\W_])(?:error|fehler|erreur|errore|erro|fout|ошибка|エラー|错误)"
_CODE_HINTS = (
    "err,fehler,code d,código,codigo,codice,fout,felkod,fejlkode,feilkode,virhekoodi,kod b,kód,kod c,hibakód,chybov"
    ",hata kodu,cod de,mã,kode,код,ошибка,エラー,错误,錯誤,오류,에러,رمز,קוד"
)
_SHOWN = (
    r"\b(?:errors?|codes?|faults?|fail(?:s|ed|ure)?|alarm|warning|fehler|erreur|errore|code|meldung|displays?|screen|panel"
    r"|shows?|shown|appears?|blinks?|flashes|says|said|message|reports?|reads|led)\b"
)
"""What people write beside a code whose shape alone could be a laptop's name or another tracker's key."""
_STOP_HINTS = (
    "irql_,page_fault,system_,kmode_,critical_,memory_m,inaccessible_,_watchdog_,kernel_,video_,unexpected_,bad_,whea_"
    ",ntfs_,unmountable_,apc_,attempted_,driver_,thread_stuck,hal_,faulty_,pfn_,reference_by,internal_power,hypervisor_"
    ",machine_check"
)
_STOP_NAMES = (
    r"(?:DRIVER_)?IRQL_(?:NOT_LESS_OR_EQUAL|GT_ZERO_AT_SYSTEM_SERVICE)|PAGE_FAULT_IN_NONPAGED_AREA"
    r"|SYSTEM_(?:SERVICE|THREAD)_EXCEPTION(?:_NOT_HANDLED)?|KMODE_EXCEPTION_NOT_HANDLED|CRITICAL_PROCESS_DIED"
    r"|MEMORY_MANAGEMENT|INACCESSIBLE_BOOT_DEVICE|(?:DPC|CLOCK)_WATCHDOG_(?:VIOLATION|TIMEOUT)"
    r"|KERNEL_(?:SECURITY_CHECK_FAILURE|DATA_INPAGE_ERROR|MODE_HEAP_CORRUPTION)|VIDEO_TDR_(?:FAILURE|ERROR|TIMEOUT_DETECTED)"
    r"|VIDEO_DXGKRNL_FATAL_ERROR|UNEXPECTED_(?:KERNEL_MODE_TRAP|STORE_EXCEPTION)|BAD_(?:POOL_HEADER|POOL_CALLER|SYSTEM_CONFIG_INFO)"
    r"|WHEA_UNCORRECTABLE_ERROR|NTFS_FILE_SYSTEM|UNMOUNTABLE_BOOT_VOLUME|APC_INDEX_MISMATCH"
    r"|ATTEMPTED_WRITE_TO_READONLY_MEMORY|DRIVER_(?:POWER_STATE_FAILURE|OVERRAN_STACK_BUFFER|VERIFIER_DETECTED_VIOLATION)"
    r"|THREAD_STUCK_IN_DEVICE_DRIVER|HAL_INITIALIZATION_FAILED|FAULTY_HARDWARE_CORRUPTED_PAGE|PFN_LIST_CORRUPT"
    r"|REFERENCE_BY_POINTER|SYSTEM_PTE_MISUSE|INTERNAL_POWER_ERROR|HYPERVISOR_ERROR|MACHINE_CHECK_EXCEPTION"
)
_ERRNO = (
    r"(?:CONN(?:REFUSED|RESET|ABORTED)|(?:HOST|NET)(?:UNREACH|DOWN)|NETRESET|TIMEDOUT|ADDRINUSE|ADDRNOTAVAIL|NOTFOUND"
    r"|AI_AGAIN|PIPE|NOENT|ACCES|PERM|EXIST|NOSPC|MFILE|NFILE|ISDIR|NOTDIR|NOTEMPTY|BUSY|XDEV|INVAL|IO|AGAIN|NOMEM"
    r"|DEADLK|ROFS|LOOP|NAMETOOLONG|PROTO|MSGSIZE|NOTCONN|NOBUFS|NOTSUP|OVERFLOW|FAULT|CANCELED|STALE|DQUOT|NOEXEC"
    r"|BADF|CHILD|SRCH|INTR|NXIO|NODEV|FBIG|SPIPE|MLINK|RANGE|NOSYS)"
)
_PRODUCT_HINTS = (
    "msb0000,cs0000,ts0000,lnk0000,bc00000,fs0000,nu0000,netsdk0000,mt0000,mm0000,xa0000,apt0000,ad0,xls0000,wfly,cww,cwp"
    ",cwl,dsra0,srve0,wsvr0,wtrn0,secj0,adma0,tras0,jbas0,hhh0,arjuna0,ispn0,amq0,dfh,igd0,iec0,dsn,cpf0,cpe0,rnx0,anr0,ans0"
)
_PRODUCT_IDS = (
    r"MSB\d{4}|CS\d{4}|TS\d{4,5}|LNK\d{4}|BC\d{5}|FS\d{4}|NU\d{4}|NETSDK\d{4}|MT\d{4}|MM\d{4}|XA\d{4}|APT\d{4}|AD0?001"
    r"|XLS\d{4}|WFLY[A-Z]{2,12}\d{3,5}|CWW[A-Z]{2}\d{4}[A-Z]|CWP[A-Z]{2}\d{4}[A-Z]|CWL[A-Z]{2}\d{4}[A-Z]"
    r"|(?:DSRA|SRVE|WSVR|WTRN|SECJ|ADMA|TRAS)\d{4}[A-Z]|JBAS\d{6}|HHH\d{6}|ARJUNA\d{6}|ISPN\d{6}|AMQ\d{4,6}[EWI]?"
    r"|DFH[A-Z]{2}\d{4}|IGD\d{3,5}[A-Z]|IEC\d{3}[A-Z]|DSN[A-Z]\d{3}[A-Z]|CPF\d{4}|CPE\d{4}|RNX\d{4}|ANR\d{4}[EW]|ANS\d{4}[EW]"
)
_RUBY_SPACES = (
    r"(?:ActiveRecord|ActionController|ActionView|ActiveModel|ActiveJob|PG|Net|Mysql2|Redis|Faraday|Sidekiq|Rack"
    r"|Gem|Bundler|Nokogiri|Psych|JSON|JWT|SQLite3|Timeout|Zlib)"
)
_K8S = (
    r"CrashLoopBackOff|ImagePullBackOff|ErrImagePull|ErrImageNeverPull|InvalidImageName|OOMKilled|ContainerCannotRun"
    r"|CreateContainer(?:Config)?Error|RunContainerError|FailedScheduling|FailedMount|FailedAttachVolume"
    r"|FailedCreatePodSandBox|NodeNotReady|DeadlineExceededPod|BackoffLimitExceeded|StartError"
)
_CLOUD = (
    r"AccessDenied(?:Exception)?|UnauthorizedOperation|Throttling(?:Exception)?|RequestLimitExceeded|SlowDown"
    r"|ProvisionedThroughputExceededException|NoSuchBucket|NoSuchKey|InvalidClientTokenId|SignatureDoesNotMatch"
    r"|ExpiredToken(?:Exception)?|InvalidAccessKeyId|RequestTimeTooSkewed|InsufficientInstanceCapacity"
    r"|ResourceNotFoundException|LimitExceededException|AuthorizationFailed|QuotaExceeded|rateLimitExceeded"
    r"|userRateLimitExceeded|quotaExceeded|ResourceQuotaExceeded|SkuNotAvailable|OperationNotAllowed"
)
_GRPC = (
    r"CANCELLED|INVALID_ARGUMENT|DEADLINE_EXCEEDED|NOT_FOUND|ALREADY_EXISTS|PERMISSION_DENIED|RESOURCE_EXHAUSTED"
    r"|FAILED_PRECONDITION|ABORTED|OUT_OF_RANGE|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS|UNAUTHENTICATED"
)
_GRPC_HINTS = "led: ,argument: ,exceeded: ,found: ,exists: ,denied: ,exhausted: ,precondition: ,aborted: ,range: ,implemented: ,internal: ,unavailable: ,loss: ,authenticated: "
_REASON_HINTS = "internal server,bad gateway,service unavailable,gateway time,not found,forbidden,unauthori,bad request,too many requests,conflict,unprocessable,not allowed,000 error,000 response,000 status"
_EXCEPTION_NAME = r"[A-Z]\w{0,80}?(?:Exception|Error|Interrupt|Fault)(?:[12])?"


def _family(name: str, hints: str, pattern: str, label: _Label = _upper, **kind: bool) -> Family:
    """`hints` are separated by commas, because a space can be part of one."""
    return Family(name, tuple(hints.split(",")), re.compile(pattern), label, **kind)


FAMILIES: tuple[Family, ...] = (
    _family("aadsts", "aadsts", r"(?i:\b(AADSTS\d{4,8}))\b"),
    _family("oracle", "ora-0,tns-0,pls-0,rman-0", r"(?i:\b(ORA|TNS|PLS|RMAN))-(\d{1,5})\b", _form("{1}-{2:0>5}")),
    _family("npm", "npm", r"npm (?:ERR!|error) code (\w+)", _prefixed("npm ")),
    _family("browser", "err_,_error,dns_probe", r"(?<![A-Za-z0-9_])((?:ERR|NS_ERROR|SSL_ERROR|SEC_ERROR|DNS_PROBE|MOZILLA_PKIX_ERROR|DXGI_ERROR|PR(?=_[A-Z_]{3,40}_ERROR))_[A-Z][A-Z0-9_]{2,60})\b"),
    _family("bugcheck", _STOP_HINTS, rf"\b(?:{_STOP_NAMES})\b"),
    _family("bugcheck", "stop 0x,stop: 0x,stop:0x,stop code,stop error", r"(?i:\bSTOP(?: code| error)?:?)\s?0x0{0,8}([1-9A-Fa-f][0-9A-Fa-f]{0,7})\b", _stop_code),
    _family("hresult", "0x0,0xc", r"(?i:\b0x((?:80[0-4][0-9A-F]|87[6AD][0-9A-F]|8898|8A15|C190|C00[0-4])[0-9A-F]{4}))\b", _form("0x{1}")),
    _family("win32", "e_,rpc_s_", r"\b(E_(?:FAIL|ACCESSDENIED|INVALIDARG|NOINTERFACE|OUTOFMEMORY|UNEXPECTED|POINTER|NOTIMPL|ABORT|HANDLE|PENDING)|[A-Z][A-Z0-9]{1,9}_E_[A-Z0-9_]{3,50}|RPC_S_[A-Z_]{3,50})\b"),
    _family("win32", "error_", r"(?<![A-Za-z0-9_])(ERROR_(?!(?:MESSAGE|CODE|LOG|HANDLER|TYPE|REPORTING|LEVEL|COUNT|TEXT|PAGE|URL|DETAILS?|DESCRIPTION|STACK|NAME|ID|FILE|SUCCESS|STATUS)(?:S|_[A-Z_]*)?\b)[A-Z][A-Z0-9_]{3,60})\b"),
    _family("win32", "status_", r"(?<![A-Za-z0-9_])(STATUS_(?!BAR|CODE|TEXT|ICON|OK)[A-Z0-9]{2,30}(?:_[A-Z0-9]{2,30}){1,6})\b"),
    _family("sqlstate", "sqlstate", r"(?i:\bSQLSTATE)[ \t:=\[(]{0,4}([0-9A-Z]{5})\b", _form("SQLSTATE {1}")),
    _family("sqlserver", "msg 0", r"\b(?i:msg) (\d{2,6}),? (?i:level) \d", _prefixed("Msg ")),
    _family("mysql", "error 0000 (", r"\bERROR (\d{4}) \([0-9A-Z]{5}\)", _prefixed("MySQL ")),
    _family("db2", "sqlcode", r"\b(?i:SQLCODE)[ \t:=]{0,3}(-\d{2,5})\b", _prefixed("SQLCODE ")),
    _family("db2", "sql0", r"\b(SQL\d{4,5}[NWC])\b"),
    _family("rustc", "e0000", r"\b(E0[0-7]\d\d)\b"),
    _family("product", _PRODUCT_HINTS, rf"(?<!arning )\b(?=[A-Z]{{2}})(?:{_PRODUCT_IDS})\b"),
    _family("product", "error", r"\b(?i:error):? (?:code )?((?!E0|KB)[A-Z]{1,10}\d{3,6}[A-Z]?)(?=[:\s.,;)]|$)"),
    _family("ice", "internal compiler error", r"internal compiler error:[ \t]*([^\n]{3,200})", _message("ICE")),
    _family("panic", "panicked at,failed at", r"(?:panicked|task '[^'\n]{0,60}' failed|task failed) at '([^\n]{3,200}?)'(?:,|$|\n)", _message("panic")),
    _family("panic", "panicked at", r"panicked at [^\n:']{1,200}:\d+:\d+:\n([^\n]{3,200})", _message("panic")),
    _family("panic", "panic: ,fatal error: ", r"(?m:^)(?:panic|fatal error): (?!hygiene)([^\n]{3,200})", _message("panic")),
    _family("assertion", "assertion", r"\b[Aa]ssertion at [^\n]{1,300}?, condition [`'\"]([^\n]{1,200}?)['`\"] not met", _message("assertion")),
    _family("assertion", "assertion", r"\bAssertion (?:failed: )?\(?[`'\"(]([^\n'\")]{2,200})['\")`]{1,2} failed", _message("assertion")),
    _family("errno", "e", rf"E(?<!\w.){_ERRNO}\b", generic=True),
    _family("signal", "sig,exc_", r"\b(SIG(?:SEGV|ABRT|BUS|ILL|FPE|KILL|TERM|TRAP|PIPE|SYS|XCPU)|EXC_[A-Z]{3,20}(?:_[A-Z]{2,20}){0,3})\b", generic=True),
    _family("kubernetes", "backoff,errimage,invalidimage,oomkilled,container,failedscheduling,failedmount,failedattach,failedcreate,nodenotready,starterror", rf"\b(?:{_K8S})\b", _text, generic=True),
    _family("cloud", "accessdenied,throttl,exceeded,slowdown,nosuch,invalidclient,signaturedoes,expiredtoken,invalidaccess,requesttime,insufficientinst,resourcenot,unauthorizedop,authorizationfailed,skunot,notallowed", rf"\b(?:{_CLOUD})\b", _text, generic=True),
    _family("exception", "exception,error,interrupt,fault", rf"(?<![A-Za-z0-9_$<])({_EXCEPTION_NAME})(?![A-Za-z0-9_]|\.[a-z]{{2,4}}\b)", _text),
    _family("exception", "::", rf"\b{_RUBY_SPACES}(?:::[A-Z]\w{{0,40}})?::([A-Z]\w{{2,60}})\b", _text),
    _family("exception", "null", r"(?i:\bnull ?pointer ?exception)\b", lambda _: "NullPointerException"),
    _family("exception", "null", r"(?i:\bnull ?reference ?exception)\b", lambda _: "NullReferenceException"),
    _family("grpc", _GRPC_HINTS, rf"(?<![\w.])({_GRPC}):\s", generic=True),
    _family("grpc", "rpc error", r"rpc error: code = ([A-Z][A-Za-z]{3,30})", _grpc, generic=True),
    _family("smtp", "000 0.0.0,000-0.0.0,000 #0.0.0,000 0.0.00,000-0.0.00", r"\b[45]\d\d[ -]#?([45]\.\d{1,3}\.\d{1,3})\b", _prefixed("SMTP ")),
    _family("smtp", "smtp,dsn,ndr,bounce", r"(?i:\b(?:smtp|dsn|ndr|bounce[sd]?)\b)[^.\n]{0,30}?\b([45]\.\d{1,3}\.\d{1,3})\b", _prefixed("SMTP ")),
    _family("http", "http", rf"(?i:\bHTTPS?(?:/\d(?:\.\d)?)?(?:[ \t]?(?:status|error|response|code|returned|statuscode)){{0,3}}[ \t:=(\"-]{{0,4}}){_HTTP_STATUS}", _prefixed("HTTP "), generic=True),
    _family("http", "status", rf"(?i:\bstatus(?:[ _]?code)?[ \t:=(\"]{{1,4}}(?:of |is |was )?){_HTTP_STATUS}{_UNITS}", _prefixed("HTTP "), open_to_traps=True, generic=True),
    _family("http", _REASON_HINTS, rf"(?<![\w#$€£.,-]){_HTTP_STATUS}(?i:[ \t:,()-]{{1,3}}(?:{_HTTP_REASON}))", _prefixed("HTTP "), open_to_traps=True, generic=True),
    _family("http", "rror 000,rrors 000,rror: 000,rror code,fehler 000,erreur 000,fout 000,rror-code,rror #000,rror (000", rf"(?i:{_BARE_ERROR}(?:[ -]?code)?s?[ \t:#(]{{1,3}}){_HTTP_STATUS}{_UNITS}", _prefixed("HTTP "), open_to_traps=True, generic=True),
    _family("http", "a 000,an 000,n 000", rf"(?i:\b(?:got|gets?|getting|returns?|returned|returning|throws?|threw|gives?|giving|gave|receiv(?:e|es|ed|ing)|sees?|seeing|saw|shows?|with|bekomme|erhalte) (?:me )?(?:an?|einen?) ){_HTTP_STATUS}{_UNITS}", _prefixed("HTTP "), open_to_traps=True, generic=True),
    _family("exit", "exit,return code,returned code,return value,returned", r"(?i:\b(?:exit(?:ed|s|ing)?|return(?:ed)?)(?:[ ](?:with|non-?zero|exit|error|a)){0,3}[ ](?:code|status|value)(?:[ ]of)?[ :=(]{1,3})(-?[1-9]\d{0,9})(?!\w|\.\d)", _prefixed("exit code "), generic=True),
    _family("exit", "exited with ,*** [", r"(?i:\bexited with (?:code )?|\*\*\* \[[^\n\]]{0,400}\] Error )(-?[1-9]\d{0,9})(?!\w|\.\d)", _prefixed("exit code "), generic=True),
    _family("vendor", _CODE_HINTS, rf"(?i:{_ERROR_CODE_WORDS})((?i:[A-Z]{{1,10}}(?:-[A-Z]{{1,10}})?-\d{{1,6}}))(?![\w-])", at_hint=True),
    _family("vendor", _CODE_HINTS, rf"(?i:{_ERROR_CODE_WORDS})([A-Z][A-Z0-9]{{1,30}}(?:_[A-Z0-9]{{1,30}}){{1,6}})\b", at_hint=True),
    _family("vendor", _CODE_HINTS, rf"(?i:{_ERROR_CODE_WORDS}|{_BARE_ERROR}[ :#]{{1,2}})([A-Z]{{1,6}}\d{{1,6}})(?![\w-])", at_hint=True),
    _family("vendor", _CODE_HINTS, rf"(?i:{_ERROR_CODE_WORDS}|{_BARE_ERROR}[\"']? ?[:=#] ?[\"']?)([a-z][a-z0-9]{{1,30}}(?:_[a-z0-9]{{1,30}}){{1,6}})(?=\s*(?:$|\n|[.,;)!\"'&}}]))", _text, at_hint=True),
    _family("number", _CODE_HINTS, rf"(?i:{_ERROR_CODE_WORDS})(-?\d{{1,10}})(?![\w-]|[.,]\d){_UNITS}", _number, at_hint=True),
    _family("number", _CODE_HINTS, rf"(?i:{_BARE_ERROR} #?)(-?\d{{2,10}})(?![\w-]|[.,]\d){_UNITS}", _number, open_to_traps=True, at_hint=True),
    _family("number", _CODE_HINTS, rf"(?i:{_BARE_ERROR}: ?)(-?\d{{2,10}})(?=\s*(?:$|\n|[.,;)!]\s))", _number, open_to_traps=True, at_hint=True),
    _family("vendor", "-000", r"(?<![\w/.@#-])([A-Z]{2,5}(?:-[A-Z]{2,10})?-\d{3,6})(?![\w-]|\.\d)", open_to_traps=True),
    _family("vendor", "-000", rf"(?i:{_SHOWN})[^\n.]{{0,40}}?(?<![\w/.@#-])([A-Z]{{6,12}}-\d{{3,6}})(?![\w-]|\.\d)", open_to_traps=True),
    _family("vendor", "e-000", r"(?<![\w/.@#-])(E-\d{3,6})(?![\w-]|\.\d)", open_to_traps=True),
    _family("vendor", "err00", r"(?<![\w/.@#-])(ERR\d{2,6})(?![\w-]|\.\d)", open_to_traps=True),
    _family("vendor", "e0000", rf"(?i:{_SHOWN})[^\n.]{{0,40}}?(?<![\w/.@#-])(E[1-9]\d{{3,4}})(?![\w-]|\.\d)", open_to_traps=True),
    _family("vendor", "e0000", rf"(?<![\w/.@#-])(E[1-9]\d{{3,4}})(?![\w-]|\.\d)(?=[^\n.]{{0,40}}(?i:{_SHOWN}))", open_to_traps=True),
)  # fmt: skip
"""In order of ownership. The order is also the order of precedence among specific signatures."""
