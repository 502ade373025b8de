#!/usr/bin/env bash
# syne-tune 0.16.0: NonDominatedPriority returns sorted indices where a priority per row is meant.
#
# Expected: one priority for each row, in the order of the rows, lower is better: for rows of value 3, 1, 4, 2 (the same in
#   both objectives) that is 2, 0, 3, 1.
# Behaviour: it returns 1, 3, 0, 2, the order in which the rows would be sorted. The worst row (4) gets the best
#   priority (0). MO-ASHA and MO-REA use it by default, so they promote and keep trials by an unrelated order.
# Seen: values [3. 1. 4. 2.] priorities [1 3 0 2]
# The two agree for permutations that are their own inverse (3, 2, 1, 4), so a small check can miss it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check syne-tune==0.16.0
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import NonDominatedPriority

values = np.array([3.0, 1.0, 4.0, 2.0])
found = NonDominatedPriority()(np.column_stack((values, values)))
print("values", values, "priorities", found)
sys.exit(0 if list(found) == list(np.argsort(values)) != list(np.argsort(np.argsort(values))) else 1)
PY
