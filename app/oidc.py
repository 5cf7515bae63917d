"""Sign-in through an identity provider: OpenID Connect's authorization code flow with PKCE.

authlib knows OAuth 2's requests, joserfc checks the ID token's signature and claims (OpenID Connect Core, 3.1.3.7).
Nothing of the provider is kept: who somebody is follows from the ID token alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.errors import Invalid, TryLater

ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "ES256",
    "ES384",
    "EdDSA",
    "Ed25519",
]  # none by shared secret
LEEWAY_S = 60  # clocks differ
TIMEOUT_S = 10.0
FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider and how this installation is registered there."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    transport: httpx.BaseTransport | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """What the browser keeps between leaving for the provider and coming back."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for: `id` never changes, `address` is a confirmed e-mail address or ""."""

    id: str
    address: str


def begin(provider: Provider) -> tuple[str, Errand]:
    """The provider's address to send a browser to, and what it must bring back."""
    errand = Errand(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
    with _client(provider) as client:
        endpoint = _discovered(client, provider)["authorization_endpoint"]
    url: str = prepare_grant_uri(
        endpoint, client_id=provider.client_id, response_type="code", redirect_uri=provider.redirect_uri,
        scope="openid email", state=errand.state, nonce=errand.nonce,
        code_challenge=create_s256_code_challenge(errand.verifier), code_challenge_method="S256",
    )  # fmt: skip
    return url, errand


def finish(provider: Provider, errand: Errand, *, state: str, code: str, at: datetime) -> Identity:
    """Who came back with `code`. Raises Invalid when the answer does not belong to the errand."""
    if not secrets.compare_digest(state.encode(), errand.state.encode()):
        raise Invalid("this sign-in was begun elsewhere or is out of date: begin again")
    with _client(provider) as client:
        known = _discovered(client, provider)
        try:
            id_token = _id_token(client, provider, known["token_endpoint"], errand, code)
            keys = client.get(known["jwks_uri"]).raise_for_status().json()
            return _identity(provider, errand, id_token, keys, at)
        except (JoseError, KeyError, ValueError) as error:
            what = type(error).__name__
            raise Invalid(f"the identity provider's answer cannot be trusted ({what})") from error
        except httpx.HTTPError as error:
            raise _silent(provider) from error


def _id_token(client: httpx.Client, provider: Provider, endpoint: str, errand: Errand, code: str) -> str:
    """The ID token the code stands for. Raises Invalid when the provider refuses the code."""
    body = prepare_token_request(
        "authorization_code", redirect_uri=provider.redirect_uri, code=code, code_verifier=errand.verifier
    )
    sender = ClientAuth(provider.client_id, provider.client_secret, "client_secret_basic")
    url, headers, body = sender.prepare("POST", endpoint, {"Accept": "application/json", **FORM}, body)
    answer = client.post(url, content=body, headers=headers)
    if answer.is_client_error:
        raise Invalid("the identity provider refused the sign-in: begin again, or check OIDC_CLIENT_SECRET")
    return str(answer.raise_for_status().json()["id_token"])


def _identity(
    provider: Provider, errand: Errand, id_token: str, keys: dict[str, Any], at: datetime
) -> Identity:
    claims = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=ALGORITHMS).claims  # type: ignore[arg-type]
    jwt.JWTClaimsRegistry(
        now=int(at.timestamp()),
        leeway=LEEWAY_S,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": provider.client_id},
        nonce={"essential": True, "value": errand.nonce},
        sub={"essential": True},
        exp={"essential": True},
    ).validate(claims)
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if several and claims.get("azp") != provider.client_id:
        raise ValueError("the token was made for another client")
    address = str(claims.get("email", "")) if claims.get("email_verified") is True else ""
    return Identity(f"{provider.issuer} {claims['sub']}", address)


def _client(provider: Provider) -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT_S, transport=provider.transport)


def _discovered(client: httpx.Client, provider: Provider) -> dict[str, str]:
    """Where the provider's endpoints are (OpenID Connect Discovery)."""
    address = urlsplit(provider.issuer)
    if address.scheme != "https" and address.hostname not in LOOPBACK:
        raise Invalid("oidc_issuer must begin with https://")
    try:
        url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = client.get(url).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise _silent(provider) from error
    if found.get("issuer") != provider.issuer:
        raise Invalid("the identity provider calls itself by another address than oidc_issuer says")
    return {n: str(found.get(n, "")) for n in ("authorization_endpoint", "token_endpoint", "jwks_uri")}


def _silent(provider: Provider) -> TryLater:
    return TryLater(
        f"the identity provider {urlsplit(provider.issuer).hostname} does not answer as it should"
    )
