"""Sphinx configuration."""

from lightcars import __version__

project = "lightcars"
author = "The lightcars authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lightcars {__version__}"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Lightning's own are not valid reStructuredText here
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_use_ivar = True
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]
