"""Numbers and configurations in words: rounded to what is known of them, and never to more."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from repro_hydra.record.schema import JSON
from repro_hydra.sweep.configuration import Leaves

UNDEFINED = "—"
_DIGITS = 5
_MOST_DIGITS = 17  # a double has no more to tell
_PLAIN_FROM, _PLAIN_BELOW = 1e-4, 1e6
"""Between these a number is written without an exponent."""


def number(value: float | None, digits: int = _DIGITS) -> str:
    """A number with `digits` significant digits; a dash for what is undefined."""
    if value is None:
        return UNDEFINED
    return f"{value:.{digits}g}" if math.isfinite(value) else str(value)


def config_words(config: Leaves) -> str:
    """The keys in which a row's configuration differs from the others'."""
    return " ".join(f"{key}={as_written(value)}" for key, value in config.items()) or "(one configuration)"


def as_written(value: JSON) -> str:
    """As an override has it: ``true`` and ``null``, not ``True`` and ``None``."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def last_decimal(uncertainty: float) -> int | None:
    """The exponent of the last digit worth writing: the uncertainty itself gets two significant digits.

    None where there is no uncertainty to go by.

    Examples
    --------
    >>> last_decimal(0.0123), last_decimal(0.00996), last_decimal(42.0)
    (-3, -3, 0)
    """
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return None
    exact = Decimal(repr(uncertainty))
    place = exact.adjusted() - 1
    rounded = exact.quantize(Decimal(1).scaleb(place), rounding=ROUND_HALF_EVEN)
    return rounded.adjusted() - 1  # 0.00996 is 0.010: its second digit has moved


def rounded_to(value: float, uncertainty: float) -> str:
    """`value` written to the last digit that its uncertainty leaves, correctly rounded (half to even).

    Examples
    --------
    >>> rounded_to(0.973021, 0.00521), rounded_to(1234.5, 40.0), rounded_to(0.12345, 0.0)
    ('0.9730', '1234', '0.12345')
    """
    place = last_decimal(uncertainty)
    if place is None or not math.isfinite(value):
        return number(value)
    exact = Decimal(repr(value))
    if exact and exact.adjusted() - place >= _MOST_DIGITS:
        return repr(value)
    quantum = Decimal(1).scaleb(place)
    rounded = exact.quantize(quantum, rounding=ROUND_HALF_EVEN)
    size = max(abs(value), uncertainty)
    if place > 0 or size < _PLAIN_FROM or size >= _PLAIN_BELOW:
        return _with_exponent(rounded, place, size)
    return f"{rounded:f}"


def _with_exponent(rounded: Decimal, place: int, size: float) -> str:
    if size < _PLAIN_BELOW and place > 0:
        return f"{rounded.quantize(Decimal(1)):f}"
    digits = max(rounded.adjusted() - place, 0) if rounded else 0
    return f"{rounded:.{digits}e}"


def plus_minus(mean: float, half: float, sign: str = "±") -> str:
    """``0.9730 ± 0.0052``: both to the same digit.

    Examples
    --------
    >>> plus_minus(0.973021, 0.00521), plus_minus(0.5, 0.00996)
    ('0.9730 ± 0.0052', '0.500 ± 0.010')
    """
    return f"{rounded_to(mean, half)} {sign} {rounded_to(half, half)}"
