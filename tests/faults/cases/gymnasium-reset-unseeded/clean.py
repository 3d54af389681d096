"""The same, done well."""

import gymnasium as gym
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    envs = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    observations, _ = envs.reset(seed=cfg.seed)
    return float(observations.sum())


if __name__ == "__main__":
    main()
