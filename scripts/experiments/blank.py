"""No hyperparameters: `train -conf plastic_rl.scripts.experiments.blank` takes all of them from its command line."""

hyperparams: dict[str, dict[str, object]] = {"default": {}}
