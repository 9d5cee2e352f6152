"""A trusted semantic data pump for robot learning.

Names are loaded when first asked for, so that ``import sima2`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from sima2.records.rollout import Rollout as Rollout
    from sima2.records.rollout import RolloutBatch as RolloutBatch
    from sima2.segmentation_engine import Segment as Segment
    from sima2.segmentation_engine import SegmentationEngine as SegmentationEngine

_HOME = {
    "Rollout": "sima2.records.rollout",
    "RolloutBatch": "sima2.records.rollout",
    "Manipulator": "sima2.records.rollout",
    "Goal": "sima2.records.rollout",
    "Segment": "sima2.segmentation_engine",
    "SegmentationEngine": "sima2.segmentation_engine",
    "Sima2Client": "sima2.client",
    "SemanticPrimitiveExtractor": "sima2.primitives.extractor",
    "OntologyUpdateEngine": "sima2.knowledge.ontology",
    "TaskGraphRefiner": "sima2.knowledge.task_graph",
    "SemanticTagPropagator": "sima2.tags.propagator",
    "EconCorrelator": "sima2.analytics.econ_correlator",
    "TrustMatrix": "sima2.records.trust",
    "DataPackRLSampler": "sima2.sampling.sampler",
    "DatapackAuditor": "sima2.sampling.auditor",
    "SemanticOrchestrator": "sima2.semantic_orchestrator",
    "run_pipeline": "sima2.orchestrator",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sima2' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
