"""The guide: `tox -e docs` builds it into build/guide; every warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "crossprune"
html_title = "crossprune"
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}
highlight_language = "none"  # indented blocks are formulas and drawings

extensions = [
    "myst_parser",
    "numpydoc",
    "offline",
    "option_tables",
    "sphinx.ext.autodoc",
    "sphinx_gallery.gen_gallery",
]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other packages have no page here
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4

autodoc_type_aliases = {name: name for name in ("ArrayLike", "FloatArray", "Frames", "IntArray")}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "first_notebook_cell": None,
    "remove_config_comments": True,
}
