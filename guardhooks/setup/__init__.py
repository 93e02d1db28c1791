"""`guardhooks init`: finds out what this machine serves, proposes jails for it, writes the first configuration.

`programs` says which programs belong to which jails, `evidence` what is known of this machine, `proposal` puts both
together, `jail_local` words the proposal, `writing` puts the files in place.
"""

from guardhooks.setup.evidence import Evidence, look_around
from guardhooks.setup.jail_local import jail_local
from guardhooks.setup.proposal import Proposal, propose
from guardhooks.setup.writing import write_directory

__all__ = ["Evidence", "Proposal", "jail_local", "look_around", "propose", "write_directory"]
