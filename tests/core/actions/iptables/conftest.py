from tests.core.actions.firewall.conftest import _cable, hosts

__all__ = ["_cable", "hosts"]
