"""Stands for torch-geometric in the processes that tests start.

skorch imports it wherever it is installed, which takes longer than what most of these
processes do. `conftest.py` puts this folder on their path.
"""

raise ImportError("The processes that tests start do without torch-geometric.")
