"""No hyperparameters: `train -conf plastic_rl.scripts.experiments.blank` takes all of them from its command line."""

hyperparams = {"default": {"n_timesteps": 1_000_000}}
