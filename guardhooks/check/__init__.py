"""Says what is wrong with a configuration before anything runs: `guardhooks check`. Changes nothing.

A finder looks for one kind of mistake (`finders/`); plugins add theirs by the hook `check_jail`.
"""
