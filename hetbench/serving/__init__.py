"""x."""
from hetbench.serving.names import named
