"""Credentials: the expressions of detect-secrets' plugins, and those of providers that it does not know.

A rule's ``pattern`` is what Hyperscan looks for (a superset where it lacks look-around); its judge then reads the
place with the plugin's own expression and validator.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

Span = tuple[int, int]
Judge = Callable[[str, int], Span | None]
"""From the folded text and a candidate's offset to the credential's span, if it is one."""


@dataclass(frozen=True)
class Expression:
    """One thing to look for: Hyperscan's ``pattern``, whether letters' case counts, and who judges a candidate."""

    name: str
    pattern: str
    judge: Judge
    caseless: bool = False


_LOOKAROUND = re.compile(r"\(\?:\(\?<=\\W\)\|\(\?<=\^\)\)|\(\?!(?:\\w|\[[^]]*\])\)")
"""The two kinds of zero-width assertions in detect-secrets' expressions; Hyperscan has none."""
_OPEN_END = re.compile(r"\{(\d+),\d*\}\Z")
"""A repetition at the end: the shortest one is enough to find a candidate, and is reported once."""
_TOKEN = re.compile(r"[A-Za-z0-9_\-]*")
_NOTHING = re.compile("")
_DELIMITERS = "\t\n\r =:\"'"


def _entropic(value: str) -> bool:
    """Whether it looks drawn at random: with digits, and above 3 bits per character (Shannon)."""
    size = len(value)
    bits = -sum(n / size * math.log2(n / size) for n in Counter(value).values())
    return bits > 3 and any(map(str.isdigit, value))


def _any(value: str) -> bool:
    return True


def _judge(
    expression: re.Pattern[str],
    accept: Callable[[str], bool] = _any,
    tail: re.Pattern[str] = _TOKEN,
    group: int = 0,
) -> Judge:
    """A judge by ``expression``: what its ``group`` matched, without the delimiters around it.

    A token that goes on is masked to its end (``tail``): issuers make them longer over the years.
    """

    # Letters of other scripts (one mark in the folded text) end a token.
    ascii_only = re.compile(expression.pattern, expression.flags & ~re.UNICODE | re.ASCII)

    def judge(text: str, start: int) -> Span | None:
        found = ascii_only.match(text, start)
        if found is None:
            return None
        value = found[group].lstrip(_DELIMITERS)
        begin = found.end(group) - len(value)
        value = value.rstrip(_DELIMITERS)
        before = text[begin - 1 : begin]
        if (before.isascii() and before.isalnum()) or not accept(value):
            return None
        rest = tail.match(text, begin + len(value))
        return begin, rest.end() if rest else begin + len(value)

    return judge


def _exact(expression: re.Pattern[str], accept: Callable[[str], bool] = _any) -> Judge:
    """Like :func:`_judge`, for the expression's only group if it has one; what goes on after it is something else."""
    whole = re.compile(f"(?:{expression.pattern})(?![A-Za-z0-9])", expression.flags)
    return _judge(whole, accept, _NOTHING, expression.groups)


def _discord(value: str) -> bool:
    """A bot token begins with its numeric user id in base64."""
    first = value.split(".", 1)[0]
    try:
        return base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).isdigit()
    except (binascii.Error, ValueError):
        return False


def _plugins() -> Iterable[tuple[str, Iterable[re.Pattern[str]], Callable[[re.Pattern[str]], Judge]]]:
    jwt = re.compile(r"[A-Za-z0-9_.+/=\-]*")
    yield "AWS", AWSKeyDetector.denylist, _exact
    yield "Azure storage", AzureStorageKeyDetector.denylist, _judge
    yield "Artifactory", ArtifactoryDetector.denylist, lambda e: _judge(e, lambda v: len(v) >= 20 and _entropic(v))
    yield "Cloudant", CloudantDetector.denylist, lambda e: _exact(e, _entropic)
    yield "Discord", DiscordBotTokenDetector.denylist, lambda e: _judge(e, _discord)
    yield "GitHub", GitHubTokenDetector.denylist, _judge
    yield "GitLab", GitLabTokenDetector.denylist, _judge
    yield "IBM Cloud", IbmCloudIamDetector.denylist, lambda e: _exact(e, _entropic)
    yield "IBM COS", IbmCosHmacDetector.denylist, _exact
    yield "JWT", JwtTokenDetector.denylist, lambda e: _judge(e, JwtTokenDetector.is_formally_valid, jwt)
    yield "Mailchimp", MailchimpDetector.denylist, lambda e: _exact(e, _entropic)
    yield "OpenAI", OpenAIDetector.denylist, _judge
    yield "PyPI", PypiTokenDetector.denylist, _judge
    yield "SendGrid", SendGridDetector.denylist, _judge
    yield "Slack", SlackDetector.denylist, _judge
    yield "SoftLayer", SoftlayerDetector.denylist, lambda e: _exact(e, _entropic)
    yield "Square", SquareOAuthDetector.denylist, _judge
    yield "Stripe", StripeDetector.denylist, _judge
    yield "Twilio", TwilioKeyDetector.denylist, lambda e: _exact(e, _entropic)


