"""Writes the pages that are generated: `python docs/generate.py`. A test checks that they are up to date."""

from __future__ import annotations

from pathlib import Path

from guardhooks.plugins import Plugins, loading
from guardhooks.settings.reference import render_page

CONFIGURATION = Path(__file__).parent / "configuration.md"


def configuration() -> str:
    """docs/configuration.md, with the options of the packaged plugins."""
    plugins = Plugins()
    for candidate in loading.installed():
        if candidate.origin.startswith(f"{loading.OWN_DISTRIBUTION} "):
            plugins.register(loading.load(candidate), candidate.name, candidate.origin)
    return render_page(sorted(plugins.declared_options(), key=lambda table: table.title))


if __name__ == "__main__":
    CONFIGURATION.write_text(configuration())
