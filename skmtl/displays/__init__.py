"""Displays; matplotlib is imported when one is plotted."""

from skmtl.displays._calibration import TaskCalibrationDisplay
from skmtl.displays._experts import ExpertSimilarityDisplay
from skmtl.displays._gates import GateWeightsDisplay
from skmtl.displays._history import HistoryDisplay
from skmtl.displays._output_weights import OutputWeightsDisplay
from skmtl.displays._pareto import ParetoFrontDisplay
from skmtl.displays._roc import TaskROCDisplay
from skmtl.displays._transfer import TransferDisplay

__all__ = [
    "ExpertSimilarityDisplay",
    "GateWeightsDisplay",
    "HistoryDisplay",
    "OutputWeightsDisplay",
    "ParetoFrontDisplay",
    "TaskCalibrationDisplay",
    "TaskROCDisplay",
    "TransferDisplay",
]
