"""The commands. Each module is run as `python -m plastic_rl.scripts.NAME`."""

import os

# Threads of torch that have nothing to do shall sleep. By default they spin for some milliseconds after each operation,
# on the cores that `plastic_scan`'s own threads want next. Torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
