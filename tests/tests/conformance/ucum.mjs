// Reads lines `code from to value`: prints for each whether `code` is valid UCUM, and what `value` in `from` is in `to`, or
// `null`. What is not asked is `-`.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.PACKAGES);
const utils = require('@lhncbc/ucum-lhc').UcumLhcUtils.getInstance();

for (const line of readFileSync(process.argv[2], 'utf8').split('\n').filter((line) => line)) {
  const [code, from, to, value] = line.split(' ');
  const valid = utils.validateUnitString(code).status;
  const converted = from === '-' ? { toVal: null } : utils.convertUnitTo(from, Number(value), to);
  console.log(`${valid} ${converted.toVal ?? null}`);
}
