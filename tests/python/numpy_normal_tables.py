"""Writes src/env/numpy_normal_tables.rs: the ziggurat tables of `numpy.random.Generator.standard_normal`.

    pip install "numpy==2.4.6"
    python numpy_normal_tables.py > src/env/numpy_normal_tables.rs     # needs binutils

They follow from one recursion (see numpy_normal.rs), but NumPy's were computed with roundings of their own, so that only
the numbers themselves give the same draws. They are read out of the static library that comes in NumPy's wheel.
"""

import pathlib
import struct
import subprocess
import tempfile

import numpy

library = next(pathlib.Path(numpy.__file__).parent.glob("random/lib/libnpyrandom.a"))
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["ar", "x", library], cwd=folder, check=True)
    for member in sorted(pathlib.Path(folder).glob("*.o")):
        symbols = subprocess.run(["nm", member], capture_output=True, text=True, check=True).stdout.split("\n")
        places = {words[2]: int(words[0], 16) for words in map(str.split, symbols) if len(words) == 3}
        if "ki_double" in places:
            data = pathlib.Path(folder) / "rodata"
            subprocess.run(["objcopy", "-O", "binary", "--only-section=.rodata", member, data], check=True)
            data = data.read_bytes()
            break

print("//! The ziggurat of NumPy's normal draws, as `tests/python/numpy_normal_tables.py` read it from NumPy 2.4.6.\n")
for name, symbol, about in [
    ("BELOW", "ki_double", "A draw of 52 bits below this lies under the curve for certain, `[layer]`."),
    ("WIDTH", "wi_double", "Bits of the width of a layer over 2^52, `[layer]`."),
    ("HEIGHT", "fi_double", "Bits of exp(-x²/2) at the right end of a layer, `[layer]`."),
]:
    words = struct.unpack("<256Q", data[places[symbol] : places[symbol] + 2048])
    print(f"/// {about}\n#[rustfmt::skip]\npub(super) const {name}: [u64; 256] = [")
    for start in range(0, 256, 6):
        print("    " + " ".join(f"{word:#018x}," for word in words[start : start + 6]))
    print("];")
