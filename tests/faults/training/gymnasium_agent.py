"""Tabular Q-learning, epsilon-greedy, in single and vectorised environments: gymnasium."""

from pathlib import Path

import gymnasium as gym
import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig

import repro_hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    rng = np.random.default_rng(cfg.seed)
    env = gym.make("FrozenLake-v1", is_slippery=True)
    env.action_space.seed(cfg.seed)
    q = np.zeros((env.observation_space.n, env.action_space.n))
    state, _ = env.reset(seed=cfg.seed)
    reached = 0.0
    for episode in range(60):
        while True:
            greedy = rng.random() > 0.3
            action = int(q[state].argmax()) if greedy else int(env.action_space.sample())
            following, reward, ended, cut, _ = env.step(action)
            q[state, action] += cfg.lr * (reward + 0.95 * q[following].max() - q[state, action])
            state = following
            if ended or cut:
                break
        reached += float(reward)
        state, _ = env.reset()
        if episode % 20 == 0:
            repro_hydra.log_metrics({"reached": reached}, step=episode)
    envs = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    envs.action_space.seed(cfg.seed)
    envs.reset(seed=cfg.seed)
    total = sum(float(envs.step(envs.action_space.sample())[1].sum()) for _ in range(50))
    np.save(Path(HydraConfig.get().runtime.output_dir, "q.npy"), q)
    return {"reached": reached, "balanced": total}


if __name__ == "__main__":
    main()
