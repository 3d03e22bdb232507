"""Recurrent cores: one class each, behind one interface, built by name."""

from plastic_rl.cores.associative import AssociativeCore
from plastic_rl.cores.base import RecurrentCore, SequenceLayer, State
from plastic_rl.cores.delay_line import DelayLine
from plastic_rl.cores.delta import DeltaCore
from plastic_rl.cores.gated import GRUCore, LSTMCore
from plastic_rl.cores.loop import LoopCore
from plastic_rl.cores.plastic import PlasticCore
from plastic_rl.cores.plastic_layer import PlasticLayer
from plastic_rl.cores.plastic_lstm import PlasticLSTM
from plastic_rl.cores.plastic_memory import PlasticMemory
from plastic_rl.cores.prototypical import PrototypicalCore
from plastic_rl.cores.registry import core_arguments, core_defaults, make_core, register_core, registered_cores
from plastic_rl.cores.repeated import RepeatedCore
from plastic_rl.cores.stacked import StackedCore
from plastic_rl.cores.stpn import STPNCore

register_core("plastic_memory", PlasticMemory)
register_core("plastic", PlasticCore)
register_core("homogeneous", PlasticCore, alpha="shared")
register_core("rnn", PlasticCore, alpha="none")
register_core("neuromodulated", PlasticCore, rule="neuromodulated")
register_core("retroactive", PlasticCore, rule="retroactive")
register_core("plastic_lstm", PlasticLSTM)
register_core("neuromodulated_lstm", PlasticLSTM, rule="neuromodulated")
register_core("delta", DeltaCore)
register_core("stpn", STPNCore)
register_core("stacked", StackedCore)
register_core("repeated", RepeatedCore)
register_core("associative", AssociativeCore)
register_core("plastic_layer", PlasticLayer)
register_core("prototypical", PrototypicalCore)
register_core("delay_line", DelayLine)
register_core("gru", GRUCore)
register_core("lstm", LSTMCore)

__all__ = [
    "AssociativeCore",
    "DelayLine",
    "DeltaCore",
    "GRUCore",
    "LSTMCore",
    "LoopCore",
    "PlasticCore",
    "PlasticLSTM",
    "PlasticLayer",
    "PlasticMemory",
    "PrototypicalCore",
    "RecurrentCore",
    "RepeatedCore",
    "STPNCore",
    "SequenceLayer",
    "StackedCore",
    "State",
    "core_arguments",
    "core_defaults",
    "make_core",
    "register_core",
    "registered_cores",
]
