"""Imitation on a LeRobot data set by the weights of a run: a plain PyTorch loop. Needs ``pip install 'sima2[torch]'``.

sima2 export out --lists lists
python examples/train_with_weights.py my_set lists/weights.parquet

A small network learns the action from the state of the same frame. It is here to show where weights go, not to drive a
robot: put your own policy and data set in its place. Data and weights are joined by LeRobot's column ``index``.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader, TensorDataset

from sima2.io.arrow import read_table
from sima2.records.plan import FrameWeights
from sima2.sampling.torch_sampler import TrustSampler

EPOCHS, BATCH = 3, 256


def columns(data_set: str) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """``index``, states and actions of all frames of a LeRobot data set."""
    files = sorted(Path(data_set, "data").rglob("*.parquet"))
    table = pq.ParquetDataset(files).read(columns=["index", "observation.state", "action"])
    rows = {name: np.stack(table[name].to_numpy()) for name in ("observation.state", "action")}
    state, action = (torch.from_numpy(rows[name].astype(np.float32)) for name in ("observation.state", "action"))
    return table["index"].to_numpy(), state, action


def main(data_set: str, weights: str) -> None:
    torch.manual_seed(0)
    index, state, action = columns(data_set)
    # frames are drawn by their weight: those that the plan leaves out are never drawn
    sampler = TrustSampler(read_table(FrameWeights, weights), n=len(index), order=index, seed=0)
    frames = DataLoader(TensorDataset(state, action), batch_size=BATCH, sampler=sampler)

    centre, spread = state.mean(0), state.std(0).clamp(min=1e-3)
    usual, scale = action.mean(0), action.std(0).clamp(min=1e-3)
    policy = torch.nn.Sequential(
        torch.nn.Linear(state.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, action.shape[1])
    )
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)  # another epoch draws anew
        total = 0.0
        for seen, done in frames:
            loss = ((policy((seen - centre) / spread) - (done - usual) / scale) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(seen)
        print(f"epoch {epoch}: loss {total / len(index):.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
