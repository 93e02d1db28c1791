"""The unix socket between the daemon and its client commands.

Nothing is imported here: a client command must not pay for the server.
"""
