"""Documents to look for personal data in, and a key that hides nothing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pyarrow as pa

from assets.documents import MESSAGES, content_hash
from assets.privacy.keys import PiiKey

KEY = PiiKey(b"a key for tests only")


def documents(*texts: str, language: str | None = None) -> pa.Table:
    return pa.table(
        {
            "doc_id": pa.array([f"{i:032x}" for i in range(len(texts))], pa.string()),
            "source": pa.array(["s"] * len(texts), pa.string()),
            "content_hash": pa.array([content_hash(text) for text in texts], pa.string()),
            "text": pa.array(texts, pa.string()),
            "messages": pa.nulls(len(texts), MESSAGES),
            "language": pa.array([language] * len(texts), pa.string()),
        }
    )


def _base64url(value: str) -> str:
    return urlsafe_b64encode(value.encode()).decode().rstrip("=")


def web_token(claims: int = 1) -> str:
    """A JSON web token with so many claims."""
    payload = json.dumps({f"claim{number}": "nobody" for number in range(claims)})
    return ".".join([*map(_base64url, ('{"alg": "HS256", "typ": "JWT"}', payload)), "c2lnbmF0dXJl" * 4])


def private_key(kind: str = "RSA ", lines: int = 3) -> str:
    """Something that looks like a private key of so many lines and is none."""
    body = "\n".join(["Tm90IGEga2V5" * 5] * lines)
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\nTm90IGE=\n-----END {kind}PRIVATE KEY-----"


# A text around a token, and the token, of each detector; in two pieces, so that no scanner takes it for one.
TOKENS = {
    "AWSKeyDetector": ("the id {}, of", "AKIA" + "IOSFODNN7NOTAKEY"),
    "AzureStorageKeyDetector": ("AccountName=x;{};", "AccountKey=" + "bm90YWtl/+" * 8 + "bm90YQ=="),
    "DiscordBotTokenDetector": ("bot {} is up", "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ." + "notatoken" * 3),
    "GitHubTokenDetector": ("push with {}.", "ghp_" + "n0tAt0ken" * 4),
    "GitLabTokenDetector": ("pull with {}.", "glpat-" + "n0t-At0ken" * 2),
    "JwtTokenDetector": ("Authorization: Bearer {}", web_token()),
    "MailchimpDetector": ("send by {} then", "n0tat0ke" * 4 + "-us12"),
    "NpmDetector": ("//registry.npmjs.org/:_authToken={} # in .npmrc", "npm_" + "n0tAt0ken" * 4),
    "OpenAIDetector": ("ask with {} now", "sk-" + "n0tAk" * 4 + "T3Blb" + "kFJ" + "n0tAk" * 4),
    "PypiTokenDetector": ("upload with {} now", "pypi-AgEIcHlwaS5vcmc" + "n0tAt0ken" * 8),
    "SendGridDetector": ("mail by {} now", "SG." + "n0tAt0ken-_" * 2 + "." + "n0tAt0ken0" * 4 + "key"),
    "SlackDetector": ("post by {} now", "xoxb-" + "123456789012-n0tat0ken"),
    "SquareOAuthDetector": ("pay by {} now", "sq0csp-" + "n0tAt0ken0" * 4 + "key"),
    "StripeDetector": ("charge by {} now", "sk_live_" + "n0tAk3y0" * 3),
    "TwilioKeyDetector": ("call by {} now", "SK" + "n0tak3y0" * 4),
    "PrivateKeyDetector": ("key = {}\nthen", private_key()),
}
