# What `import skmtl` gives. Type checkers and editors read this file; at run time each
# name is imported from the place written here when it is first used.

from . import (
    calibration as calibration,
    datasets as datasets,
    displays as displays,
    distributed as distributed,
    embedders as embedders,
    encoding as encoding,
    export as export,
    inspection as inspection,
    metrics as metrics,
    model_selection as model_selection,
    modules as modules,
    output_weights as output_weights,
    persistence as persistence,
    rankers as rankers,
    sources as sources,
    stacking as stacking,
    tasks as tasks,
    training as training,
    weighting as weighting,
)
from ._versions import show_versions as show_versions
from .embedders import PretrainedEmbedding as PretrainedEmbedding
from .encoding import (
    EncodedTable as EncodedTable,
    RaggedArray as RaggedArray,
    TableEncoder as TableEncoder,
)
from .output_weights import (
    FixedOutputWeights as FixedOutputWeights,
    OutputWeightSearchCV as OutputWeightSearchCV,
    fuse as fuse,
)
from .persistence import load as load, save as save
from .rankers import (
    AITM as AITM,
    ESMM as ESMM,
    PLE as PLE,
    STEM as STEM,
    ChainedMMoE as ChainedMMoE,
    CrossStitch as CrossStitch,
    MMoE as MMoE,
    MultiTaskRanker as MultiTaskRanker,
    PooledTask as PooledTask,
    ShareBottom as ShareBottom,
    SingleTask as SingleTask,
    SoftSharing as SoftSharing,
)
from .tasks import (
    BinaryTask as BinaryTask,
    MulticlassTask as MulticlassTask,
    OrdinalTask as OrdinalTask,
    RegressionTask as RegressionTask,
)
from .training.checkpoint import Checkpoint as Checkpoint

__version__: str
