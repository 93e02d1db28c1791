"""The short form of the campaign in tests/campaigns/soak.py."""

from __future__ import annotations

from pathlib import Path

from tests.campaigns.soak import Load, soak


def test_under_steady_load_nothing_is_lost_and_nothing_grows(tmp_path: Path) -> None:
    load = Load(seconds=20.0, logs=10, jails=30, rate=1000, rotate=1.0)
    result = soak(load, tmp_path)
    assert result.counted == result.written > 0
    assert result.bans >= result.offenders
    assert result.told == []
    settled = result.settled()
    assert len({sample.threads for sample in settled}) == 1
    # A rotated file stays open for a minute, of each log only the last few.
    assert max(sample.files for sample in settled) < 12 * load.logs
    assert settled[-1].memory - settled[0].memory < 20e6
