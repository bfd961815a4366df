"""Prints the rows that scripts/interop collected, and ends with 0 only if there are some and all are ok."""

import sys

rows = [line.split("\t") for line in open(sys.argv[1]).read().splitlines()]
widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
for who, what, count, outcome in rows:
    print(f"{who:<{widths[0]}}  {what:<{widths[1]}}  {count:>{widths[2]}}  {outcome}")
failed = sum(row[3] != "ok" for row in rows)
checked = sum(int(row[2]) for row in rows if row[3] == "ok")
print(f"\n{checked} checks of {len(rows)} kinds, {failed} kinds failed")
sys.exit(1 if failed or not rows else 0)
