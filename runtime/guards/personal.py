"""What is a person's: cards, bank accounts, social security numbers, addresses and telephone numbers.

The rules of validity are those of Presidio's recognizers (``CreditCardRecognizer``, ``IbanRecognizer``,
``UsSsnRecognizer``, ``EmailRecognizer``, ``PhoneRecognizer``; MIT), written out here because importing one of them
loads spaCy: 84 MB and 2.6 s. A judge gets the folded text and the offset of a candidate, and returns its span.
"""

from __future__ import annotations

import re

import phonenumbers

Span = tuple[int, int]

# ISO/IEC 7812-1 with the issuers' published ranges: digits of the prefix, lowest, highest, lengths of the number.
_ISSUERS = (
    (1, 4, 4, (13, 16, 19)),  # Visa
    (2, 51, 55, (16,)),  # Mastercard
    (4, 2221, 2720, (16,)),  # Mastercard
    (2, 34, 34, (15,)),  # American Express
    (2, 37, 37, (15,)),  # American Express
    (4, 6011, 6011, (16, 17, 18, 19)),  # Discover
    (3, 644, 659, (16, 17, 18, 19)),  # Discover
    (2, 62, 62, (16, 17, 18, 19)),  # UnionPay
    (2, 81, 81, (16,)),  # UnionPay
    (4, 3528, 3589, (16, 17, 18, 19)),  # JCB
    (3, 300, 305, (14, 16, 19)),  # Diners Club
    (2, 36, 36, (14, 16, 19)),  # Diners Club
    (2, 38, 39, (14, 16, 19)),  # Diners Club
    (4, 5018, 5018, (13, 16, 19)),  # Maestro
    (4, 5020, 5020, (13, 16, 19)),  # Maestro
    (4, 5038, 5038, (13, 16, 19)),  # Maestro
    (4, 5893, 5893, (13, 16, 19)),  # Maestro
    (4, 6304, 6304, (13, 16, 19)),  # Maestro
    (4, 6759, 6763, (13, 16, 19)),  # Maestro
)
_GROUPINGS = frozenset({(4, 4, 4, 4, 3), (4, 4, 4, 4, 2), (4, 4, 4, 4, 1)})
_CARD = re.compile(r"\d(?:[ .-]?\d){12,18}")
_SEPARATORS = re.compile("[ .-]")
_SMALL = re.compile(r"\d{1,3}[ .-]")
_DIGIT_BEFORE = re.compile(r"\d[ .,-]\Z")
_DECIMALS = re.compile(r"\d[.,]\Z")
_DIGIT_AFTER = re.compile(r"[ .,-]\d")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1, annex B (modulus 10, "double-add-double")."""
    total = sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether ``digits`` have an issuer's prefix and length and the right check digit, and are not one digit only."""
    return (
        any(len(digits) in sizes and low <= int(digits[:n]) <= high for n, low, high, sizes in _ISSUERS)
        and len(set(digits)) > 1
        and luhn(digits)
    )


def card(text: str, start: int) -> Span | None:
    """A payment card's number of 13 to 19 digits: in one piece, in groups of four or more, or of one size."""
    if _inside(text, start) or _DECIMALS.search(text[max(0, start - 2) : start]):
        return None  # the middle of a word, or the decimals of a number
    if _SMALL.match(text, start) and _DIGIT_BEFORE.search(text[max(0, start - 2) : start]):
        return None  # within a row of small numbers, see _plausible
    found = _CARD.match(text, start)
    if found is None:
        return None
    end = found.end()
    while end > start:
        groups = _SEPARATORS.split(text[start:end])
        digits = "".join(groups)
        if len(digits) < 13:
            return None
        if not _goes_on(text, end) and _plausible(tuple(map(len, groups)), text, end) and is_card(digits):
            return start, end
        end -= len(groups[-1]) + 1
    return None


def _plausible(sizes: tuple[int, ...], text: str, end: int) -> bool:
    if min(sizes) >= 4 or sizes in _GROUPINGS:
        return True
    if len(set(sizes[:-1])) > 1 or not sizes[-1] <= sizes[0] <= 6:
        return False
    # Small groups are also how rows of numbers look: there, only a whole row is a candidate.
    return sizes[0] > 3 or not _DIGIT_AFTER.match(text, end)


# ISO 13616-1: the length of an IBAN by country, from the registry that SWIFT keeps (release 99).
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (
        line.split(":")
        for line in (
            "15:NO",
            "16:BE",
            "18:DK FI FK FO GL NL SD",
            "19:MK SI",
            "20:AT BA EE KZ LT LU MN XK",
            "21:CH CR HR LI LV",
            "22:BG BH DE GB GE IE ME RS VA",
            "23:AE GI IL IQ OM SO TL",
            "24:AD CZ DZ ES MD PK RO SA SE SK TN VG",
            "25:AO CV GW LY MZ PT ST",
            "26:IR IS TR",
            "27:BF BI CF CG CM DJ FR GA GR IT KM MC MG MR SM TD TF",
            "28:AL AZ BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG",
            "29:BR EG PS QA UA",
            "30:JO KW MU YE",
            "31:MT SC",
            "32:LC",
            "33:RU",
        )
    )
    for country in countries.split()
}


