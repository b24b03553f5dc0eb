"""Credentials are found before they are kept, and blacked out before they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.model.redact import find_secret, redact, strip_credentials

# Put together at run time, so that no scanner takes this file for a leak.
AZ = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3Ab4Cd5Ef6Gh7Ij8"
SECRETS = [
    ("https://user:{}@host/x", "hunter2pass"), ("https://{}@github.com/o/r", "gh" + "p_" + AZ[:36]),
    ("ssh://git:{}@host/x", "hunter2pass"),
    ("s3://key:{}@bucket/x", "hunter2pass"), ("https://a.blob.core.windows.net/c?sv=1&sig={}", AZ[:40]),
    ("x?X-Amz-Signature={}", "0af1" * 16),
    ("x?X-Goog-Signature={}", "0af1" * 16), ("x?a=1&access_token={}", AZ[:20]), ("x?private_token={}", AZ[:20]),
    ("AccountName=a;AccountKey={};", AZ[:44] + "=="),
    ("SharedAccessKey={}", AZ[:43] + "="), ("SharedAccessSignature={}", "sv=2020&sig=" + AZ[:20]),
    ("id {} here", "AKI" + "A" + "ABCDEFGH234567QR"),
    ("id {}", "ASI" + "A" + "ABCDEFGH234567QR"), ("aws_secret_access_key = {}", AZ[:40]),
    ("aws_session_token={}", AZ + AZ), ("token {}", "gh" + "o_" + AZ[:36]),
    ("{}", "github_" + "pat_" + AZ[:40]), ("{}", "glp" + "at-" + AZ[:20]), ("{}", "ATB" + "B" + AZ[:32]),
    ("{}", "ATATT" + "3" + AZ + AZ), ("{}", "hf" + "_" + AZ[:34]),
    ("{}", "sk" + "-" + AZ[:48]), ("{}", "sk" + "-ant-" + AZ[:48]), ("{}", "xo" + "xb-123456789012-" + AZ[:24]),
    ("https://hooks.slack.com/services/{}", "T01234567/B01234567/" + AZ[:24]), ("{}", "AI" + "za" + AZ[:35]),
    ("{}", "ya" + "29." + AZ[:40]), ("{}", "GOC" + "SPX-" + AZ[:28]),
    ("{}", "py" + "pi-" + AZ[:50]), ("{}", "np" + "m_" + AZ[:36]), ("{}", "dckr" + "_pat_" + AZ[:27]),
    ("{}", "da" + "pi" + "0123456789abcdef" * 2),
    ("WANDB_API_KEY={}", "0123456789abcdef" * 2 + "01234567"), ("{}", "sk" + "_live_" + AZ[:24]),
    ("{}", "S" + "G." + AZ[:22] + "." + AZ[:43]),
    ("{}", "ey" + "J" + AZ[:20] + "." + "ey" + "J" + AZ[:30] + "." + AZ[:43]), ("Authorization: Basic {}", AZ[:24]),
    ("authorization: Bearer {}", AZ[:24]),
    ('"Authorization": "token {}"', AZ[:24]),
    ("-----BEGIN RSA PRIVATE KEY-----{}-----END RSA PRIVATE KEY-----", "\nMIIE" + AZ),
    ("-----BEGIN OPENSSH PRIVATE KEY-----{}", "\nb3Bl" + AZ),
    ("password={}", "correcthorse"), ("password: '{}'", "correcthorse"), ("client_secret={}", AZ[:30]), ("api_key={}", AZ[:30]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "secret"), SECRETS)
@pytest.mark.parametrize("around", ["{}", "fatal: could not read {}: no", "\n{}\n", "url = {} # x"])
def test_secrets_are_found_and_blacked_out(form: str, secret: str, around: str) -> None:
    text = around.format(form.format(secret))
    assert find_secret(text) is not None
    assert secret not in redact(text)
    assert secret[4:-4] not in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "models/digits@3", "git@host:team/repo.git", "https://host/o/r.git", "s3://bucket/prefix",
        "Ada Example <ada@example.com>", "sha256:" + "9f86d081" * 8,
        "4f2c" * 10, "tokens=5", "max_tokens: 4096", "python train.py --password-file x", "signature: inputs",
        "the passwords are elsewhere", "AKIA", "sk-learn",
        "ssh://git@host/x", "task-based", "hf_model", "api_key=${API_KEY}", "password=***", "a:b@c",
        "http://host:8080/a@b", "eyJ", "risk-aversion-of-the-model-family",
        "npm_config", "accuracy >= 0.9", "xoxo", "see https://x.org/a?b=c&d=e", "file:///srv/store",
    ],
)  # fmt: skip
def test_ordinary_texts_are_left_alone(text: str) -> None:
    assert find_secret(text) is None
    assert redact(text) == text


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://user:pass@host/o/r.git", "https://host/o/r.git"), ("https://token@host/o/r", "https://host/o/r"),
        ("https://host/o/r", "https://host/o/r"),
        ("ssh://git@host/o/r", "ssh://git@host/o/r"), ("ssh://git:pw@host:22/o/r", "ssh://git@host:22/o/r"),
        ("git@host:o/r.git", "git@host:o/r.git"),
        ("https://u:p@ss@host/x", "https://host/x"), ("https://u:p%40@host/x?sig=abc", "https://host/x"),
        ("https://host/x?sig=abc#t", "https://host/x"),
        ("https://host/a@b", "https://host/a@b"), ("/srv/repo@2", "/srv/repo@2"), ("../r", "../r"),
        ("HTTPS://U:P@HOST/x", "HTTPS://HOST/x"), ("https://:p@h/x", "https://h/x"),
        ("https://u:@h", "https://h"), ("file:///srv/r", "file:///srv/r"),
    ],
)  # fmt: skip
def test_urls_without_credentials(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped
    assert strip_credentials(stripped) == stripped


@given(st.text(max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "://a:",
        "a@",
        "eyJ",
        "password=",
        "-----BEGIN ",
        "?sig=",
        "AccountKey=",
        "bearer ",
        "ghp_",
        "\"' ",
        "://",
        "A" * 50,
    ],
)
def test_hostile_texts_end(piece: str) -> None:
    redact(piece * (20_000 // len(piece)))
