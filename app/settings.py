"""Every setting, once: the only reader of the environment and of `foreshock.toml`.

Each setting can be given as a line of the file or as a variable `FORESHOCK_<NAME>`; the variable wins.
A secret is never a line of the file: it comes from its variable, or from a file named by `<NAME>_FILE`.
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from tempfile import mkstemp
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import Invalid

PROJECT = Path(__file__).resolve().parent.parent
MODELS = next((p for p in (PROJECT / "models", Path(__file__).parent / "models") if p.is_dir()), PROJECT)
LOOPBACK = ("127.0.0.1", "::1", "localhost")
OIDC_VARIABLE = "OIDC_CLIENT_SECRET"
"""Variable (or, with _FILE, file) that holds the secret the identity provider knows this installation by."""
CHOOSABLE = ("alerts_per_week", "granularity", "similar_floor", "keep_account_names", "retention_days")
"""Settings that may change while running; the others are read once, at the start."""

SMTP_PASSWORD = "SMTP_PASSWORD"  # noqa: S105 - the name of the variable (or, with _FILE, file), not its value

Words = Annotated[tuple[str, ...], NoDecode]
"""A list in the file, or words separated by commas in a variable."""


class SourceSettings(BaseModel):
    """One `[[sources]]` table: `name` and `kind`, and the options of that kind."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    kind: str
    every_s: int = Field(default=300, ge=10)
    hook_secret: str = ""  # name of the secret that webhooks of this tool are signed with
    hook_id_path: str = ""  # where a webhook of your own making keeps the ticket's id
    options: dict[str, Any] = {}


