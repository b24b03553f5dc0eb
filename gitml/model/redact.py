"""Credentials in texts: found before a text is kept, and blacked out before it is shown."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

_HIDDEN: Final = "***"

# Name -> expression; a group `secret` is what is blacked out, else the whole match.
_SHAPES: Final[tuple[tuple[str, str, int], ...]] = (
    (
        "a password in a URL",
        r"[A-Za-z][A-Za-z0-9+.-]{0,31}://(?P<secret>[^\s/?#@:\"'<>]{0,256}:[^\s/?#@\"'<>]{1,512})@",
        0,
    ),
    ("a token in a URL", r"\bhttps?://(?P<secret>[^\s/?#@:\"'<>]{1,512})@", re.I),
    (
        "a signature of a URL",
        r"[?&;](?:sig|X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature)=(?P<secret>[^&\s\"'<>]{8,4096})",
        re.I,
    ),
    (
        "a token in a URL's query",
        r"[?&](?:access_token|private_token|token|api_?key|auth|password|secret)=(?P<secret>[^&\s\"'<>]{6,4096})",
        re.I,
    ),
    (
        "a storage account key",
        r"\b(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/=]{16,512})",
        re.I,
    ),
    ("a shared access signature", r"\bSharedAccessSignature=(?P<secret>[^;\s\"']{8,4096})", re.I),
    ("an AWS access key id", r"\b(?P<secret>(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b", 0),
    (
        "an AWS secret key",
        r"\baws_?secret_?(?:access_?)?key[\"']?\s{0,4}[=:]\s{0,4}[\"']?(?P<secret>[A-Za-z0-9/+=]{40})",
        re.I,
    ),
    (
        "an AWS session token",
        r"\baws_?session_?token[\"']?\s{0,4}[=:]\s{0,4}[\"']?(?P<secret>[A-Za-z0-9/+=]{64,4096})",
        re.I,
    ),
    ("a GitHub token", r"\b(?P<secret>gh[pousr]_[A-Za-z0-9]{36,255})\b", 0),
    ("a GitHub token", r"\b(?P<secret>github_pat_[A-Za-z0-9_]{22,255})", 0),
    ("a GitLab token", r"\b(?P<secret>gl(?:pat|ptt|rt|dt|cbt|soat|agent)-[A-Za-z0-9_-]{20,255})", 0),
    ("a Bitbucket token", r"\b(?P<secret>ATBB[A-Za-z0-9]{32,255})\b", 0),
    ("an Atlassian token", r"\b(?P<secret>ATATT3[A-Za-z0-9_=-]{60,512})", 0),
    ("a Hugging Face token", r"\b(?P<secret>hf_[A-Za-z0-9]{30,255})\b", 0),
    ("an OpenAI or Anthropic key", r"\b(?P<secret>sk-(?:ant-|proj-|live-)?[A-Za-z0-9_-]{20,255})", 0),
    ("a Slack token", r"\b(?P<secret>xox[abeoprs]-[A-Za-z0-9-]{10,255})", 0),
    (
        "a Slack webhook",
        r"hooks\.slack\.com/services/(?P<secret>T[A-Za-z0-9]{6,32}/B[A-Za-z0-9]{6,32}/[A-Za-z0-9]{16,64})",
        0,
    ),
    ("a Google API key", r"\b(?P<secret>AIza[A-Za-z0-9_-]{35})", 0),
    ("a Google OAuth token", r"\b(?P<secret>ya29\.[A-Za-z0-9_-]{20,2048})", 0),
    ("a Google OAuth secret", r"\b(?P<secret>GOCSPX-[A-Za-z0-9_-]{20,64})", 0),
    ("a PyPI token", r"\b(?P<secret>pypi-[A-Za-z0-9_-]{40,1024})", 0),
    ("an npm token", r"\b(?P<secret>npm_[A-Za-z0-9]{36,64})\b", 0),
    ("a Docker Hub token", r"\b(?P<secret>dckr_pat_[A-Za-z0-9_-]{20,128})", 0),
    ("a Databricks token", r"\b(?P<secret>dapi[0-9a-f]{32}(?:-[0-9])?)\b", 0),
    (
        "a Weights & Biases key",
        r"\bWANDB_API_KEY[\"']?\s{0,4}[=:]\s{0,4}[\"']?(?P<secret>[0-9a-zA-Z_-]{40,128})",
        0,
    ),
    ("a Stripe key", r"\b(?P<secret>[rs]k_(?:live|test)_[A-Za-z0-9]{20,255})\b", 0),
    ("a SendGrid key", r"\b(?P<secret>SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64})", 0),
    (
        "a JSON Web Token",
        r"\b(?P<secret>eyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{8,4096})",
        0,
    ),
    (
        "an authorization header",
        r"\b(?:authorization|proxy-authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:basic|bearer|token)\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{8,8192})",
        re.I,
    ),
    ("an authorization header", r"\bbearer\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{20,8192})", re.I),
    (
        "a private key",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?P<secret>[^-]{0,16384})",
        0,
    ),
    (
        "a password",
        r"\b(?:password|passwd|pwd|client_?secret|secret_?key|api_?key)[\"']?\s{0,4}[=:]\s{0,4}[\"']?(?P<secret>[^\s\"'{}$<>*,;&]{8,512})",
        re.I,
    ),
)
# A word before `=` that is a parameter of a training run rather than a secret.
_URL_USERINFO = re.compile(r"\A(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#]*)@")
_URL_QUERY = re.compile(r"[?#].*\Z", re.DOTALL)


@cache
def _shapes() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compiled when a text is looked at: most commands look at none."""
    return tuple((name, re.compile(expression, flags)) for name, expression, flags in _SHAPES)


def redact(text: str) -> str:
    """Black out every credential in a text that is to be shown or logged."""
    for _, pattern in _shapes():
        text = pattern.sub(_blacked_out, text)
    return text


def _blacked_out(match: re.Match[str]) -> str:
    start, end = match.span("secret")
    whole, offset = match[0], match.start()
    return whole[: start - offset] + _HIDDEN + whole[end - offset :]


def find_secret(text: str) -> str | None:
    """Say which kind of credential a text holds; None where it holds none that has a known shape."""
    for name, pattern in _shapes():
        match = pattern.search(text)
        if match is not None and match["secret"] != _HIDDEN:
            return name
    return None


def strip_credentials(url: str) -> str:
    """A URL without its password, token and query; what is no URL stays as it is.

    The user of an ssh URL stays, because it is part of the address (`git@host:team/repo`).
    """
    match = _URL_USERINFO.match(url)
    if match is not None:
        scheme, user = match["scheme"], match["user"].partition(":")[0]
        keep = f"{user}@" if scheme.lower() in ("ssh://", "git+ssh://", "ssh+git://") and user else ""
        url = f"{scheme}{keep}{url[match.end() :]}"
    if "://" in url:
        url = _URL_QUERY.sub("", url)
    return url
