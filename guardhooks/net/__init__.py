"""Addresses and prefixes; nothing here asks the machine or the network."""
