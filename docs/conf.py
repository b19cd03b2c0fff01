"""The site: Markdown by MyST, the reference from docstrings, in the theme Furo.

`make docs` builds it into .docs/site.  A warning is an error, such as one about a dead link or
a page that is in no list of pages.
"""

from importlib.metadata import version as version_of

project = "d4py"
author = "The d4py developers"
copyright = author
release = version_of("d4py-core")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.programoutput",
]
# Read by contributors in the repository; the site is for users.
exclude_patterns = ["decisions/**", "tests/**", "benchmarks.md", "scale.md"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"d4py {release}"
html_show_copyright = False
html_theme_options = {
    "source_repository": "https://github.com/StreamingFlow/d4py/",
    "source_branch": "main",
    "source_directory": "docs/",
}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# `name` in a docstring is code.
default_role = "code"
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
