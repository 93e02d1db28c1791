"""What tests share: a clock, bans, waiting for an event, guards from the text of their configuration."""
