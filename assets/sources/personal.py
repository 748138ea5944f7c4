"""Made-up personal values and keys, valid in form and belonging to nobody, one function an entity.

Where a range is reserved for examples it is used: `example.org`, 555-01xx telephone numbers, documentation
addresses, social security numbers from 900 up. The rest is random under a right check digit.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Mapping
from random import Random

Names = Mapping[str, list[str]]

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
IBAN_BANKS = (("DE", 0, 18), ("GB", 4, 14), ("NL", 4, 10), ("ES", 0, 20))
HOSTS = ("example.com", "example.net", "example.org", "mail.example.com", "staff.example.org")
RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _token(dice: Random, alphabet: str, count: int) -> str:
    return "".join(dice.choices(alphabet, k=count))


def _digits(dice: Random, count: int) -> str:
    return _token(dice, string.digits, count)


def _person(dice: Random, names: Names) -> str:
    return f"{dice.choice(names['first'])} {dice.choice(names['last'])}"


def _location(dice: Random, names: Names) -> str:
    return f"{dice.randint(2, 98)} {dice.choice(names['streets'])}, {dice.choice(names['towns'])}"


def _mailbox(dice: Random, names: Names) -> str:
    first, last = _person(dice, names).lower().split()
    return dice.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}", f"{first}+{last[:4]}"))


def _email(dice: Random, names: Names) -> str:
    return f"{_mailbox(dice, names)}@{dice.choice(HOSTS)}"


def _spelled_email(dice: Random, names: Names) -> str:
    mailbox, host = f"{_person(dice, names)}".lower().replace(" ", "."), dice.choice(HOSTS)
    plain = f"{mailbox}@{host}"
    if dice.random() < 0.5:
        return plain.replace(".", " dot ").replace("@", " at ")
    return plain.replace(".", " [dot] ").replace("@", " [at] ")


def _phone(dice: Random, _: Names) -> str:
    area, line = dice.choice((202, 212, 303, 415, 512, 617)), f"01{_digits(dice, 2)}"
    london = f"+44 20 7946 0{_digits(dice, 3)}"
    return dice.choice((f"({area}) 555-{line}", f"+1 {area}-555-{line}", f"{area}-555-{line}", london))


def _spelled_phone(dice: Random, _: Names) -> str:
    return " ".join(DIGIT_WORDS[int(digit)] for digit in f"55501{_digits(dice, 2)}")


def luhn_valid(number: str) -> bool:
    """Whether a card number's check digit is right (Luhn 1960)."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _card_number(dice: Random) -> str:
    prefix, length = dice.choice((("4", 16), (f"5{dice.randint(1, 5)}", 16), ("37", 15)))
    body = prefix + _digits(dice, length - len(prefix) - 1)
    return next(body + check for check in string.digits if luhn_valid(body + check))


def _grouped(text: str, separator: str) -> str:
    return separator.join(text[at : at + 4] for at in range(0, len(text), 4))


def _card(dice: Random, _: Names) -> str:
    number = _card_number(dice)
    return _grouped(number, dice.choice(("", " ", "-"))) if len(number) == 16 else number


def _spaced_card(dice: Random, _: Names) -> str:
    return " ".join(_card_number(dice))


def iban_valid(iban: str) -> bool:
    """Whether an IBAN's check digits are right (ISO 13616, modulo 97)."""
    compact = iban.replace(" ", "").upper()
    return int("".join(str(int(each, 36)) for each in compact[4:] + compact[:4])) % 97 == 1


def _iban(dice: Random, _: Names) -> str:
    country, letters, digits = dice.choice(IBAN_BANKS)
    account = _token(dice, string.ascii_uppercase, letters) + _digits(dice, digits)
    checks = (f"{country}{check:02d}{account}" for check in range(2, 99))
    iban = next(candidate for candidate in checks if iban_valid(candidate))
    return _grouped(iban, dice.choice(("", " ")))


def _lower_iban(dice: Random, names: Names) -> str:
    return _iban(dice, names).replace(" ", "").lower()


def _ip(dice: Random, _: Names) -> str:
    network = dice.choice(("192.0.2", "198.51.100", "203.0.113"))
    return f"{network}.{dice.randint(1, 254)}"


def _compressed_ip(dice: Random, _: Names) -> str:
    return f"2001:db8::{dice.randint(16, 65535):x}:{dice.randint(16, 65535):x}"


def _ssn(dice: Random, _: Names) -> str:
    return f"9{dice.randint(10, 89)}-{dice.randint(11, 48)}-{dice.randint(1001, 9899)}"


