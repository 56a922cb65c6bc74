"""The documentation as a site: ``sphinx-build -W -c docs . site``.

The source folder is the repository itself: a link between the pages, the tables of the benchmarks, the notebooks and the README
is the same file in the site as in a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fxcount.version import __version__

project = "fxcount"
author = "the fxcount authors"
copyright = "2026, the fxcount authors"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**.md", "benchmarks/**.md", "notebooks/*.ipynb"]
exclude_patterns = ["site", ".venv", "**/.*"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
nb_execution_mode = "off"  # the notebooks are kept executed: a test runs each of them again

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": False}

html_theme = "furo"
html_title = f"fxcount {version}"
html_extra_path = ["_root"]  # so that the site can be opened at its top
html_copy_source = False
html_show_sphinx = False
pygments_style = "tango"
pygments_dark_style = "monokai"

# "python repl", "sh" and "bash" are lexers of pygments; a block without a language is output, not Python.
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]
