"""Sphinx configuration of the documentation site; `make docs` builds it."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent)]

import plastic_rl  # noqa: E402

project = "plastic_rl"
author = "the authors of plastic_rl"
copyright = f"2026, {author}"
release = version = plastic_rl.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "commands",
    "docstrings",
    "names",
    "root_pages",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_ext", "tutorials", "**/sg_execution_times.rst", "sg_execution_times.rst"]

html_theme = "furo"
html_title = "plastic_rl"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_dark_style = "monokai"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # messages and options are quoted as they are
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

# The docstrings have types of torch, gymnasium and SB3. Their pages are linked where they can be reached:
# DOCS_ONLINE=1 make docs. A build without the network links within this site only.
INVENTORIES = {
    "python": "https://docs.python.org/3",
    "numpy": "https://numpy.org/doc/stable",
    "torch": "https://docs.pytorch.org/docs/stable",
    "gymnasium": "https://gymnasium.farama.org",
    "stable_baselines3": "https://stable-baselines3.readthedocs.io/en/master",
}
intersphinx_mapping = {name: (url, None) for name, url in INVENTORIES.items()} if os.environ.get("DOCS_ONLINE") else {}
intersphinx_timeout = 5
intersphinx_disabled_reftypes = ["*"]  # of this site's own pages, a link means this site

nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|gymnasium|stable_baselines3|numpy|np|nn|collections|pathlib|matplotlib|optuna)\b.*"),
    (r"py:(class|exc)", r"(abc|plastic_rl\.(agents|cores|envs)\.\w+)\..*"),  # base classes that are not public
    (r"py:exc", r"\w+"),  # exceptions named under Raises
    (r"py:obj", r".*"),  # `code` in docstrings: a link where it names something on this site
]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, shapes and ranges
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": ["tutorials"],
    "gallery_dirs": ["generated/tutorials"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": False,
    "abort_on_example_error": True,
    "capture_repr": (),
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 3600,
    "remove_config_comments": True,
    "plot_gallery": os.environ.get("DOCS_RUN", "1") != "0",  # DOCS_RUN=0: the tutorials are shown without output
}
