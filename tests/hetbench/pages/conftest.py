"""One small site for all tests of the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetbench import HetBench
from hetbench.pages.dashboard import write_site

SITE_MODELS = ("bert-tiny", "resnet-50", "tinyllama-1.1b")
SITE_CHIPS = ("nvidia-a100-sxm4-80gb", "nvidia-t4", "amd-mi210", "huawei-ascend-910b3", "huawei-ascend-950",
              "cambricon-mlu370-x4", "intel-arc-pro-b60", "amd-epyc-7r32")  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `hetbench dashboard` for three models on eight chips."""
    folder = tmp_path_factory.mktemp("pages") / "site"
    write_site(HetBench(), folder, SITE_MODELS, SITE_CHIPS)
    return folder
