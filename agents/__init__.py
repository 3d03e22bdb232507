"""The learners: policy, rollout buffer, A2C, PPO, callbacks."""
