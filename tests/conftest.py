"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine may take its time: how long an example takes says nothing about the code.
settings.register_profile("guardhooks", deadline=None)
settings.load_profile("guardhooks")
