"""What may stand in the brackets of every action, whoever serves it."""

from __future__ import annotations

from typing import Final

from guardhooks.settings.option import Option, OptionTable
from guardhooks.settings.option_types import BOOLEAN, TEXT

COMMANDS: Final = OptionTable(
    "action",
    (
        Option("actionstart", TEXT, "", "run before the first ban"),
        Option("actionstart_on_demand", BOOLEAN, True, "start with the first ban of each address family"),
        Option("actionstop", TEXT, "", "run when the action is removed"),
        Option("actionflush", TEXT, "", "lifts all bans at once"),
        Option("actionreload", TEXT, "", "run by a reload"),
        Option("actioncheck", TEXT, "", "tells whether what `actionstart` built is still there"),
        Option("actionrepair", TEXT, "", "run where `actioncheck` fails"),
        Option("actionrepair_on_unban", BOOLEAN, False, "whether an unban repairs too"),
        Option("actionban", TEXT, "", "bans one address"),
        Option("actionprolong", TEXT, "", "makes a ban longer"),
        Option("actionreban", TEXT, "", "bans again after a restart"),
        Option("actionunban", TEXT, "", "lifts one ban"),
        Option("norestored", BOOLEAN, False, "whether bans that were put back after a restart are left out"),
    ),
    title="Commands of an action; usually in `[Definition]` of its file",
)
"""What `[Definition]` of an action gives to those who execute it; its other keys only feed the substitution."""

NAME: Final = Option("name", TEXT, "", "the name that it acts under", default_text="the jail's name")
ACTNAME: Final = Option("actname", TEXT, "", "tells actions of one jail apart", default_text="the action's name")

ACTION_TABLE: Final = OptionTable(
    "action",
    (
        NAME,
        ACTNAME,
        Option("port", TEXT, "", "the ports that it closes, where it closes ports"),
        Option("protocol", TEXT, "", "the protocol of these ports"),
        Option("chain", TEXT, "", "the chain that its rules go to, where it has rules"),
        Option("bantime", TEXT, "", "accepted for fail2ban's sake; bans last as long as the jail says"),
    ),
    title="Brackets of every action",
)
"""`action = %(action_)s` hands `port` and the like to whatever `banaction` names."""
