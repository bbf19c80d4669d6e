"""Loss weightings: from the losses of the tasks to the gradient of a step."""

from skmtl.weighting._aligned_mtl import AlignedMTL
from skmtl.weighting._base import InitialLosses, LossWeighting, StaticWeighting
from skmtl.weighting._cagrad import CAGrad
from skmtl.weighting._dwa import DynamicWeightAverage
from skmtl.weighting._famo import FAMO
from skmtl.weighting._gradient import GradientWeighting
from skmtl.weighting._gradnorm import GradNorm
from skmtl.weighting._imtlg import IMTLG
from skmtl.weighting._mgda import MGDA, StochasticMGDA
from skmtl.weighting._nash_mtl import NashMTL
from skmtl.weighting._pcgrad import PCGrad
from skmtl.weighting._random import RandomLossWeighting
from skmtl.weighting._registry import get_strategy, get_strategy_names
from skmtl.weighting._step import Step
from skmtl.weighting._torchjd import TorchJDScalarizer, TorchJDWeighting
from skmtl.weighting._uncertainty import Uncertainty

__all__ = [
    "FAMO",
    "IMTLG",
    "MGDA",
    "AlignedMTL",
    "CAGrad",
    "DynamicWeightAverage",
    "GradNorm",
    "GradientWeighting",
    "InitialLosses",
    "LossWeighting",
    "NashMTL",
    "PCGrad",
    "RandomLossWeighting",
    "StaticWeighting",
    "Step",
    "StochasticMGDA",
    "TorchJDScalarizer",
    "TorchJDWeighting",
    "Uncertainty",
    "get_strategy",
    "get_strategy_names",
]
