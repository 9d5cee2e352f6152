"""``sima2 sample``: draw episodes to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sima2.cli import options
from sima2.cli.answer import plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def command(
    out: options.Out,
    n: Annotated[int, typer.Option("--n", metavar="N", min=0, help="How many draws.", show_default=False)],
    strategy: Annotated[
        str,
        typer.Option(metavar="S", help="uniform, balanced (families alike), trust_weighted, early, mid or advanced."),
    ] = "trust_weighted",
    objective: Annotated[str, typer.Option(metavar="O", help="What is trained: bc (imitation) or rl.")] = "rl",
    epoch: Annotated[int, typer.Option(metavar="E", min=0, help="Each epoch draws anew.")] = 0,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Draw episodes to train on, by their sampling weights.

    Prints one line a draw, index and id of the episode; the same seed and epoch draw the same.

    \b
    Example:
      sima2 sample results --n 256 --strategy trust_weighted --objective bc --epoch 0 --seed 0
    """
    index, ids = drawn(out, n, strategy=strategy, objective=objective, epoch=epoch, seed=seed)
    if not as_json:
        # lines for other programs, not a table: neither wrapped nor aligned
        from sima2.report.text import visible

        for place, name in zip(index.tolist(), ids, strict=True):
            typer.echo(f"{place}\t{visible(name)}")
        return
    import json

    values = {"n": n, "strategy": strategy, "objective": objective, "epoch": epoch, "seed": seed}
    typer.echo(json.dumps(plain({**values, "episode_index": index, "episode_id": ids}), allow_nan=False))


def drawn(
    out: Path, n: int, *, strategy: str, objective: str, epoch: int, seed: int
) -> tuple[NDArray[np.int64], list[str]]:
    """Indices and ids of the drawn episodes, in the order of the draws.

    Raises:
        UnknownNameError: for a wrong strategy or objective, naming the valid ones.
        StoreError: if the folder is not one of a finished run.
    """
    from sima2.io.store import Store
    from sima2.records.episodes import EpisodeTable
    from sima2.records.tags import TagTable
    from sima2.report.inputs import read_single, read_trust
    from sima2.sampling.pool import Pool
    from sima2.sampling.sampler import DataPackRLSampler, plan_weights
    from sima2.tags.specs import THRESHOLDS

    trust = read_trust(out).rows
    with Store.read_only(out) as store:
        tags = TagTable.concat(list(store.read(TagTable, "tags")))
    pool = Pool.of(read_single(out, EpisodeTable, "episodes"), tags, trust, THRESHOLDS)
    plan = plan_weights(pool, for_objective=objective)
    index = DataPackRLSampler(plan, seed=seed, pool=pool).sample(n, epoch=epoch, strategy=strategy)
    names = dict(zip(pool.episode_index.tolist(), pool.episode_id, strict=True))
    return index, [names[i] for i in index.tolist()]
