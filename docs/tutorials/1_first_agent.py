"""
1. Your first plastic agent
===========================

This tutorial trains a policy with plastic connections on a memory task, and looks at one episode of it.
It takes less than a minute on one CPU core.

Install the package first: ``pip install .`` in a clone of the repository.
"""

import tempfile

import gymnasium as gym
import matplotlib.pyplot as plt
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.results_plotter import load_results

from plastic_rl import PlasticPPO, hyperparameters, make_vec_env
from plastic_rl.envs import reference_returns, score

torch.set_num_threads(1)

# %%
# The task
# --------
# ``PatternRecall-v0`` shows two patterns of six bits.
# Then it shows one of them again, with half of its bits hidden.
# The agent must answer with the hidden bits.
# The patterns are new in every episode, so the agent cannot learn them by training: it must remember them.

env = gym.make("plastic_rl/PatternRecall-v0", render_mode="ansi")
observation, info = env.reset(seed=0)
for _ in range(3):
    print(env.render(), end="\n\n")
    observation, reward, terminated, truncated, info = env.step(info["target"])

# %%
# ``info["target"]`` is the right answer. It is for supervised training and for baselines; the agent never sees it.
# Every task knows the mean return of random answers and of the right ones:

print(reference_returns("plastic_rl/PatternRecall-v0"))

# %%
# Train
# -----
# ``PlasticPPO`` is the PPO of Stable-Baselines3 with a recurrent policy.
# ``core`` names the recurrent network, and ``core_kwargs`` are its arguments.
# ``plastic_memory`` is a plastic layer on an LSTM.
# ``hyperparameters`` returns tuned values for this task. Among them is ``n_steps``: a rollout is one whole episode.

folder = tempfile.mkdtemp()
envs = make_vec_env("plastic_rl/PatternRecall-v0", n_envs=256, seed=1, monitor_dir=folder)
settings = hyperparameters("plastic_ppo", "plastic_rl/PatternRecall-v0")
settings["policy_kwargs"] = dict(core="plastic_memory", core_kwargs=dict(hidden_size=64))
model = PlasticPPO(env=envs, seed=1, device="cpu", **settings)
model.learn(80_000)

# %%
# The monitor files hold the return of every training episode.

returns = load_results(folder)["r"].rolling(500, min_periods=1).mean()
plt.figure(figsize=(6, 3))
plt.plot(returns.to_numpy())
plt.xlabel("episode")
plt.ylabel("return, mean over 500 episodes")
plt.tight_layout()

# %%
# Evaluate
# --------
# The normalized score is 0 for random answers and 1 for right ones.
# A plastic policy is trained with sampled actions, so evaluate it with sampled and with the most probable ones.

for deterministic in (False, True):
    mean, _ = evaluate_policy(model, envs, n_eval_episodes=256, deterministic=deterministic)
    name = "most probable actions" if deterministic else "sampled actions"
    print(f"{name}: score {score('plastic_rl/PatternRecall-v0', mean):.2f}")

# %%
# Act
# ---
# ``predict`` follows the convention of Stable-Baselines3: the state goes in and comes out.
# A state of ``None`` begins an episode.
# The state of this core is the activity and the cell of its LSTM, the modulation M(t) and the trace.

observation, info = env.reset(seed=1)
state, terminated = None, False
while not terminated:
    action, state = model.predict(observation, state, deterministic=True)
    observation, reward, terminated, truncated, info = env.step(action)
print("state", [part.shape for part in state], "last reward", reward)

# %%
# Save and load
# -------------

model.save(f"{folder}/model")
loaded = PlasticPPO.load(f"{folder}/model", device="cpu")
print(loaded.policy.core)

# %%
# The same from the command line:
#
# .. code-block:: bash
#
#     plastic-rl train --algo plastic_ppo --env plastic_rl/PatternRecall-v0 -P
#
# The command uses tuned hyperparameters, writes a run folder with checkpoints, and logs to TensorBoard.
