"""Every error a caller can act on, named by what the caller can do about it."""


class ForeshockError(Exception):
    """Base of all expected errors; `str(error)` is a sentence that says what to change."""

    title = "Something went wrong"
    status = 500


class NotFound(ForeshockError):
    """The thing named does not exist: name another one."""

    title = "Not found"
    status = 404


class Invalid(ForeshockError):
    """The input cannot be used: change it. `pointer` is a JSON pointer or an option's name."""

    title = "Invalid input"
    status = 422

    def __init__(self, detail: str, *, pointer: str = "") -> None:
        super().__init__(detail)
        self.pointer = pointer


class Forbidden(ForeshockError):
    """The caller may not do this: ask somebody who may, or sign in as one."""

    title = "Not allowed"
    status = 403


class Conflict(ForeshockError):
    """The input contradicts what is stored: read the current state and decide again."""

    title = "Conflict"
    status = 409


class TryLater(ForeshockError):
    """Nothing is wrong with the input: the same call can succeed later."""

    title = "Try again later"
    status = 503

    def __init__(self, detail: str, *, after_s: float = 30.0) -> None:
        super().__init__(detail)
        self.after_s = after_s