def _bare_ssn(dice: Random, names: Names) -> str:
    return _ssn(dice, names).replace("-", "")


def _crypto(dice: Random, _: Names) -> str:
    payload = b"\x00" + dice.randbytes(20)
    checked = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, encoded = int.from_bytes(checked, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        encoded = BASE58[digit] + encoded
    return "1" + encoded


def _url(dice: Random, names: Names) -> str:
    secret = _token(dice, string.ascii_letters + string.digits, 10)
    return f"https://{_person(dice, names).lower().split()[0]}:{secret}@git.example.com/team/tools.git"


def _nhs(dice: Random, _: Names) -> str:
    while True:
        body = _digits(dice, 9)
        check = -sum(int(digit) * weight for digit, weight in zip(body, range(10, 1, -1), strict=True)) % 11
        if check < 10:
            return f"{body[:3]} {body[3:6]} {body[6:]}{check}"


def _medical_license(dice: Random, names: Names) -> str:
    body = _digits(dice, 6)
    check = sum(map(int, body[::2])) + 2 * sum(map(int, body[1::2]))
    return f"{dice.choice('ABFM')}{dice.choice(names['last'])[0]}{body}{check % 10}"


def _rrn(dice: Random, _: Names) -> str:
    born = f"{dice.randint(50, 99)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}"
    body = f"{born}{dice.randint(1, 2)}{dice.randint(0, 95):02d}{_digits(dice, 3)}"
    check = 11 - sum(int(digit) * weight for digit, weight in zip(body, RRN_WEIGHTS, strict=True)) % 11
    return f"{body[:6]}-{body[6:]}{check % 10}"


def _mac(dice: Random, _: Names) -> str:
    return ":".join(("02", *(f"{byte:02X}" for byte in dice.randbytes(5))))


def _passport(dice: Random, _: Names) -> str:
    return dice.choice("ACEG") + _digits(dice, 8)


def _bank_number(dice: Random, _: Names) -> str:
    return f"{dice.randint(1, 9)}{_digits(dice, 10)}"


def _api_key(dice: Random, _: Names) -> str:
    letters = string.ascii_letters + string.digits
    return dice.choice(
        (
            f"AKIA{_token(dice, string.ascii_uppercase + string.digits, 16)}",
            f"ghp_{_token(dice, letters, 36)}",
            f"sk_live_{_token(dice, letters, 24)}",
        )
    )


def _bare_key(dice: Random, _: Names) -> str:
    return dice.randbytes(20).hex()


def _private_key(dice: Random, _: Names) -> str:
    lines = "\n".join(_token(dice, string.ascii_letters + string.digits + "+/", 64) for _ in range(4))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----"


# A placeholder of the drill's sentences -> the entity it is, and how a value is made up.
VALUES: dict[str, tuple[str, Callable[[Random, Names], str]]] = {
    "EMAIL_ADDRESS": ("EMAIL_ADDRESS", _email),
    "PHONE_NUMBER": ("PHONE_NUMBER", _phone),
    "CREDIT_CARD": ("CREDIT_CARD", _card),
    "IBAN_CODE": ("IBAN_CODE", _iban),
    "IP_ADDRESS": ("IP_ADDRESS", _ip),
    "US_SSN": ("US_SSN", _ssn),
    "CRYPTO": ("CRYPTO", _crypto),
    "URL": ("URL", _url),
    "UK_NHS": ("UK_NHS", _nhs),
    "MEDICAL_LICENSE": ("MEDICAL_LICENSE", _medical_license),
    "KR_RRN": ("KR_RRN", _rrn),
    "MAC_ADDRESS": ("MAC_ADDRESS", _mac),
    "US_PASSPORT": ("US_PASSPORT", _passport),
    "US_BANK_NUMBER": ("US_BANK_NUMBER", _bank_number),
    "SPELLED_EMAIL": ("EMAIL_ADDRESS", _spelled_email),
    "SPELLED_PHONE": ("PHONE_NUMBER", _spelled_phone),
    "SPACED_CARD": ("CREDIT_CARD", _spaced_card),
    "BARE_SSN": ("US_SSN", _bare_ssn),
    "PERSON": ("PERSON", _person),
    "LOCATION": ("LOCATION", _location),
    "LOWER_IBAN": ("IBAN_CODE", _lower_iban),
    "COMPRESSED_IP": ("IP_ADDRESS", _compressed_ip),
    "API_KEY": ("API_KEY", _api_key),
    "PRIVATE_KEY": ("PRIVATE_KEY", _private_key),
    "BARE_KEY": ("API_KEY", _bare_key),
}