class Settings(BaseSettings):
    """What an installation can choose; every field's description is its line in the README."""

    model_config = SettingsConfigDict(env_prefix="FORESHOCK_", extra="forbid", frozen=True)

    database_url: str = Field("sqlite:///foreshock.sqlite3", description="SQLite file or PostgreSQL database")
    host: str = Field("127.0.0.1", description="address to listen on; anything but loopback needs an API key")
    port: int = Field(8321, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: str = Field("", description="the address people reach the pages by, used in links")
    data_dir: Path = Field(Path(), description="where the generated secret and rejects files are kept")
    secret: str = Field("", description="key of all hashes and signatures (variable or secret_file only)")
    secret_file: Path | None = Field(None, description="file that holds the secret")
    time_zone: str = Field("UTC", description="business time zone: decides where days and weeks begin")
    alerts_per_week: float = Field(5.0, ge=0.01, le=1000, description="alerts per week the lead will read")
    clusters_per_1000: float = Field(
        3.0, ge=0, le=100, description="calls of the neighbourhood scan per 1,000 tickets, before the budget"
    )
    granularity: Literal["finer", "balanced", "broader"] = Field(
        "balanced", description="how alike tickets of one pattern must be"
    )
    segments: Words = Field(("product", "region"), description="attributes counted as topics of their own")
    ticket_prefixes: Words = Field((), description="prefixes of your own ticket keys, never read as errors")
    keep_account_names: bool = Field(True, description="store customer organisations' display names")
    model: Path = Field(MODELS / "all-minilm-l6-v2", description="folder of the embedding model")
    tick_s: int = Field(60, ge=5, description="seconds between two runs of the worker's steps")
    body_limit_kb: int = Field(4096, ge=1, description="largest request body accepted")
    similar_floor: float | None = Field(
        None,
        ge=0,
        le=1,
        description="probability below which similar says nothing similar (none: the model's own)",
    )
    similar_budget_ms: int = Field(
        800,
        ge=50,
        le=60_000,
        description="milliseconds after which similar answers with what it has, by words",
    )
    retention_days: int | None = Field(
        None,
        ge=190,
        description="days after which a ticket's text, names and vector are erased (none: never)",
    )
    oidc_issuer: str = Field(
        "", description="identity provider people may sign in with (none: passwords only)"
    )
    oidc_client_id: str = Field("", description="what the identity provider calls this installation")
    oidc_role: Literal["", "viewer", "lead"] = Field(
        "", description="role of people the identity provider knows and no admin added (none: refused)"
    )
    webhook_allow: Words = Field((), description="internal hosts webhooks may reach, as host or host:port")
    widget_origins: Words = Field(
        (), description="origins that may show the widget and ask for similar cases from a page"
    )
    smtp_host: str = Field("", description="mail server that takes e-mail digests")
    smtp_port: int = Field(587, ge=1, le=65535, description="its port")
    smtp_security: Literal["tls", "starttls", "none"] = Field(
        "starttls", description="encryption on the way to it"
    )
    smtp_user: str = Field("", description="user name there; the password is `SMTP_PASSWORD`")
    smtp_sender: str = Field("", description="address digests come from")
    requests_per_minute: int = Field(600, ge=1, description="requests a minute one key or address may make")
    sources: tuple[SourceSettings, ...] = Field((), description="connected ticketing tools")

    @field_validator("segments", "ticket_prefixes", "webhook_allow", "widget_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(w.strip() for w in value.split(",") if w.strip()) if isinstance(value, str) else value

    @field_validator("widget_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin):
                raise ValueError(f'{origin!r} is not an origin (for example "https://desk.example.com")')
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            near = [z for z in sorted(available_timezones()) if value.lower()[:6] in z.lower()][:3]
            hint = f"; did you mean {', '.join(near)}?" if near else ' (for example "Europe/Berlin")'
            raise ValueError(f"{value!r} is not a time zone of the IANA database{hint}") from error
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value.replace("postgresql://", "postgresql+psycopg://", 1)

    @field_validator("sources")
    @classmethod
    def _distinct(cls, value: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        names = [source.name for source in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]}: give each a name of its own")
        return value

    _fixed: frozenset[str] = PrivateAttr(frozenset())  # named by a variable or on the command line

    def is_fixed(self, name: str) -> bool:
        """Whether a variable or an option of the command line decides this setting."""
        return name in self._fixed

    def overlaid(self, chosen: Mapping[str, Any]) -> Settings:
        """These settings with `chosen` instead of the file's; what is fixed stays. Raises Invalid."""
        free = {name: value for name, value in chosen.items() if name not in self._fixed}
        try:
            made = Settings(**(self.model_dump() | free))
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise Invalid(f"{name}: {first['msg'].removeprefix('Value error, ')}", pointer=name) from None
        made._fixed = self._fixed
        return made

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def base_url(self) -> str:
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    def key(self) -> bytes:
        """The installation's secret; made once and kept in `data_dir/secret.key` when none is given."""
        if self.secret:
            return self.secret.encode()
        path = self.secret_file or self.data_dir / "secret.key"
        try:
            if self.secret_file is None and not path.exists():
                _make_secret(path)
            found = path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError as error:
            raise Invalid(f"{path} does not hold a secret: it is not text") from error
        except OSError as error:
            doing = "read the secret from" if self.secret_file or path.exists() else "keep a secret in"
            raise Invalid(
                f"cannot {doing} {path}: {error.strerror}; let this user do so, or set data_dir, secret_file "
                "or the variable FORESHOCK_SECRET"
            ) from error
        if not found:
            raise Invalid(
                f"the secret file {path} is empty: put the secret back, or remove the file for a new one"
            )
        return found.encode()


def _make_secret(path: Path) -> None:
    """Whole or not at all: of processes that start together the first one's secret is everybody's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, made = mkstemp(dir=path.parent, prefix=".secret-")  # readable by this user only
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        Path(made).unlink()


def secret(name: str) -> str:
    """The value of a secret by the name a setting gives: a variable, or the file its `<NAME>_FILE` names."""
    if name in os.environ:
        return os.environ[name]
    file = os.environ.get(f"{name}_FILE")
    if not name or file is None:
        raise Invalid(
            f"the secret {name or '(no name given)'} is not set: set the variable {name} or {name}_FILE"
        )
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Invalid(f"cannot read the secret {name} from {file}: {error.strerror}") from error


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """Settings from `path` (or FORESHOCK_CONFIG, or ./foreshock.toml), the environment and `overrides`.

    Raises Invalid naming the file or variable and the line to change.
    """
    named = path or (Path(os.environ["FORESHOCK_CONFIG"]) if os.environ.get("FORESHOCK_CONFIG") else None)
    file = named or Path("foreshock.toml")
    values = _read(file) if file.exists() or named else {}
    environment = {k[len("FORESHOCK_") :].lower() for k in os.environ if k.startswith("FORESHOCK_")}
    for name in sorted(environment - Settings.model_fields.keys() - {"config"}):
        if near := _near(name):  # others may be secrets of sources: their names are the operator's own
            raise Invalid(
                f"FORESHOCK_{name.upper()}: there is no such setting; did you mean FORESHOCK_{near.upper()}?"
            )
    values = {k: v for k, v in values.items() if k not in environment} | overrides
    try:
        made = Settings(**values)
    except ValidationError as error:
        raise Invalid(_explain(error, file, environment)) from None
    made._fixed = frozenset(environment | set(overrides))
    return made


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"cannot read the settings file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} is not valid TOML: {error}") from error
    if "secret" in values:
        raise Invalid(f"{file}: a secret must not be in this file; use FORESHOCK_SECRET or secret_file")
    return values


def _near(name: str) -> str:
    """The setting a misspelt name may stand for."""
    return next(iter(get_close_matches(name, Settings.model_fields, 1, 0.75)), "")


def _explain(error: ValidationError, file: Path, environment: set[str]) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"]) or "settings"
        top = name.split(".", maxsplit=1)[0]
        where = f"FORESHOCK_{top.upper()}" if top in environment else f"{name} in {file.name}"
        if problem["type"] == "extra_forbidden":
            near = _near(name)
            lines.append(f"{where}: there is no such setting" + (f"; did you mean {near}?" if near else ""))
        else:
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
