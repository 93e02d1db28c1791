from tests.core.firewall.conftest import _cable, hosts

__all__ = ["_cable", "hosts"]
