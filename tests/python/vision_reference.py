"""Prints the numbers that src/nn/encoder/pooling.rs and resnet.rs are held against, computed in float64 with NumPy alone.

The spatial softmax is robomimic's (`robomimic/models/base_nets.py`, `SpatialSoftmax`, with its defaults): a linear map of each place's
features, a softmax over places, the mean place. The block is torchvision's `BasicBlock` with group normalization (groups of 16, eps 1e-5).
"""

import numpy as np


def fill(shape, number):
    # The inputs are those of the tests, which are float32.
    return number(np.arange(np.prod(shape), dtype=np.float32)).astype(np.float64).reshape(shape)


def spatial_softmax():
    features = fill((2, 12, 2), lambda i: np.sin(i * np.float32(0.37)) * np.float32(3))
    weights = fill((9,), lambda i: np.cos(i * np.float32(0.7)))
    maps = features @ weights[:6].reshape(2, 3) + weights[6:]
    shares = np.exp(maps - maps.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    x, y = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 3))
    means = [(shares * axis.reshape(1, 12, 1)).sum(axis=1) for axis in (x, y)]
    return np.stack(means, axis=2).reshape(-1)


def convolve(planes, weights, stride, edge):
    planes = np.pad(planes, ((0, 0), (edge, edge), (edge, edge)))
    filters, _, kernel, _ = weights.shape
    down = (planes.shape[1] - kernel) // stride + 1
    across = (planes.shape[2] - kernel) // stride + 1
    out = np.zeros((filters, down, across))
    for y in range(down):
        for x in range(across):
            field = planes[:, y * stride : y * stride + kernel, x * stride : x * stride + kernel]
            out[:, y, x] = (weights * field).sum(axis=(1, 2, 3))
    return out


def group_norm(planes):
    channels = len(planes)
    groups = planes.reshape(channels // 16, -1)
    groups = (groups - groups.mean(axis=1, keepdims=True)) / np.sqrt(groups.var(axis=1, keepdims=True) + 1e-5)
    gain = fill((channels, 1, 1), lambda i: 1 + i * np.float32(0.01))
    bias = fill((channels, 1, 1), lambda i: i * np.float32(0.02) - np.float32(0.3))
    return groups.reshape(planes.shape) * gain + bias


def residual_block():
    planes = fill((16, 5, 4), lambda i: np.sin(i * np.float32(0.37)))
    weights = lambda *shape: fill(shape, lambda i: np.cos(i * np.float32(0.7)) * np.float32(0.1))
    hidden = np.maximum(group_norm(convolve(planes, weights(32, 16, 3, 3), 2, 1)), 0)
    hidden = group_norm(convolve(hidden, weights(32, 32, 3, 3), 1, 1))
    around = group_norm(convolve(planes, weights(32, 16, 1, 1), 2, 0))
    return np.maximum(hidden + around, 0).reshape(-1)[::17]


print("SPATIAL_SOFTMAX", ", ".join(f"{value:.9}" for value in spatial_softmax()))
print("RESIDUAL_BLOCK", ", ".join(f"{value:.9}" for value in residual_block()))
