"""Run a command of RL Baselines3 Zoo, such as enjoy, with the algorithms of this package.

    plastic-rl zoo enjoy --algo plastic_ppo --env plastic_rl/Maze-v0 -f runs --no-render -n 1000

The Zoo's own commands read the names of algorithms before they import anything of ours, so they do not know these.
"""

import runpy
import sys

from plastic_rl.arguments import check_name
from plastic_rl.scripts import command, refuse

NAMES = ("enjoy", "record_video", "load_from_hub", "push_to_hub", "plots.all_plots",
         "plots.plot_train", "plots.plot_from_file", "plots.score_normalization")  # fmt: skip


@command
def main(argv: list[str]) -> None:
    """Run the Zoo's command that the first word names."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{__doc__}\nCommands: {', '.join(NAMES[:4])},\n    {', '.join(NAMES[4:])}")
        return
    if argv[0] == "train":
        refuse("use `plastic-rl train`, which takes every option of the Zoo's")
    check_name("command of the Zoo", argv[0], NAMES)
    from plastic_rl.scripts.zoo.options import register_algorithms

    register_algorithms()
    sys.argv = [f"rl_zoo3.{argv[0]}", *argv[1:]]
    runpy.run_module(f"rl_zoo3.{argv[0]}", run_name="__main__")
