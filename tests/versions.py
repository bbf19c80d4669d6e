"""What the oldest versions of dependencies cannot do."""

import pandas as pd
import pytest
import sklearn
from sklearn.utils.fixes import parse_version

EXACT_TEXT = parse_version(pd.__version__) >= parse_version("3")
exact_text = pytest.mark.skipif(
    not EXACT_TEXT,
    reason="pandas before 3 ends strings at a NUL, and confuses lone surrogates",
)
# The classifiers of scikit-learn read weights in an Arrow array.
ARROW_WEIGHTS = parse_version(sklearn.__version__) >= parse_version("1.7")
