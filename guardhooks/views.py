"""What plugins and commands may ask of a guard. `guardhooks.Guard` is one; anything with these methods will do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from guardhooks.model import ActionSpec, Ban, Fields, Finding, Jail, Op, Outcome, Totals
from guardhooks.status import GuardStatus, JailDetails, RuntimeChange

KNOWN: Final = "known already"
"""What `GuardView.take_over` says of a ban that the ledger has."""


class LedgerView(Protocol):
    """What may be asked of the ledger. Belongs to the event loop's thread, except `history`."""

    def totals(self, jail: str) -> Totals:
        """A jail in numbers; all zero for one that is not known."""
        ...

    def active(self, jail: str | None = None) -> list[Ban]:
        """The bans in force, of one jail or all, in order of their start."""
        ...

    def find(self, id: str, jail: str | None = None) -> list[Ban]:
        """The bans in force of this id; for an address also of prefixes that hold it, for a prefix all inside it."""
        ...

    def history(self, id: str) -> Sequence[Ban]:
        """All remembered bans of exactly this id in all jails, those in force included, oldest first."""
        ...


class ChangesView(Protocol):
    """What was changed in the running guard and stands in no file. `uid` is the user who asks."""

    def all(self, jail: str | None = None) -> tuple[RuntimeChange, ...]:
        """The changes in effect, of one jail or of all, in the order in which they were made."""
        ...

    def state(self, jail: str) -> str:
        """`paused`, `stopped`, or empty for a jail that is neither."""
        ...

    def value(self, jail: str, key: str) -> tuple[object, str]:
        """The value of an option, parsed and as text. :raises ConfigError: when there is no such jail or option."""
        ...

    async def set(self, jail: str, key: str, text: str, *, uid: int | None = None) -> RuntimeChange:
        """Give an option another value until the next reload. :raises ConfigError: when it cannot be used."""
        ...

    async def unset(self, jail: str, key: str, *, uid: int | None = None) -> bool:
        """Take one change back; False if there was none."""
        ...

    async def pause(self, jail: str, length: float | None = None, *, uid: int | None = None) -> RuntimeChange:
        """Read no logs for a jail, for `length` seconds or until it is started."""
        ...

    async def stop(self, jail: str, *, uid: int | None = None) -> RuntimeChange:
        """Stop a jail until it is started; its bans are lifted."""
        ...

    async def start(self, jail: str, *, uid: int | None = None) -> bool:
        """Start a jail that was paused or stopped; False if it runs already."""
        ...


class GuardView(Protocol):
    """One guard. Methods belong to the event loop that it runs in, unless they say otherwise."""

    @property
    def jails(self) -> Mapping[str, Jail]:
        """The jails that run, by name."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since the epoch."""
        ...

    @property
    def ledger(self) -> LedgerView: ...

    @property
    def changes(self) -> ChangesView:
        """What was changed in the running guard."""
        ...

    @property
    def ledger_file(self) -> Path | None:
        """The ledger's file, whose folder plugins may keep files in; None where nothing is kept on disk."""
        ...

    @property
    def observing(self) -> bool:
        """Whether bans are only decided and logged."""
        ...

    # --- bans ---------------------------------------------------------------------------------------------------------

    async def failure(
        self, jail: str, id: str, *, time: float | None = None, fields: Fields | None = None, text: str = ""
    ) -> list[Ban]:
        """Report a failure, from inside a server; returns the bans that follow from it."""
        ...

    async def ban(
        self,
        jail: str,
        id: str,
        *,
        length: float | None = None,
        reason: str = "",
        force: bool = False,
        replace: bool = False,
        protected: Collection[str] = (),
        asker: str = "",
    ) -> Ban:
        """Ban an address, a network or another id by hand; see `Guard.ban`."""
        ...

    async def take_over(self, bans: Sequence[Ban]) -> list[str]:
        """Take bans over from another program, past ones too; why each was not taken, empty if it was."""
        ...

    async def unban(self, id: str, jail: str | None = None, *, asker: str = "hand") -> list[Ban]:
        """Lift the bans of an id, or of all inside a network; returns those that were lifted. See `Guard.unban`."""
        ...

    async def unban_all(self, jail: str | None = None, *, asker: str = "hand") -> int:
        """Lift every ban, of one jail or of all; returns how many there were."""
        ...

    def is_banned(self, address: str, jail: str | None = None) -> bool:
        """Whether a ban of this address, or of a prefix that holds it, is decided and not over. Takes microseconds."""
        ...

    @property
    def state_problem(self) -> str:
        """What keeps bans from being written to the disk, so that they do not survive a restart; empty if nothing."""
        ...

    def ban_state(self, jail: str, id: str) -> str:
        """How far a ban that the ledger holds has come: `active`, `pending` or `failing`."""
        ...

    def refusal(self, jail: Jail, id: str) -> str:
        """Why an id must not be banned in a jail, as the end of a sentence; empty if it may. Any thread may ask."""
        ...

    def restart_actions(self, jail: str) -> None:
        """Start the actions of a jail again; its bans are kept. :raises ConfigError: when there is no such jail."""
        ...

    # --- actions ------------------------------------------------------------------------------------------------------

    async def execute(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome:
        """Have an action done by the plugin that handles it.

        :raises ActionError: when it could not be done, or no plugin handles it.
        """
        ...

    async def diagnose(self, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
        """What the plugin that handles an action finds; None if no plugin can look."""
        ...

    def check_actions(self, jail: str, actname: str = "") -> None:
        """Have an action (or all of a jail) compared with the ledger and repaired now. Any thread may ask."""
        ...

    def adopts(self, jail: str, actname: str) -> bool:
        """Whether an action that starts must report bans it finds instead of removing them. Any thread may ask."""
        ...

    # --- state --------------------------------------------------------------------------------------------------------

    def status(self) -> GuardStatus:
        """State of the whole guard."""
        ...

    def jail_status(self, jail: str) -> JailDetails:
        """State of one jail with its bans. :raises ConfigError: when there is no such jail."""
        ...

    def plugins_report(self) -> list[dict[str, object]]:
        """Which plugins are asked, per jail and hook, in which order."""
        ...
