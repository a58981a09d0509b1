#!/usr/bin/env python3
"""Opens the tiles of a store in pyarrow, DuckDB and polars, and checks what docs/format.md promises.

    python3 bench/read_tiles.py STORE_FOLDER

Makes a virtual environment under target/ with pinned packages from PyPI, runs itself there, and reads the
first tile, the last tile and, where there is one, a tile below the diagonal of every gram and factor of
the store. It changes nothing in the store. It exits with 0 if every promise holds, with 1 and the promise
that does not otherwise.
"""

import json
import pathlib
import subprocess
import sys

PACKAGES = ["numpy==2.4.6", "pyarrow==26.0.1", "duckdb==2.0.0", "polars==2.1.0", "blake3==1.0.11"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "read-tiles"


def enter_environment():
    """Runs this script again inside the virtual environment, made first if it is not as it should be."""
    installed, wanted = VENV / "installed.txt", "\n".join(PACKAGES)
    python = VENV / "bin" / "python"
    if not installed.exists() or installed.read_text() != wanted:
        print("installing", ", ".join(PACKAGES), file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run(pip + PACKAGES, check=True)
        installed.write_text(wanted)
    sys.exit(subprocess.run([str(python), __file__, *sys.argv[1:]]).returncode)


if pathlib.Path(sys.prefix).resolve() != VENV.resolve():
    enter_environment()

import blake3  # noqa: E402
import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import polars  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402


def promise(holds, what):
    if not holds:
        sys.exit(f"broken promise: {what}")


def values_of(path, column):
    """One column of a tile, by each of the three readers; they must agree in every bit."""
    with_pyarrow = pq.read_table(path, columns=[column])[column].to_numpy()
    with_duckdb = duckdb.sql(f'SELECT "{column}" FROM read_parquet(\'{path}\')').fetchnumpy()[column]
    with_polars = polars.read_parquet(path, columns=[column], use_statistics=False)[column].to_numpy()
    for name, values in [("DuckDB", with_duckdb), ("polars", with_polars)]:
        promise(values.dtype == np.float64, f"{path}: {name} reads {column} as {values.dtype}")
        promise(with_pyarrow.tobytes() == values.tobytes(), f"{path}: {name} and pyarrow differ in {column}")
    return with_pyarrow


def read_tile(folder, manifest, i, j, columns):
    """A tile's columns as rows × cols arrays, every promise about its file checked."""
    path = folder / "tiles" / f"{i:06}-{j:06}.parquet"
    n, side = manifest["facts"]["n"], manifest["facts"]["tile"]
    rows, cols = min(side, n - i * side), min(side, n - j * side)
    file = pq.ParquetFile(path)
    promise(file.num_row_groups == 1, f"{path}: one row group")
    promise(file.metadata.created_by == "megagram format 1", f"{path}: created_by")
    promise(file.schema_arrow.names == columns, f"{path}: columns {columns}")
    promise(file.metadata.num_rows == rows * cols, f"{path}: {rows} × {cols} values")
    facts = {k.decode(): v.decode() for k, v in file.metadata.metadata.items()}
    wanted = {
        "megagram.format_version": "1",
        "megagram.id": manifest["id"],
        "megagram.i": f"{i:06}",
        "megagram.j": f"{j:06}",
        "megagram.rows": f"{rows:06}",
        "megagram.cols": f"{cols:06}",
        "megagram.dtype": "f64",
    }
    for key, value in wanted.items():
        promise(facts.get(key) == value, f"{path}: {key} = {value}, found {facts.get(key)}")
    promise(set(facts) == set(wanted) | {f"megagram.blake3.{c}" for c in columns}, f"{path}: no other metadata")
    tile = {}
    for at, column in enumerate(columns):
        chunk = file.metadata.row_group(0).column(at)
        promise(chunk.physical_type == "DOUBLE", f"{path}: {column} is DOUBLE")
        promise(file.schema.column(at).max_definition_level == 0, f"{path}: {column} has no nulls")
        promise(chunk.compression == "UNCOMPRESSED", f"{path}: {column} is not compressed")
        promise(set(chunk.encodings) <= {"PLAIN", "RLE"}, f"{path}: {column} is PLAIN, found {chunk.encodings}")
        promise(not chunk.has_dictionary_page, f"{path}: {column} has no dictionary")
        promise(not chunk.is_stats_set, f"{path}: {column} has no statistics")
        values = values_of(path, column)
        digest = blake3.blake3(values.astype("<f8").tobytes()).hexdigest()
        promise(digest == facts[f"megagram.blake3.{column}"], f"{path}: the blake3 of {column}")
        tile[column] = values.reshape((rows, cols), order="F")
    return tile


def look_at(store, kind, folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = manifest["facts"]
    promise(manifest["format_version"] == 1 and manifest["kind"] == kind, f"{folder}: the manifest's kind and version")
    promise(manifest["id"] == folder.name, f"{folder}: the manifest's id")
    blocks = -(-facts["n"] // facts["tile"])
    columns = ["l"] if kind == "factor" else facts["outputs"]
    places = sorted({(0, 0), (blocks - 1, blocks - 1), (blocks - 1, 0)})
    print(f"{kind} {manifest['id']}: n {facts['n']}, tile {facts['tile']}, columns {', '.join(columns)}")
    for i, j in places:
        tile = read_tile(folder, manifest, i, j, columns)
        for column, values in tile.items():
            said = "digest right, three readers agree"
            if i == j and kind == "gram":
                promise((values == values.T).all(), f"{folder}: tile {i}-{j} of {column} is symmetric")
                said += ", symmetric in every bit"
            if i == j and kind == "factor":
                promise((np.triu(values, 1) == 0).all(), f"{folder}: zeros above the diagonal of tile {i}-{j}")
                promise((np.diag(values) > 0).all(), f"{folder}: positive diagonal of tile {i}-{j}")
                said += ", lower triangular"
            print(f"  {i:06}-{j:06} {column:<5}{values.shape[0]} × {values.shape[1]}: {said}")
    if kind == "factor":
        gram_folder = store / "gram" / facts["gram"]
        if not (gram_folder / "tiles" / "000000-000000.parquet").exists():
            print("  its gram is not stored: L·Lᵀ is compared with nothing")
            return
        gram = json.loads((gram_folder / "manifest.json").read_text())
        k = read_tile(gram_folder, gram, 0, 0, gram["facts"]["outputs"])[facts["output"]]
        lower = read_tile(folder, manifest, 0, 0, columns)["l"]
        wanted = k + facts["noise_var"] * np.eye(len(k))
        residual = np.linalg.norm(lower @ lower.T - wanted) / (len(k) * np.finfo(float).eps * np.linalg.norm(wanted))
        promise(residual < 1, f"{folder}: L·Lᵀ is K + noise on tile 0-0; the scaled residual is {residual}")
        print(f"  ‖L·Lᵀ − K − noise_var·I‖ / (n·ε·‖K‖) on tile 0-0: {residual:.2e}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    store = pathlib.Path(sys.argv[1])
    print(", ".join(p.replace("==", " ") for p in PACKAGES))
    folders = [(kind, folder) for kind in ["gram", "factor"] for folder in sorted((store / kind).glob("*"))]
    folders = [(kind, folder) for kind, folder in folders if (folder / "tiles").is_dir()]
    promise(folders, f"{store} holds a gram or a factor")
    for kind, folder in folders:
        look_at(store, kind, folder)
    print("all promises hold")


main()
