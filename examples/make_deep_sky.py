"""Make `deep_sky.csv.gz` of the embedded server: the objects of Messier's, the NGC and the IC catalogue.

    python examples/make_deep_sky.py ongc.db

`ongc.db` is the SQLite file in the PyPI package `pyongc` (OpenNGC by M. Verga, CC-BY-SA-4.0). Left out is
what is no object: duplicates, errors of the old catalogues, single and double stars. The most prominent come
first: Messier's, then by size.
"""

import csv
import gzip
import io
import math
import re
import sqlite3
import sys
from pathlib import Path

import astrometry_client

TABLE = Path(astrometry_client.__file__).parent / "server" / "data" / "deep_sky.csv.gz"

CHOSEN = """
    SELECT name, messier, ngc, ic, commonnames, ra, dec, coalesce(majax, 0) AS size_arcmin FROM objects
    WHERE (name LIKE 'NGC%' OR name LIKE 'IC%' OR messier != '') AND name NOT LIKE '%NED%'
    AND (messier != '' OR type NOT IN ('*', '**', 'Other', 'Nova')) AND type NOT IN ('Dup', 'NonEx')
    ORDER BY messier = '', size_arcmin DESC, name
"""


def names(row: sqlite3.Row) -> list[str]:
    """Return the designations of an object as nova writes them, then its proper names."""
    found = [spaced(row["name"])] if re.match("NGC|IC", row["name"]) else []
    found += [f"M {int(row['messier'])}"] if row["messier"] else []
    return found + [name.strip() for name in (row["commonnames"] or "").split(",") if name.strip()]


def spaced(name: str) -> str:
    """Return NGC 70A for NGC0070A."""
    catalogue, number, part = re.fullmatch(r"(NGC|IC)(\d+)(.*)", name).groups()
    return f"{catalogue} {int(number)}{part}"


def main() -> None:
    """Write the table."""
    with sqlite3.connect(sys.argv[1]) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(CHOSEN).fetchall()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["names", "ra_deg", "dec_deg", "radius_arcmin"])
    for row in rows:
        place = [f"{math.degrees(row[axis]):.4f}" for axis in ("ra", "dec")]
        table.writerow(["|".join(names(row)), *place, f"{row['size_arcmin'] / 2.0:.3g}"])
    TABLE.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
