"""The same, done well."""

import gymnasium as gym
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    env = gym.make("CartPole-v1")
    env.reset(seed=cfg.seed)
    env.action_space.seed(cfg.seed)
    return int(sum(env.action_space.sample() for _ in range(20)))


if __name__ == "__main__":
    main()
