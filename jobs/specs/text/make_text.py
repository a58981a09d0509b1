"""Makes the sequences of text.toml from a table of rated texts. Python's standard library only.

    python3 jobs/specs/text/make_text.py RATED.csv[.gz] [--source movie] [--train 1000] [--test 500] [--to FOLDER]

The table has a header and the columns source, mean_sentiment (below 0: negative, above 0: positive) and text: see
README.md. Each word becomes CHANNELS numbers, each text LENGTH words; positions without a word hold MASK.
"""

import argparse
import collections
import csv
import gzip
import hashlib
import pathlib
import re
import struct

LENGTH = 24
CHANNELS = 256
MASK = 100.0
RARE = 1e-3


def signs(gram):
    """As many signs as a word has numbers; they follow from the letters alone."""
    bits = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=CHANNELS // 8).digest(), "little")
    return [1 if bits >> channel & 1 else -1 for channel in range(CHANNELS)]


def embed(word):
    """The mean over the word and its runs of 3 to 5 letters, each a vector of signs, scaled to variance 1: words with
    the same stem are near each other, others are almost orthogonal."""
    padded = f"<{word}>"
    runs = [padded[at : at + size] for size in (3, 4, 5) for at in range(len(padded) - size + 1)]
    sums = [sum(column) for column in zip(*(signs(gram) for gram in [padded, *runs]))]
    scale = (sum(value * value for value in sums) / CHANNELS) ** 0.5 or 1.0
    return [value / scale for value in sums]


def words(text):
    """The first LENGTH words of a text."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?|[!?]", text.lower())[:LENGTH]


def sequence(text, known, share):
    """The words of a text, then padding. A word that is a `share` of all words weighs RARE / (RARE + share)."""
    row = []
    for word in words(text):
        if word not in known:
            weight = RARE / (RARE + share.get(word, 0.0))
            known[word] = [weight * value for value in embed(word)]
        row.extend(known[word])
    return row + [MASK] * (CHANNELS * LENGTH - len(row))


def write(path, kind, shape, values):
    """A .npy file."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    letter = {"<f4": "f", "|u1": "B"}[kind]
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{len(values)}{letter}", *values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--source", default="movie")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    options = parser.parse_args()
    opened = gzip.open if options.table.endswith(".gz") else open
    with opened(options.table, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == options.source]
    rows = [(row["text"], float(row["mean_sentiment"])) for row in rows]
    # In an order that has nothing to do with the table's, so that both parts are alike.
    rows = sorted({row for row in rows if row[1] != 0.0}, key=lambda row: hashlib.sha256(row[0].encode()).digest())
    if len(rows) < options.train + options.test:
        parser.error(f"{options.table}: {len(rows)} rated texts of source {options.source!r} are too few")
    counts = collections.Counter(word for text, _ in rows[: options.train] for word in words(text))
    share = {word: count / counts.total() for word, count in counts.items()}
    known = {}
    for name, part in [
        ("train", rows[: options.train]),
        ("test", rows[options.train : options.train + options.test]),
    ]:
        x = [value for text, _ in part for value in sequence(text, known, share)]
        y = [int(rating > 0.0) for _, rating in part]
        write(options.to / f"{name}-x.npy", "<f4", (len(part), LENGTH, CHANNELS), x)
        write(options.to / f"{name}-y.npy", "|u1", (len(part),), y)
        print(f"{name}: {len(part)} texts, {sum(y)} positive")


if __name__ == "__main__":
    main()
