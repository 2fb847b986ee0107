"""How are the documents built? `sphinx-build -n -W docs docs/_build/html`; nothing is fetched from the network."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path
from runpy import run_path

_root = Path(__file__).parent.parent
_metadata = ConfigParser(interpolation=None)
_metadata.read(_root / "setup.cfg")

project = _metadata["metadata"]["name"]
author = _metadata["metadata"]["author"]
release = version = run_path(str(_root / "django_gmf_router" / "__init__.py"))["__version__"]
html_title = f"{project} {release}"

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_js_files = ["tables.js"]
html_copy_source = False
html_show_copyright = False
# Pygments' console lexer trips over a quoted string of two lines; whether examples are right, tests/unit/docs says.
suppress_warnings = ["misc.highlighting_failure"]
