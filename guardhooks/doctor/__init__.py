"""Whether the guard is in order; why an address does, or does not, get through: `guardhooks doctor`.

It looks and changes nothing. With a daemon it runs in the daemon's process, so that it sees the daemon's firewall, its
ledger and its actions; without one in the command's own, with what configuration, ledger file and kernel say.
"""
