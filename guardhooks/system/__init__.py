"""What Linux says of this machine: interfaces, gateways, sessions, connections, folders."""
