"""OAuth 2.0 tokens fetched and renewed inside the HTTP client (RFC 6749), one refresh at a time."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx

from app.ingest.http import (
    AuthFailed,
    Misconfigured,
    TokenUnavailable,
    Unreadable,
    code_of,
    json_of,
    kind_of,
)
from app.ports import Now

EARLY_S = 60.0  # renew this long before a token expires


class Grant(Protocol):
    """What is exchanged for an access token."""

    def form(self) -> Mapping[str, str]: ...
    def keep(self, answer: Mapping[str, Any]) -> None:
        """Remember whatever the answer replaces before the new token is used."""
        ...


class ClientCredentials:
    """A client id and secret, exchanged as often as needed."""

    def __init__(self, client_id: str, client_secret: str, scope: str = "") -> None:
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        } | ({"scope": scope} if scope else {})

    def form(self) -> Mapping[str, str]:
        return self._form

    def keep(self, answer: Mapping[str, Any]) -> None:
        """Nothing rotates."""


class RotatingToken:
    """A refresh token that each use replaces; kept in a file, written before the new one is used."""

    def __init__(self, client_id: str, client_secret: str, path: Path) -> None:
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._path = path

    def form(self) -> Mapping[str, str]:
        token = self._path.read_text().strip()
        return {"grant_type": "refresh_token", "refresh_token": token} | self._client

    def keep(self, answer: Mapping[str, Any]) -> None:
        token = answer.get("refresh_token")
        if isinstance(token, str) and token:
            draft = self._path.with_suffix(".new")
            draft.touch(mode=0o600)
            draft.write_text(token)
            draft.replace(self._path)


class OAuth(httpx.Auth):
    """Puts a bearer token on every request; drops it when the tool refuses it, so a retry gets a new one.

    `lifetime_s` is for tools that do not say when a token expires.
    """

    requires_response_body = True

    def __init__(
        self,
        name: str,
        *,
        token_url: str,
        grant: Grant,
        now: Now,
        lifetime_s: float = 1800,
        as_json: bool = False,
    ) -> None:
        self._name, self._url, self._grant, self._now = name, token_url, grant, now
        self._lifetime_s, self._as_json = lifetime_s, as_json
        self._token = ""
        self._expires: datetime | None = None
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        with self._lock:  # single flight: the others wait and find the new token
            if not self._token or (self._expires and self._now() >= self._expires):
                asked = self._now()
                response = yield self._exchange()
                response.read()
                self._accept(response, asked)
            token = self._token
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            with self._lock:
                if self._token == token:
                    self._token = ""

    def _exchange(self) -> httpx.Request:
        form = dict(self._grant.form())
        headers = {"Accept": "application/json"}
        if self._as_json:
            return httpx.Request("POST", self._url, json=form, headers=headers)
        return httpx.Request("POST", self._url, data=form, headers=headers)

    def _accept(self, response: httpx.Response, asked: datetime) -> None:
        try:
            body = json_of(response)
        except Unreadable:
            said = (
                f"answered the request for a token with {kind_of(response)} instead of JSON: check base_url"
            )
            raise TokenUnavailable(said) from None
        if response.status_code == 429:
            raise TokenUnavailable("says the quota is used up (429 for a token)")
        if response.status_code >= 500:
            raise TokenUnavailable(f"is busy or failing ({response.status_code} for a token)")
        if response.status_code in (404, 410):
            raise Misconfigured(
                f"{self._name}: {response.request.url.host} gives no tokens at {response.request.url.path} "
                f"({response.status_code}): check base_url",
                pointer="base_url",
            )
        if not response.is_success or not isinstance(body, dict) or not body.get("access_token"):
            raise AuthFailed(
                f"{self._name}: {response.request.url.host} gives no access token "
                f"({response.status_code} {code_of(body)}): check client id, client secret and scope"
            )
        self._grant.keep(body)
        self._token = str(body["access_token"])
        lifetime_s = float(body.get("expires_in") or self._lifetime_s)
        self._expires = asked + timedelta(seconds=max(lifetime_s / 2, lifetime_s - EARLY_S))


class StaticToken(httpx.Auth):
    """Puts one fixed bearer token on every request."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request
