"""
Your first plastic agent
========================

Text.
"""

print("hello")
