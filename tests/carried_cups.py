"""Episodes of a hand that takes a cup, carries it and lets it go: joints, fingers, commands and poses."""

from __future__ import annotations

import numpy as np

from sima2.records.rollout import Rollout

RATE = 20.0
LAG = 3


def carried(seed: int, *, things: bool = True, commands: bool = True) -> Rollout:
    """A hand goes to a cup, closes on it at a width of 0.04, carries it 0.3 m at 0.15 m height, and lets go."""
    rng = np.random.default_rng(seed)
    t = np.arange(200)
    to, up, over, down = (np.clip((t - a) / 25.0, 0, 1) for a in (10, 75, 95, 125))
    smooth = [3 * x**2 - 2 * x**3 for x in (to, up, over, down)]
    x = 0.2 * smooth[0] + 0.3 * smooth[2]
    z = 0.2 - 0.2 * smooth[0] + 0.15 * smooth[1] - 0.15 * smooth[3]
    told = 0.08 - 0.07 * np.clip((t - 45) / 12, 0, 1) + 0.07 * np.clip((t - 155) / 12, 0, 1)
    late = np.r_[np.full(LAG, told[0]), told[:-LAG]]
    held = (t > 52) & (t < 166)
    width = np.where(held, np.maximum(late, 0.04), late) + rng.normal(0, 1e-4, len(t))
    ee = np.column_stack([x, np.zeros(len(t)), z]) + rng.normal(0, 2e-4, (len(t), 3))
    joints = np.column_stack([x * 2, z * 3, x + z]) + rng.normal(0, 2e-4, (len(t), 3))
    channels: dict[str, object] = {}
    if commands:
        sent = np.vstack([joints[LAG:], np.repeat(joints[-1:], LAG, 0)])
        proxy = np.column_stack([np.zeros((len(t), 3)), (late - width) / 0.001])
        proxy[:LAG] = np.nan
        channels = {
            "joint_command": sent,
            "effort_proxy": proxy,
            "action": np.column_stack([sent, told]),
        }
    if things:
        cup = np.tile([0.2, 0.0, 0.0], (len(t), 1))
        rides = (t > 75) & (t < 160)
        cup[rides] = ee[rides]
        cup[t >= 160] = ee[159]
        channels["object_position"] = {"cup": cup}
        channels["grip_force"] = np.where(held & (t > 57), 10.0, 0.0)
    return Rollout(
        f"e{seed}", time=t / RATE, joint_position=joints, ee_position=ee, gripper_width=width, family="put", **channels
    )
