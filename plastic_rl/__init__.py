"""Learning within a lifetime: plastic recurrent cores, memory tasks and the training around them.

Importing this package registers the environments with Gymnasium and loads no torch, so that workers that only step
environments stay light. Everything that needs torch loads when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    from plastic_rl.envs.registration import register_envs
except ModuleNotFoundError as error:
    if error.name != "plastic_rl.envs":
        raise
    raise ImportError(
        "plastic_rl/envs, plastic_rl/agents and plastic_rl/scripts must be symbolic links to ../envs, ../agents and "
        "../scripts, and this checkout has none. Make them with `git config core.symlinks true` and "
        "`git checkout -- plastic_rl` (on Windows in Developer Mode), or install the package with `pip install .`"
    ) from error

if TYPE_CHECKING:
    from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO
    from plastic_rl.cores import make_core, register_core
    from plastic_rl.ops import plastic_scan

__version__ = "0.1.0"

_HOME = {
    "PlasticA2C": "plastic_rl.agents",
    "PlasticBPTT": "plastic_rl.agents",
    "PlasticPPO": "plastic_rl.agents",
    "make_core": "plastic_rl.cores",
    "plastic_scan": "plastic_rl.ops",
    "register_core": "plastic_rl.cores",
}

__all__ = ["PlasticA2C", "PlasticBPTT", "PlasticPPO", "make_core", "plastic_scan", "register_core"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'plastic_rl' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


register_envs()
