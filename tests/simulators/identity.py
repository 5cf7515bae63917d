"""A small OpenID Connect provider on loopback: discovery, keys, authorization code with PKCE, ID tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "foreshock", "what only the two of us know"


@dataclass
class IdentityProvider:
    """Whom it vouches for, and what it is made to get wrong."""

    issuer: str = ""
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "s-1", "email": "mara@example.com", "email_verified": True}
    )
    wrong: dict[str, Any] = field(default_factory=dict)  # claims of the ID token to falsify
    denies: bool = False
    signs_with: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048))
    key: RSAKey = field(init=False)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # authorization requests by code

    def __post_init__(self) -> None:
        self.key = self.signs_with

    def authorize(self, query: dict[str, str]) -> str:
        """The address the browser is sent back to."""
        answer = {"state": query["state"]}
        if self.denies:
            return f"{query['redirect_uri']}?{urlencode(answer | {'error': 'access_denied'})}"
        code = secrets.token_urlsafe(12)
        self.asked[code] = query
        return f"{query['redirect_uri']}?{urlencode(answer | {'code': code})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        query = self.asked.pop(form.get("code", ""), None)
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if query is None or authorization != expected:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != query["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = self.claims | {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"],
        } | self.wrong  # fmt: skip
        signed = jwt.encode({"alg": "RS256"}, claims, self.signs_with)
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": signed}

    def document(self) -> dict[str, str]:
        return {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
        }  # fmt: skip


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """The provider, listening on loopback."""
    held = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/authorize":
                self.send_response(302)
                self.send_header(
                    "location", held.authorize({k: v[0] for k, v in parse_qs(url.query).items()})
                )
                self.send_header("content-length", "0")
                self.end_headers()
            elif url.path == "/keys":
                self.answer(200, {"keys": [held.key.as_dict(private=False)]})
            else:
                self.answer(200, held.document())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {k: v[0] for k, v in parse_qs(body).items()}
            self.answer(*held.token(form, self.headers.get("authorization", "")))

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    held.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
