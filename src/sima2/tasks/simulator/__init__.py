"""Rollouts by rigid-body physics instead of rendered motion (needs the extra ``[sim]``)."""

from sima2.tasks.simulator.settings import LEFT_OUT, SIMULATED, UNSEEN, ArmRanges, FaultRanges, SimulatorSettings
from sima2.tasks.simulator.simulate import simulate

__all__ = ["LEFT_OUT", "SIMULATED", "UNSEEN", "ArmRanges", "FaultRanges", "SimulatorSettings", "simulate"]
