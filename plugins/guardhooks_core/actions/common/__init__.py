"""What several actions share: bracket options, the address of a ban, host names."""
