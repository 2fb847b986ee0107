"""Do the providers' own libraries give the token() of the page a password, and keep it as the page says?

Where a token is fetched, it is fetched here: from a server of this test. Each library is told of it by its own means.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.docs.running import run_example

PAGE = "docs/how-to/providers/short-lived-passwords.md"
WHO = ("primary.example.org", "5432", "site")
HOUR_SECONDS = 3600


class Provider(ThreadingHTTPServer):
    """Hands out tokens, as the metadata service of a machine and the token service of an account do."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[dict[str, list[str]]] = []

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.server_port}/token"


class Answer(BaseHTTPRequestHandler):
    """One token."""

    server: Provider

    def do_GET(self) -> None:
        """Note what is asked for, and give a token for an hour."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append(parse_qs(body or urlsplit(self.path).query))
        number, ends_at = len(self.server.asked), str(int(time.time()) + HOUR_SECONDS)
        told = {"access_token": f"token {number}", "expires_in": HOUR_SECONDS, "expires_on": ends_at}
        content = json.dumps({**told, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815  the handler's own name

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_amazon_signs_a_token_for_one_host_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"DEFAULT_REGION": "eu-central-1", "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    nothing = {"EC2_METADATA_DISABLED": "true", "CONFIG_FILE": str(tmp_path), "SHARED_CREDENTIALS_FILE": str(tmp_path)}
    for name, value in {**given, **nothing}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    token = run_example(PAGE, "import boto3")["token"]
    signed = urlsplit(f"//{token(*WHO)}")
    assert signed.netloc == "primary.example.org:5432"
    said = parse_qs(signed.query)
    assert (said["Action"], said["DBUser"], said["X-Amz-Expires"]) == (["connect"], ["site"], ["900"])


def test_google_s_token_is_fetched_and_kept_while_it_is_valid(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": "office", "client_email": "site@example.org"}
    file = tmp_path / "account.json"
    file.write_text(json.dumps({**account, "private_key": key.decode(), "token_uri": provider.url}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    names = run_example(PAGE, "import google.auth")
    assert [names["token"](*WHO) for _ in range(2)] == ["token 1", "token 1"]
    (asked,) = provider.asked
    claims = json.loads(base64.urlsafe_b64decode(asked["assertion"][0].split(".")[1] + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/sqlservice.login"
    names["credentials"].expiry = names["credentials"].expiry.replace(year=2000)
    assert names["token"](*WHO) == "token 2"


def test_azure_s_token_is_fetched_and_kept_by_its_library(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", provider.url)
    monkeypatch.setenv("IDENTITY_HEADER", "of this machine")
    token = run_example(PAGE, "DefaultAzureCredential()")["token"]
    assert [token(*WHO) for _ in range(2)] == ["token 1", "token 1"]
    (asked,) = provider.asked
    assert asked["resource"] == ["https://ossrdbms-aad.database.windows.net"]
