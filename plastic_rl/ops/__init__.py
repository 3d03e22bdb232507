"""The plastic scan: one sequence operation, several backends, one reference."""
