"""API keys, access tokens and private keys, by those of detect-secrets' detectors that tell one by its form.

A detector's match may end before the secret does; a hit is the whole of it, so that redaction leaves no part.

Not among them: detectors that go by a variable's name or by how random a string looks, which fire on prose
and code; passwords in URLs, which in documentation are nearly all the word `password`; and two whose form is a
capitalised word's (Artifactory) or that of a number with a colon behind it (Telegram).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from assets.privacy.hits import Hit, exhaust

API_KEY, PRIVATE_KEY = "API_KEY", "PRIVATE_KEY"
CREDENTIALS = (API_KEY, PRIVATE_KEY)

SCORE = 1.0
"""A maker's prefix and length are as telling as a check digit."""

LONGEST_KEY = 20_000
"""Characters after its first line in which a private key's last is looked for; 16,384 bits take 13,000."""


@dataclass(frozen=True)
class Detector:
    """One of detect-secrets' and the RE2 pattern that every text it can fire on matches.

    The secret is the group of that number, in a pattern that has so many, and what of `tail` follows:
    makers lengthen their tokens. `without`, ahead of the pattern, is a run to step over since it holds no
    secret: the pattern alone would try each place of it again, in quadratic time.
    """

    name: str
    module: str
    candidate: str
    entity: str = API_KEY
    group: int = 0
    tail: str = "[A-Za-z0-9_-]*"
    without: str = ""


DETECTORS = (
    Detector(
        "AWSKeyDetector",
        "aws",
        r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}|['\"](?i:[0-9a-z/+]{40})['\"]",
        group=1,
    ),
    Detector("AzureStorageKeyDetector", "azure_storage_key", "AccountKey=[a-zA-Z0-9+/=]{88}"),
    Detector(
        "DiscordBotTokenDetector",
        "discord",
        # Its digits may be of any script.
        r"\.[0-9A-Za-z_\x{80}-\x{10FFFF}-]{6}\.[0-9A-Za-z_\x{80}-\x{10FFFF}-]{27}",
    ),
    Detector("GitHubTokenDetector", "github_token", "gh[oprsu]_[A-Za-z0-9_]{36}"),
    Detector(
        "GitLabTokenDetector",
        "gitlab_token",
        r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[\w-]{20}|GR1348941[\w-]{20}",
    ),
    Detector(
        "JwtTokenDetector",
        "jwt",
        r"eyJ[\w=-]+\.[\w=-]",
        tail=r"(?:\.?[A-Za-z0-9_+/=-]+)*",
        without=r"eyJ[A-Za-z0-9_=-]++(?!\.[A-Za-z0-9_=-])",
    ),
    Detector("MailchimpDetector", "mailchimp", "[0-9a-z]-us[0-9]"),
    Detector(
        "NpmDetector",
        "npm",
        r":_authToken=[\s\x{1C}-\x{1F}\p{Z}\x{85}]*(?:npm_|[A-Fa-f0-9-]{36})",
        group=1,
        without=r"//(?!.+/:_authToken=\s*(?:npm_.|[A-Fa-f0-9-]{36})).*+",
    ),
    Detector(
        "OpenAIDetector",
        "openai",
        "T3BlbkFJ",
        without=r"sk-(?![A-Za-z0-9_-]*?[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})[A-Za-z0-9_-]*+",
    ),
    Detector("PypiTokenDetector", "pypi_token", r"pypi-AgE[\w-]{70}"),
    Detector("SendGridDetector", "sendgrid", r"SG\.[\w-]{22}\.[\w-]{43}"),
    Detector("SlackDetector", "slack", r"(?i:xox[abopsr]-\p{Nd}|hooks\.slack\.com/services/T)"),
    Detector("SquareOAuthDetector", "square_oauth", r"sq0csp-[\w\\-]{43}"),
    Detector("StripeDetector", "stripe", "[rs]k_live_[0-9a-zA-Z]{24}"),
    Detector("TwilioKeyDetector", "twilio", "(?:AC|SK)[a-z0-9]{32}"),
    Detector(
        "PrivateKeyDetector",
        "private_key",
        "BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-2",
        PRIVATE_KEY,
    ),
)

