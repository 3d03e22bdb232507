"""The training command: RL Baselines3 Zoo with plastic_rl's algorithms, options and environments."""
