"""Run folders: what `train` leaves behind, opened, played and read again."""
