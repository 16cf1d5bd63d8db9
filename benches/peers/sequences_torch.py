"""Behavior cloning with memory in PyTorch's eager mode: the twin of `yarak bench bc_rnn` and `bc_transformer`.

    python benches/peers/sequences_torch.py bc_rnn --threads 1

One million random transitions, observation 11, action 3, 100 windows of 10 steps, sampling and gathering included, Adam, float32.
The fastest of what PyTorch offers without compiling: its own LSTM, scaled_dot_product_attention, fused Adam. Prints steps a second of
each window of three seconds.
"""

import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F

ROWS, OBSERVATION, ACTION, BATCH, STEPS, MODES = 1_000_000, 11, 3, 100, 10, 5


class Rnn(nn.Module):
    def __init__(self, hidden=400, layers=2):
        super().__init__()
        self.lstm = nn.LSTM(OBSERVATION, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, MODES * (2 * ACTION + 1))

    def loss(self, observation, action):
        out = self.head(self.lstm(observation)[0])
        shape = (*out.shape[:2], MODES, ACTION)
        mean = out[..., : MODES * ACTION].reshape(shape).tanh()
        std = F.softplus(out[..., MODES * ACTION : 2 * MODES * ACTION].reshape(shape)) + 1e-4
        normal = torch.distributions.Normal(mean, std, validate_args=False)
        each = normal.log_prob(action[:, :, None]).sum(-1)
        weights = F.log_softmax(out[..., 2 * MODES * ACTION :], -1)
        return -torch.logsumexp(weights + each, -1).mean()


class Block(nn.Module):
    def __init__(self, wide, heads, drop):
        super().__init__()
        self.heads, self.drop = heads, drop
        self.first, self.second = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.attend, self.join = nn.Linear(wide, 3 * wide), nn.Linear(wide, wide)
        self.up, self.down = nn.Linear(wide, 4 * wide), nn.Linear(4 * wide, wide)

    def forward(self, x):
        batch, steps, wide = x.shape
        parts = self.attend(self.first(x)).reshape(batch, steps, 3, self.heads, wide // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, dropout_p=self.drop, is_causal=True)
        x = x + F.dropout(self.join(seen.transpose(1, 2).reshape(batch, steps, wide)), self.drop)
        return x + F.dropout(self.down(F.gelu(self.up(self.second(x)))), self.drop)


class Transformer(nn.Module):
    def __init__(self, wide=256, layers=4, heads=8, drop=0.1):
        super().__init__()
        self.drop = drop
        self.embed = nn.Linear(OBSERVATION, wide)
        self.positions = nn.Parameter(0.02 * torch.randn(STEPS, wide))
        self.embedded, self.last = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.blocks = nn.ModuleList(Block(wide, heads, drop) for _ in range(layers))
        self.head = nn.Linear(wide, ACTION)

    def loss(self, observation, action):
        x = F.dropout(self.embedded(self.embed(observation) + self.positions), self.drop)
        for block in self.blocks:
            x = block(x)
        return F.mse_loss(self.head(self.last(x)).tanh(), action)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["bc_rnn", "bc_transformer"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    observations, actions = torch.randn(ROWS, OBSERVATION), 2 * torch.rand(ROWS, ACTION) - 1
    model = Rnn() if options.name == "bc_rnn" else Transformer()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    window = torch.arange(STEPS)

    def step():
        rows = torch.randint(0, ROWS - STEPS, (BATCH,))[:, None] + window
        adam.zero_grad(set_to_none=True)
        model.loss(observations[rows], actions[rows]).backward()
        adam.step()

    for _ in range(10):
        step()
    for _ in range(options.windows):
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < options.seconds:
            step()
            steps += 1
        rate = steps / (time.perf_counter() - start)
        print(json.dumps({"name": options.name, "threads": options.threads, "steps/s": rate}), flush=True)


main()
