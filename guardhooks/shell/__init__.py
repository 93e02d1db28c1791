"""The one place where a tag meets a shell: text of attackers becomes an argument of a command, and never part of it."""

from __future__ import annotations

from guardhooks.shell.quoting import Quote as Quote
from guardhooks.shell.quoting import tags as tags
from guardhooks.shell.script import ShellScript as ShellScript
from guardhooks.shell.script import shell_script as shell_script
