"""Where patterns, glyphs and images come from."""
