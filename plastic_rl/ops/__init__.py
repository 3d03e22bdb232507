"""The plastic scan: one sequence operation, several backends, one reference."""

from plastic_rl.ops.dispatch import plastic_scan, plastic_step
from plastic_rl.ops.rules import RULES, Rule, get_rule

__all__ = ["RULES", "Rule", "get_rule", "plastic_scan", "plastic_step"]
