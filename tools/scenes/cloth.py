"""Cloth with real folds: a sheet pushed together on a table, by position-based dynamics (Müller et al. 2007)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Push(NamedTuple):
    squeeze: tuple[float, float]  # by which share the sheet is pushed together in x and in y
    flat: float  # radius around the origin that stays flat: where a product stands
    stiffness: float  # 0..1 against bending: higher gives wider folds
    waves: tuple[float, float]  # radians a unit: what folds begin from
    rise: float  # units that they begin with
    turn: float = 0.0  # radians by which the folds are turned


LINEN = Push((0.045, 0.014), 1.1, 0.1, (2.6, 9.0), 0.06)  # a tablecloth: fine folds of a centimetre
SATIN = Push((0.07, 0.02), 1.1, 0.5, (1.4, 3.4), 0.16)


def pushed(width: float, depth: float, cells: int, push: Push, seed: int) -> np.ndarray:
    """[cells, cells, 3]: a sheet of `width` x `depth` lying on z = 0, in folds.

    It starts pushed together and uneven; restoring the lengths between neighbours then raises the folds.
    """
    rng = np.random.default_rng(seed)
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, cells) * width, np.linspace(-0.5, 0.5, cells) * depth, indexing="ij")
    rest = np.stack([u, v], -1)
    cos, sin = np.cos(push.turn), np.sin(push.turn)
    along, across = rest @ [cos, sin], rest @ [-sin, cos]
    along, across = (
        part - np.sign(part) * share * np.maximum(np.abs(part) - 0.7 * push.flat, 0)
        for part, share in zip((along, across), push.squeeze)
    )
    target = np.stack([cos * along - sin * across, sin * along + cos * across], -1)
    loose = np.clip((np.hypot(u, v) - push.flat) / (0.9 * push.flat), 0, 1)
    points = np.dstack([target, np.maximum(0, loose * push.rise * (0.3 + _bumps(rng, rest, push)))])
    edge = np.zeros((cells, cells), bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    step = (width / (cells - 1), depth / (cells - 1))
    for _ in range(110):
        _keep_lengths(points, step, push.stiffness)
        points[edge, :2] = target[edge]
        points[..., :2] += (target - points[..., :2]) * (1 - loose)[..., None] * 0.5
        points[..., 2] -= 0.003 * push.rise
        points[..., 2] *= 0.95 + 0.05 * loose
        np.maximum(points[..., 2], 0, out=points[..., 2])
    for _ in range(2):  # thread holds its neighbours: no fold has a sharp foot
        points[1:-1, 1:-1, 2] = sum(
            share * points[1 + i : points.shape[0] - 1 + i, 1 + j : points.shape[1] - 1 + j, 2]
            for i, j, share in ((0, 0, 0.4), (1, 0, 0.15), (-1, 0, 0.15), (0, 1, 0.15), (0, -1, 0.15))
        )
    return points


def _bumps(rng: np.random.Generator, at: np.ndarray, push: Push) -> np.ndarray:
    """Uneven waves, most of them across the main push."""
    angle = push.turn + rng.normal(0, 0.22, 40)
    way = np.stack([np.cos(angle), np.sin(angle)], -1) * rng.uniform(*push.waves, (40, 1))
    return np.sin(at @ way.T + rng.uniform(0, 6.3, 40)).mean(-1) * 40**0.5


def _keep_lengths(points: np.ndarray, step: tuple[float, float], stiffness: float) -> None:
    """Neighbours at their own distance, diagonals too; those four apart at theirs as far as the cloth is stiff."""
    diagonal = float(np.hypot(*step))
    for di, dj, length, strength in (
        (1, 0, step[0], 1.0),
        (0, 1, step[1], 1.0),
        (1, 1, diagonal, 0.5),
        (1, -1, diagonal, 0.5),
        (4, 0, 4 * step[0], stiffness),
        (0, 4, 4 * step[1], stiffness),
    ):
        for start in range(2):
            _pull(points, di, dj, start, length, strength)


def _pull(points: np.ndarray, di: int, dj: int, start: int, length: float, strength: float) -> None:
    n = points.shape[0]
    first = slice(0, n - di), slice(max(0, -dj), n - max(0, dj))
    second = slice(di, n), slice(max(0, dj), n - max(0, -dj))
    way = points[second] - points[first]
    far = np.linalg.norm(way, axis=-1, keepdims=True) + 1e-9
    move = way * ((far - length) / far) * (0.25 * strength)
    if start == 0:
        points[first] += move
    else:
        points[second] -= move
