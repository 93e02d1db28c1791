"""The flow at run time: from the lines of a source to a ban that is in force."""