# A token ends before a space or a quote, also where a pattern goes on to the end of the line.
_WORD = re.compile(r"[^\s\"'\\]*")

_DASHES = re.compile(r"-+ ?\Z")
_PUTTY, _PUTTY_END = "PuTTY", "Private-MAC:"
_AFTER_END, _AFTER_PUTTY_END = re.compile(" ?-*"), re.compile(" ?[0-9a-f]*")
# Where there is no last line: fields and lines of letters and digits, also as they are quoted in code.
_BETWEEN = r"(?:[\s\"'+,>#|*]|\\[nrt])*"
_LINES = re.compile(
    rf" ?-*(?:(?:{_BETWEEN}(?:[A-Z][\w-]*: ?[^\n\\]*|[A-Za-z0-9+/]{{16,}}=*))+"
    rf"(?:{_BETWEEN}=?[A-Za-z0-9+/]+=*(?=[\"'\\]|\s*$))?)?",
    re.MULTILINE,
)


def candidate(entities: Iterable[str]) -> str:
    """The RE2 pattern that every text matches that holds one of some entities."""
    return "|".join(f"(?:{each.candidate})" for each in DETECTORS if each.entity in entities)


def find_credentials(text: str, entities: Iterable[str] = CREDENTIALS) -> list[Hit]:
    """Every credential in a text, whole, however long; in linear time, so that no text need be cut for it."""
    detectors = [each for each in DETECTORS if each.entity in entities]
    return exhaust(text, lambda text: _widest(hit for each in detectors for hit in _fire(each, text)))


def _fire(detector: Detector, text: str) -> Iterator[Hit]:
    patterns, valid = _load(detector)
    for pattern in patterns:
        group = detector.group if pattern.groups >= detector.group else 0
        end = 0
        for match in pattern.finditer(text):
            # One inside the last is a part of it.
            if match.end(group) <= end or not valid(match[0]):
                continue
            if detector.entity == PRIVATE_KEY:
                start, end = _private_key(text, match)
            else:
                start, end = match.span(group)
                end = _end(_WORD, text, start, end)
                end = _end(re.compile(detector.tail), text, end)
            yield Hit(detector.entity, start, end, SCORE, detector.name)


@cache
def _load(detector: Detector) -> tuple[list[Any], Any]:
    """A detector's patterns, and what it asks of a match besides."""
    import regex

    plugin = getattr(import_module(f"detect_secrets.plugins.{detector.module}"), detector.name)()
    patterns = list(plugin.denylist)
    if detector.without:
        patterns = [
            regex.compile(f"{detector.without}(*SKIP)(*FAIL)|{each.pattern}", each.flags) for each in patterns
        ]
    return patterns, getattr(plugin, "is_formally_valid", lambda _: True)


def _private_key(text: str, header: re.Match[str]) -> tuple[int, int]:
    """From the dashes before a private key's header to those behind its end, or as far as lines look like a
    key's."""
    start, end = header.span()
    if dashes := _DASHES.search(text, max(0, start - 8), start):
        start = dashes.start()
    putty = header[0].startswith(_PUTTY)
    last = _PUTTY_END if putty else header[0].replace("BEGIN", "END", 1)
    at = text.find(last, end, end + LONGEST_KEY)
    if at < 0:
        return start, _end(_LINES, text, end)
    return start, _end(_AFTER_PUTTY_END if putty else _AFTER_END, text, at + len(last))


def _end(pattern: re.Pattern[str], text: str, start: int, stop: int | None = None) -> int:
    """Where the match of a pattern that matches everywhere ends."""
    match = pattern.match(text, start, len(text) if stop is None else stop)
    assert match is not None
    return match.end()


def _widest(hits: Iterable[Hit]) -> list[Hit]:
    """Some hits without those that lie in another of their entity."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.entity, hit.start, -hit.end)):
        if not kept or kept[-1].entity != hit.entity or hit.end > kept[-1].end:
            kept.append(hit)
    return kept
