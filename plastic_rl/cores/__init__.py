"""Recurrent cores: one class each, behind one interface, built by name."""
