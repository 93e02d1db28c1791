"""What the firewall plugins share: action parameters, bans as kernel entries, reconciling, raw nfnetlink. No plugin."""
