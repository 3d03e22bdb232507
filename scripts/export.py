"""Write a trained policy into a file that runs without this package.

    plastic-rl export RUN -o policy.onnx

An .onnx file is run by onnxruntime, in many languages; a .pt2 file by PyTorch. Both take an observation and a state and
give the action and the next state, for any number of observations at a time. The normalization of observations that the
run was trained with is part of the file. The page "Use a trained policy elsewhere" of the documentation shows how to
load and run it.
"""

import logging
from pathlib import Path

from plastic_rl.scripts import CommandParser, command, refuse

PARSER = CommandParser("export", __doc__, run="one")
PARSER.add_argument("-o", "--output", metavar="FILE", help="an .onnx or .pt2 file; default: RUN/policy.onnx")


@command
def main(argv: list[str]) -> None:
    """Export as the command line says."""
    args = PARSER.parse_args(argv)
    from stable_baselines3.common.vec_env import unwrap_vec_normalize

    from plastic_rl.agents.export import export_policy
    from plastic_rl.scripts.runs.folder import OURS, open_run

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells what it does without
    run = open_run(args.run, trust=args.trust)
    if run.algo not in OURS:
        refuse(f"run {args.run!r} is of {run.algo}; only policies of {', '.join(OURS)} can be exported")
    output = Path(args.output or run.output / "policy.onnx")
    try:
        normalization = unwrap_vec_normalize(run.make_env(1, seed=0))
        export_policy(run.load("cpu").policy, output, normalization)  # type: ignore[arg-type]
    except (ValueError, OSError) as error:
        refuse(f"run {args.run!r} cannot be exported: {error}")
    except ImportError as error:
        refuse(f"writing ONNX needs {error.name}: pip install onnx onnxruntime onnxscript, or write a .pt2 file")
    print(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")
