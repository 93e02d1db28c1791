"""Names and offsets of time zones."""

import pytest

from guardhooks import ConfigError
from guardhooks.filters.dates import DateDetector

MIDNIGHT = 1118102400.0  # 2005-06-07 00:00:00 UTC


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("UTC", 0), ("Z", 0), ("UTC+0200", 2), ("GMT-0100", -1), ("CET", 1), ("+0130", 1.5), ("-02:30", -2.5),
        ("+05", 5), ("EST", -5), ("EST+0200", -3), ("MART", -9.5), ("NPT", 5.75), ("NZDT", 13), ("Y", -12),
        ("PST", -8), ("CHST", 10), ("Europe/Berlin", 2), ("CET-1CEST,M3.5.0,M10.5.0/3", 2), ("<+03>-3", 3),
        ("CET-01CEST-02,M3.5.0,M10.5.0", 2),
    ],
)  # fmt: skip
def test_logtimezone(zone: str, hours: float):
    found = DateDetector(["%Y-%m-%d"], timezone=zone).find("2005-06-07", MIDNIGHT)
    assert found is not None
    assert found.time == MIDNIGHT - hours * 3600


@pytest.mark.parametrize(
    "zone", ["ABC", "utc", "Europe/Nowhere", "../../etc/passwd", "CET-1CEST,M99", "+2", "UTC+", "+9900", "\x1b[2J"]
)
def test_bad_logtimezone_is_named(zone: str):
    with pytest.raises(ConfigError, match="logtimezone") as refused:
        DateDetector(timezone=zone)
    assert str(refused.value).isprintable()
