"""Prints every sample that apple-health-parser reads from an export.zip, as a line of JSON.

Arguments: the export.zip, and a folder that it is unpacked to.
"""

import json
import sys

from apple_health_parser.utils.parser import Parser

parser = Parser(export_file=sys.argv[1], output_dir=sys.argv[2], overwrite=True)
for flag in parser.flags:
    for row in parser.get_flag_records(flag).records.to_dict("records"):
        # pandas makes NaN of what is absent, and one type of all numbers in a column.
        unit = row["unit"] if isinstance(row["unit"], str) else None
        value = row["value"]
        sample = {
            "type": row["type"],
            "start": row["start_date"].isoformat(),
            "end": row["end_date"].isoformat(),
            "value": value if isinstance(value, str) else repr(float(value)),
            "unit": unit,
            "source": row["source_name"],
        }
        print(json.dumps(sample))