_PREFIXED = {
    "Praxis": r"sk-praxis-[A-Za-z0-9_\-]{20}",
    "Anthropic": r"sk-ant-[a-z0-9]{3,12}-[A-Za-z0-9_\-]{20}",
    "OpenAI project": r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{20}",
    "OpenRouter": r"sk-or-v1-[0-9a-f]{64}",
    "Artifactory": r"AKC[0-9A-Za-z]{60}",
    "Google API": r"AIza[0-9A-Za-z_\-]{35}",
    "Google OAuth": r"(?:GOCSPX-[0-9A-Za-z_\-]{28}|ya29\.[0-9A-Za-z_\-]{30})",
    "GitHub fine-grained": r"github_pat_[0-9A-Za-z_]{36}",
    "npm": r"npm_[0-9A-Za-z]{36}",
    "Hugging Face": r"hf_[0-9A-Za-z]{34}",
    "Slack app": r"(?:xapp-\d-|xoxe\.xox[bp]-\d-|xoxe-\d-)[0-9A-Za-z\-]{20}",
    "Stripe webhook": r"whsec_[0-9A-Za-z+/]{32}",
    "Stripe restricted": r"rk_live_[0-9A-Za-z]{24}",
    "Telegram": r"\d{8,10}:AA[0-9A-Za-z_\-]{33}",
    "DigitalOcean": r"do[opr]_v1_[a-f0-9]{64}",
    "Databricks": r"dapi[a-f0-9]{32}",
    "Vault": r"hv[sb]\.[0-9A-Za-z_\-]{24}",
    "Groq": r"gsk_[0-9A-Za-z]{48}",
    "xAI": r"xai-[0-9A-Za-z]{60}",
    "Perplexity": r"pplx-[0-9A-Za-z]{40}",
    "Linear": r"lin_api_[0-9A-Za-z]{32}",
    "Shopify": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "age": r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    "Pulumi": r"pul-[a-f0-9]{40}",
}
"""Prefixes of our own virtual keys, and those that the providers publish for secret scanners; only they issue what
begins so."""

_GENERIC = re.compile(r"sk-[0-9A-Za-z]{20,}")
_USERINFO = re.compile(r"://([^\s/:@\"'<>]{0,256}):([^\s/@\[\]\"'<>]{3,256})@[0-9A-Za-z\[\xff]")
_HEADER = re.compile(
    r"authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?basic\s{1,4}([0-9A-Za-z+/_\-]{8,}={0,2})", re.IGNORECASE
)
_NPMRC = re.compile(r":_authToken\s{0,4}=\s{0,4}\"?([A-Fa-f0-9-]{36})")
_AWS = re.compile(
    r"aws_?secret_?(?:access_?)?key[\"']?\s{0,4}(?:=>?|:)\s{0,4}[\"']?([0-9A-Za-z/+]{40})(?![0-9A-Za-z/+=])",
    re.IGNORECASE,
)
_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\s|[A-Za-z-]{3,20}: ?[^\n]{0,200}\n){0,12}[0-9A-Za-z+/=]{10}"
    r"(?:[0-9A-Za-z+/=\s]{0,20000}-----END [A-Z0-9 ]{0,40}-----|[0-9A-Za-z+/=\s]{0,20000}(?<!\s))"
)
_PUTTY = re.compile(r"PuTTY-User-Key-File-[23]: [^\0]{0,8000}?Private-Lines:[0-9A-Za-z+/=\s]{10,20000}")
_STANDINS = re.compile(
    r"\$\{?\w+\}?|%\w|%\(\w+\)s|\{.*\}|\*+|\.+|x+"
    r"|(?:your|my|the|example|some|db)?[-_]?(?:pass(?:word|wd)?|pwd|pw|secret|token|key|changeme|user)",
    re.IGNORECASE,
)
"""What documentation writes where a password would be."""


def _pem(text: str, start: int) -> Span | None:
    """A private key: its header with key material after it. The header alone is a line of many programs."""
    found = (_PEM if text[start] == "-" else _PUTTY).match(text, start)
    return found.span() if found else None


def _userinfo(text: str, start: int) -> Span | None:
    """The password in a URL's user information (RFC 3986, 3.2.1), unless it is a stand-in or repeats the name."""
    found = _USERINFO.match(text, start)
    if found is None or found[1] == found[2] or _STANDINS.fullmatch(found[2]):
        return None
    return found.span(2)


def _pair(value: str) -> bool:
    """Whether it is ``user:password`` in base64 (RFC 7617)."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def expressions() -> tuple[Expression, ...]:
    """All of them."""
    found = [
        Expression(
            name=name,
            pattern=_OPEN_END.sub(r"{\1}", _LOOKAROUND.sub("", expression.pattern)),
            judge=judge_of(expression),
            caseless=bool(expression.flags & re.IGNORECASE),
        )
        for name, denylist, judge_of in _plugins()
        for expression in denylist
    ]
    found += [Expression(name, pattern, _judge(re.compile(pattern))) for name, pattern in _PREFIXED.items()]
    return (
        *found,
        Expression("sk- key", r"sk-[0-9A-Za-z]{20}", _judge(_GENERIC, _entropic)),
        Expression("AWS secret", r"aws_?secret_?(?:access_?)?key", _judge(_AWS, tail=_NOTHING, group=1), caseless=True),
        Expression("private key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", _pem),
        Expression("private key", r"PuTTY-User-Key-File-[23]: ", _pem),
        Expression("password in a URL", r"://[^\s/:@\"'<>]{0,256}:", _userinfo),
        Expression(
            "password in a header", r"authorization[\"']?\s{0,4}[:=]", _judge(_HEADER, _pair, group=1), caseless=True
        ),
        Expression("npm", r":_authToken", _judge(_NPMRC, group=1)),
    )
