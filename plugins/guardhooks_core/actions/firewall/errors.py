"""What the kernel's refusals mean, and what to do about them."""

from __future__ import annotations

import errno
from typing import Final

from guardhooks import ActionError
from guardhooks_core.actions.firewall.netlink import NetlinkError

NEEDS_PRIVILEGE: Final = "needs CAP_NET_ADMIN: run as root, or give the service that capability"


class PrivilegeError(ActionError):
    """The firewall may not be changed by this user."""


class ToolMissingError(ActionError):
    """A program, library or kernel module that the action needs is missing."""


def explain(error: NetlinkError, what: str, *, missing: str = "") -> ActionError:
    """The `ActionError` for a refusal while doing `what`; `missing` says what ENOENT means there."""
    if error.errno in (errno.EPERM, errno.EACCES):
        return PrivilegeError(f"{what}: {NEEDS_PRIVILEGE}")
    if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL):
        return ToolMissingError(f"{what}: the kernel cannot do that ({error.strerror}); is the module loaded?")
    if error.errno == errno.ENOENT and missing:
        return ActionError(f"{what}: {missing}")
    return ActionError(f"{what}: {error.strerror}")
