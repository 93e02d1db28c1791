"""The one owner of state: failure windows, bans, their history, source positions, totals.

`ledger.py` is what others use. It keeps `state.py` in memory (`windows.py`, `bans.py` and their `details.py`) and
writes what changed through `store.py` to SQLite: `tables.py` and `segments.py` are the format, `opening.py` and
`files.py` what happens to the file.
"""

from __future__ import annotations

from guardhooks.ledger.bans import LIFTED as LIFTED
from guardhooks.ledger.ledger import Ledger as Ledger
from guardhooks.model import Totals as Totals
