"""Imitation with large networks in PyTorch's eager mode: the twin of `yarak bench bc_rnn`, `bc_transformer`, `diffusion` and `cnn`.

    python benches/peers/networks_torch.py bc_rnn --threads 1

Random transitions, sampling and gathering included, Adam, float32: one million of observation 11 and action 3 (100 windows of 10 steps
for `bc_rnn` and `bc_transformer`, 256 chunks of 16 actions for `diffusion`), 2,000 of 84x84 color pictures (64 at a time for `cnn`; they
are kept as bytes, which is the less to gather). The fastest of what PyTorch offers without compiling: its own LSTM,
scaled_dot_product_attention, fused optimizers, foreach averaging. Prints steps a second of each window of three seconds.
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


class Denoiser(nn.Module):
    """Diffusion Policy's loss with a perceptron: what is noise in a chunk, seen the observation and the diffusion step."""

    HORIZON, DIFFUSION, TIME = 16, 100, 64

    def __init__(self, hidden=512):
        super().__init__()
        chunk = self.HORIZON * ACTION
        sizes = [OBSERVATION + self.TIME + chunk, hidden, hidden, hidden, chunk]
        layers = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        at = torch.cos((torch.arange(self.DIFFUSION + 1) / self.DIFFUSION + 0.008) / 1.008 * torch.pi / 2) ** 2
        beta = (1 - at[1:] / at[:-1]).clamp(max=0.999)
        self.register_buffer("kept", torch.cumprod(1 - beta, 0))
        paces = 10_000 ** (-torch.arange(self.TIME // 2) / (self.TIME / 2 - 1))
        self.register_buffer("paces", paces)

    def loss(self, observation, chunk):
        step = torch.randint(0, self.DIFFUSION, (len(chunk),))
        noise = torch.randn_like(chunk)
        kept = self.kept[step][:, None]
        noisy = kept.sqrt() * chunk + (1 - kept).sqrt() * noise
        angle = step[:, None] * self.paces
        seen = torch.cat([observation, angle.sin(), angle.cos(), noisy], -1)
        return F.mse_loss(self.layers(seen), noise)


class Cnn(nn.Module):
    """Nature's convolutions, 512 features, an action."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(7 * 7 * 64, 512), nn.ReLU(), nn.Linear(512, ACTION), nn.Tanh(),
        )

    def loss(self, pictures, action):
        return F.mse_loss(self.layers(pictures.permute(0, 3, 1, 2).float() / 255), action)


MODELS = {"bc_rnn": Rnn, "bc_transformer": Transformer, "diffusion": Denoiser, "cnn": Cnn}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = MODELS[options.name]()
    if options.name == "cnn":
        rows, batch, window = 2_000, 64, torch.arange(1)
        observations = torch.randint(0, 256, (rows, 84, 84, 3), dtype=torch.uint8)
    else:
        rows, batch = ROWS, 256 if options.name == "diffusion" else BATCH
        window = torch.arange(Denoiser.HORIZON if options.name == "diffusion" else STEPS)
        observations = torch.randn(ROWS, OBSERVATION)
    actions = 2 * torch.rand(rows, ACTION) - 1
    parameters = list(model.parameters())
    averaged = [parameter.detach().clone() for parameter in parameters]
    if options.name == "diffusion":
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, fused=True)
    else:
        optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)

    def step():
        first = torch.randint(0, rows - len(window) + 1, (batch,))
        chosen = first[:, None] + window
        optimizer.zero_grad(set_to_none=True)
        match options.name:
            case "diffusion":
                loss = model.loss(observations[first], actions[chosen].flatten(1))
            case "cnn":
                loss = model.loss(observations[first], actions[first])
            case _:
                loss = model.loss(observations[chosen], actions[chosen])
        loss.backward()
        optimizer.step()
        if options.name == "diffusion":
            torch._foreach_lerp_(averaged, [parameter.data for parameter in parameters], 0.01)

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