def iban(text: str, start: int) -> Span | None:
    """An IBAN of its country's length with the check digits of ISO 13616 (ISO 7064 MOD 97-10), in any grouping."""
    length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
    if length is None or _inside(text, start):
        return None
    value = ""
    end = start
    for char in text[start : start + 2 * length]:
        if char.isascii() and char.isalnum():
            value += char
        elif char not in " -":
            break
        end += 1
        if len(value) == length:
            break
    if len(value) < length or _goes_on(text, end):
        return None
    number = "".join(str(int(char, 36)) for char in value[4:] + value[:4])
    return (start, end) if int(number) % 97 == 1 else None


_SSN = re.compile(r"(\d{3})([-. ])(\d{2})\2(\d{4})(?![0-9A-Za-z]|[-.]\d)")
_BARE_SSN = re.compile(r"[^0-9]{3,40}?(?<!\d)(\d{3})(\d{2})(\d{4})(?![0-9A-Za-z]|[-.]\d)")


def ssn(text: str, start: int) -> Span | None:
    """A US social security number in its three groups."""
    found = _SSN.match(text, start)
    if found is None or _inside(text, start) or text[start - 1 : start] in ("-", "."):
        return None
    return found.span() if _issued(found[1], found[3], found[4]) else None


def named_ssn(text: str, start: int) -> Span | None:
    """A US social security number without groups, after a word that names it (``start``)."""
    found = _BARE_SSN.match(text, start)
    if found is None or _inside(text, start) or not _issued(found[1], found[2], found[3]):
        return None
    return found.start(1), found.end()


def _issued(area: str, group: str, serial: str) -> bool:
    # The Social Security Administration issues none of these (POMS RM 10201.035); 9xx are taxpayer numbers (ITIN),
    # which are as personal, so, like Presidio, they count. The last three are the well-known samples.
    digits = area + group + serial
    return (
        len(set(digits)) > 1
        and area not in ("000", "666")
        and group != "00"
        and serial != "0000"
        and digits not in ("123456789", "987654320", "078051120")
    )


_MAILBOX = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+-/=?^_`{|}~\xff"
"""RFC 5322's dot-atom, and what has no counterpart in ASCII (RFC 6531)."""
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9\xff](?:[A-Za-z0-9\xff_-]{0,61}[A-Za-z0-9\xff])?\.){1,8}([A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,59})(?![0-9A-Za-z_])"
)
_FILES = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "jsx", "tsx", "css", "json", "html", "xml", "yaml"}
)
"""Endings of file names that are no top-level domains (``logo@2x.png``)."""


def email(text: str, start: int) -> Span | None:
    """An address with a mailbox, ``@`` (at ``start + 1``) and a host of at least two labels that ends in letters."""
    at = start + 1
    domain = _DOMAIN.match(text, at + 1)
    if domain is None or domain[1].lower() in _FILES:
        return None
    before = text[max(0, at - 64) : at]
    mailbox = before[len(before.rstrip(_MAILBOX)) :].lstrip(".")
    return (at - len(mailbox), domain.end()) if mailbox and mailbox[-1] != "." else None


_INTERNATIONAL = re.compile(r"\+[1-9](?:[ ().\-/]{0,2}\d){7,14}(?![0-9A-Za-z])")
_AMERICAN = re.compile(r"(?:1[-. ])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}(?![0-9A-Za-z]|[-.]\d)")


def phone(text: str, start: int) -> Span | None:
    """A telephone number that exists by its country's plan: ``+`` and country code, or as US Americans write theirs."""
    found = (_INTERNATIONAL if text[start] == "+" else _AMERICAN).match(text, start)
    if found is None or _inside(text, start):
        return None
    try:
        number = phonenumbers.parse(found.group(), "US")
    except phonenumbers.NumberParseException:
        return None
    return found.span() if phonenumbers.is_valid_number(number) else None


def _goes_on(text: str, end: int) -> bool:
    """Whether a word or number goes on at ``end``. Letters of other scripts end it: Chinese has no spaces around it."""
    return text[end : end + 1].isascii() and text[end : end + 1].isalnum()


def _inside(text: str, start: int) -> bool:
    """Whether ``start`` is in the middle of a word or number. An underscore ends a word: ``card_4111...``."""
    return start > 0 and text[start - 1].isascii() and text[start - 1].isalnum()
