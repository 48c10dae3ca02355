"""Sphinx configuration."""

from lightcars import __version__

project = "lightcars"
author = "The lightcars authors"
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"lightcars {__version__}"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Lightning's own are not valid reStructuredText here
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_use_ivar = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks hold their outputs; tests/docs runs them
copybutton_exclude = ".linenos, .gp, .go"
suppress_warnings = ["ref.python"]
