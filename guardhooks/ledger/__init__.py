"""The one owner of state: failure windows, bans, their history, source positions, totals.

`ledger.py` is what others use; it keeps `state.py` in memory (`windows.py`, `bans.py`) and writes what changed through
`store.py` to SQLite.
"""

from __future__ import annotations

from guardhooks.ledger.ledger import Ledger as Ledger
from guardhooks.model import Totals as Totals
