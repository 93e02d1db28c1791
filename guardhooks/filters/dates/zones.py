"""Time zones: the names and offsets in log lines and `logtimezone`, and the zone that applies without one."""

import io
import math
import re
import struct
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from guardhooks.errors import ConfigError
from guardhooks.text import safe_text

# Hours ahead of UTC. Zone names are ambiguous; these are the meanings that fail2ban uses.
_NAMES: Final = """
-12 Y · -11 X NUT SST · -10 W CKT HAST HST TAHT TKT · -9.5 MART MIT · -9 V AKST GAMT GIT HADT HNY
-8 U AKDT CIST HAY HNP PST PT · -7 T HAP HNR MST PDT · -6 S CST EAST GALT HAR HNC MDT
-5 R CDT COT EASST ECT EST ET HAC HNE PET · -4.5 HLV VET · -4 Q AST BOT CLT COST EDT FKT GYT HAE HNA PYT
-3.5 HNT NST NT · -3 P ADT ART BRT CLST FKST GFT HAA PMST PYST SRT UYT WGT · -2.5 HAT NDT
-2 O BRST FNT PMDT UYST WGST · -1 N AZOT CVT EGT · 0 Z EGST GMT UTC WET WT · 1 A CET DFT WAT WEDT WEST
2 B CAT CEDT CEST EET SAST WAST · 3 C EAT EEDT EEST IDT MSK · 3.5 IRST
4 D AMT AZT GET GST KUYT MSD MUT RET SAMT SCT · 4.5 AFT IRDT
5 E AMST AQTT AZST HMT MAWT MVT PKT TFT TJT TMT UZT YEKT · 5.5 SLT · 5.75 NPT
6 F ALMT BIOT BTT IOT KGT NOVT OMST YEKST · 6.5 CCT MMT · 7 G CXT DAVT HOVT ICT KRAT NOVST OMSST THA WIB
8 H ACT AWST BDT BNT CAST HKT IRKT KRAST MYT PHT SGT ULAT WITA WST
9 I AWDT IRKST JST KST PWT TLT WDT WIT YAKT · 9.5 ACST · 10 K AEST CHST PGT VLAT YAKST YAPT · 10.5 ACDT LHST
11 L AEDT LHDT MAGT NCT PONT SBT VLAST VUT · 11.5 NFT
12 M ANAST ANAT FJT GILT MAGST MHT NZST PETST PETT TVT WFT · 13 FJST NZDT
"""
_CACHED_MINUTES: Final = 1024
_ZONE: Final = re.compile(r"([A-Z](?:[A-Z]{2,4})?)?(?:([+-])([01][0-9])(?::?([0-9]{2}))?)?", re.ASCII)

_POSIX: Final = re.compile(r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)[+-]?[0-9].*", re.ASCII)


def _read_names(table: str) -> dict[str, int]:
    seconds: dict[str, int] = {}
    for row in table.replace("\n", "·").split("·"):
        hours, *names = row.split() or ["0"]
        seconds.update(dict.fromkeys(names, int(float(hours) * 3600)))
    return seconds


_SECONDS: Final = _read_names(_NAMES)


class Calendar:
    """Converts a date to an epoch time: `zone` (None: this machine's), `shift` seconds ahead of it.

    A time that occurs twice, as clocks go back, is the first of the two.
    """

    def __init__(self, zone: tzinfo | None = None, shift: int = 0) -> None:
        self._zone: Final = zone
        self._shift: Final = shift
        self._day = (date.min, math.inf, -math.inf)
        self._minutes: dict[tuple[date, int, int], float] = {}
        self.repeated: Final[dict[float, float]] = {}
        """Of the minutes given so far that occur twice as clocks go back: the first and the second occurrence."""

    def epoch(self, day: date, hour: int = 0, minute: int = 0, second: int = 0) -> float:
        """Seconds since 1970-01-01 UTC; a leap second is the first of the next minute.

        :raises ValueError, OverflowError: if there is no such time.
        """
        found = self._minutes.get((day, hour, minute))
        if found is None:
            moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone)
            found = moment.timestamp() - self._shift
            second_time = moment.replace(fold=1).timestamp() - self._shift
            if len(self._minutes) >= _CACHED_MINUTES:
                self._minutes.clear()
                self.repeated.clear()
            if second_time > found:  # It is less for a time that clocks going forward skip.
                self.repeated[found] = second_time
            self._minutes[day, hour, minute] = found
        return found + second

    def day(self, now: float) -> tuple[date, float, float]:
        """The day at `now`, its start and its end."""
        today, dawn, midnight = self._day
        if not dawn <= now < midnight:
            today = datetime.fromtimestamp(now + self._shift, self._zone).date()
            dawn, midnight = self.epoch(today), self.epoch(today + timedelta(days=1))
            self._day = today, dawn, midnight
        return today, dawn, midnight


@lru_cache(maxsize=512)
def parse_zone(text: str) -> Calendar | None:
    """The zone of `Z`, `+0200`, `+02:00`, `CET`, `UTC+0200`, … in any case; None for an unknown one."""
    found = _ZONE.fullmatch(text.upper())
    if not text or found is None:
        return None
    name, sign, hours, minutes = found.groups()
    ahead = _SECONDS.get(name) if name else 0
    if ahead is None:
        return None
    offset = int(hours or 0) * 3600 + int(minutes or 0) * 60
    return Calendar(UTC, ahead + (-offset if sign == "-" else offset))


def configured_zone(text: str, default: tzinfo | None) -> Calendar:
    """The zone for dates without one: `logtimezone` if it is set, else `default` (None: the machine's).

    `text` is what fail2ban knows (`CET`, `UTC+0200`), a name of the zone database (`Europe/Berlin`) or a POSIX rule
    (`CET-1CEST,M3.5.0,M10.5.0/3`).

    :raises ConfigError: if `text` is not a zone.
    """
    if not text:
        return Calendar(default)
    zone = parse_zone(text) if text == text.upper() else None
    if zone is not None:
        return zone
    try:
        return Calendar(_posix_zone(text) if _POSIX.fullmatch(text) else ZoneInfo(text))
    except (ZoneInfoNotFoundError, ValueError, OSError) as fault:
        msg = f"logtimezone {safe_text(text, 80)!r} is not a time zone; write UTC, +0200, UTC+0200 or Europe/Berlin"
        raise ConfigError(msg) from fault


def _posix_zone(rule: str) -> ZoneInfo:
    """The zone of a rule: a TZif file (RFC 9636) without transitions, with the rule as its footer."""
    block = b"TZif2" + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, 1, 1) + bytes(7)
    return ZoneInfo.from_file(io.BytesIO(block + block + b"\n" + rule.encode() + b"\n"))
