"""What do the commands share? How one prints in colour, where that is wanted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand
from django.core.management.color import Style, no_style


def style_of(command: BaseCommand, options: Mapping[str, Any]) -> Style:
    """Return Django's colours for a command that prints to a terminal; with NO_COLOR in the environment none.

    Django's own options and DJANGO_COLORS hold; it looks at the process' output, not at where the command prints.
    """
    if options.get("force_color") or (command.stdout.isatty() and not os.environ.get("NO_COLOR")):
        return command.style
    return no_style()
