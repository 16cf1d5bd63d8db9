"""Behavior cloning in PyTorch of the size that `scenes/demonstrations/*_bc.ron` have, scored as they are.

    python benches/peers/cloning_torch.py assets/hopper-expert-two-episodes.hdf5 --env Hopper-v5
    python benches/peers/cloning_torch.py assets/adroit-door-human.hdf5

Two hidden layers of 256, batches of 256, Adam from 1e-3 down half a cosine, observations normalized, actions scaled to [-1, 1] by the
environment's bounds or else by the data's, mean squared error. Fifty episodes from seed 500000 on, or the mean absolute error of actions on
the held-out demonstrations. One line of JSON a seed.
"""

import argparse
import json

import h5py
import numpy as np
import torch
from torch import nn


def rows_of(path):
    """Training and held-out (observation, action)."""
    with h5py.File(path) as file:
        if "observations" in file:
            return (file["observations"][:], file["actions"][:]), None
        demos = {key: [name.decode() for name in file[f"mask/{key}"][:]] for key in ("train", "valid")}

        def of(names):
            parts = lambda demo: [file[f"data/{demo}/obs/{part}"][:] for part in sorted(file[f"data/{demo}/obs"])]
            observations = [np.concatenate([p.reshape(len(p), -1) for p in parts(demo)], -1) for demo in names]
            return np.concatenate(observations), np.concatenate([file[f"data/{demo}/actions"][:] for demo in names])

        return of(demos["train"]), of(demos["valid"])


def train(observation, action, seed, steps):
    torch.manual_seed(seed)
    sizes = [observation.shape[1], 256, 256, action.shape[1]]
    policy = nn.Sequential(
        nn.Linear(sizes[0], 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, sizes[3]), nn.Tanh()
    )
    adam = torch.optim.Adam(policy.parameters(), lr=1e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(observation), (256,))
        loss = nn.functional.mse_loss(policy(observation[rows]), action[rows])
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        rate.step()
    return policy


def play(policy, name, scale, first_seed, episodes):
    import gymnasium

    env, returns = gymnasium.make(name), []
    for episode in range(episodes):
        seen, total, over = env.reset(seed=first_seed + episode)[0], 0.0, False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(scale(policy, seen))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--env")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    (observation, action), held_out = rows_of(options.file)
    mean, std = observation.mean(0), observation.std(0) + 1e-3
    if options.env:
        import gymnasium

        space = gymnasium.make(options.env).action_space
        low, high = space.low, space.high
    else:
        low, high = action.min(0), action.max(0)
    tensor = lambda values: torch.tensor(np.asarray(values), dtype=torch.float32)
    seen = lambda values: tensor((values - mean) / std)
    scaled = tensor(2 * (action - low) / (high - low) - 1)
    raw = lambda policy, values: (policy(seen(values)).detach().numpy() + 1) / 2 * (high - low) + low
    for seed in range(options.seeds):
        policy = train(seen(observation), scaled, seed, options.steps)
        said = {"file": options.file, "seed": seed}
        if options.env:
            returns = play(policy, options.env, raw, 500_000, options.episodes)
            said |= {"return": float(np.mean(returns)), "standard_error": float(np.std(returns, ddof=1) / len(returns) ** 0.5)}
        if held_out:
            found = policy(seen(held_out[0])).detach().numpy()
            wanted = 2 * (held_out[1] - low) / (high - low) - 1
            said |= {"action_error": float(np.abs(found - wanted).mean()), "mse": float(((found - wanted) ** 2).mean())}
        print(json.dumps(said), flush=True)


main()
