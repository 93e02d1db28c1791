"""What actions share: options, whom a ban means, host names."""
