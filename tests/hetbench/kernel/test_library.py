import hashlib
import json
import subprocess
import sys

import pytest

from hetbench.kernel import SWITCH, describe, library
from hetbench.kernel.build import PLATFORMS
from hetbench.kernel.library import LIBRARIES, MANIFEST, platform_name

MAGIC = {"so": b"\x7fELF", "dylib": b"\xcf\xfa\xed\xfe", "dll": b"MZ"}


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_has_a_small_library_as_the_manifest_says(name: str):
    data = (LIBRARIES / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == json.loads(MANIFEST.read_text())[name]
    assert data.startswith(MAGIC[name.partition(".")[2]])
    assert len(data) < 200_000


def test_the_library_of_this_platform_is_loaded_and_named():
    if platform_name() is None:
        assert library() is None
    else:
        assert describe().startswith(f"kernel {platform_name()}") == (library() is not None)


def test_the_switch_leaves_predictions_to_numpy():
    code = "from hetbench.kernel import describe, library; print(library(), describe())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={SWITCH: "off"})
    assert done.stdout == f"None numpy ({SWITCH}=off)\n"
