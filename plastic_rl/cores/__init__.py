"""Recurrent cores: one class each, behind one interface, built by name."""

from plastic_rl.cores.associative import AssociativeCore
from plastic_rl.cores.base import RecurrentCore, State
from plastic_rl.cores.gated import GRUCore, LSTMCore
from plastic_rl.cores.plastic import PlasticCore
from plastic_rl.cores.plastic_layer import PlasticLayer
from plastic_rl.cores.registry import core_arguments, core_defaults, make_core, register_core, registered_cores

register_core("plastic", PlasticCore)
register_core("homogeneous", PlasticCore, alpha="shared")
register_core("rnn", PlasticCore, alpha="none")
register_core("neuromodulated", PlasticCore, rule="neuromodulated")
register_core("retroactive", PlasticCore, rule="retroactive")
register_core("associative", AssociativeCore)
register_core("plastic_layer", PlasticLayer)
register_core("gru", GRUCore)
register_core("lstm", LSTMCore)

__all__ = [
    "AssociativeCore",
    "GRUCore",
    "LSTMCore",
    "PlasticCore",
    "PlasticLayer",
    "RecurrentCore",
    "State",
    "core_arguments",
    "core_defaults",
    "make_core",
    "register_core",
    "registered_cores",
]
