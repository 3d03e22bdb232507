"""The plastic scan: one sequence operation, several backends, one reference."""

from plastic_rl.ops.rules import RULES, Rule, get_rule
from plastic_rl.ops.scan import plastic_scan, plastic_step

__all__ = ["RULES", "Rule", "get_rule", "plastic_scan", "plastic_step"]
