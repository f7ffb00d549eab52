// cofred_openapi.mjs READ_OBJECTS: cofred's document against OpenAPI's own schema, and its schemas against cofred's tables: both must
// find the same of bodies that have every member, and of each that differs from them in one place.
import assert from 'node:assert'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'

const require = createRequire(path.join(process.env.COFRE_READERS, 'x.js'))
const { Validator } = await import(path.join(process.env.COFRE_READERS, '@seriousme/openapi-schema-validator/index.js'))
const Ajv2020 = require('ajv/dist/2020').default
const formats = require('ajv-formats').default
const [reader] = process.argv.slice(2)

function read (lines) {
  const run = spawnSync(reader, { input: lines.map((line) => line + '\n').join(''), maxBuffer: 1 << 28 })
  assert.equal(run.status, 0, String(run.stderr))
  return run.stdout.toString().trimEnd().split('\n')
}

const document = JSON.parse(read([])[0])
const judged = await new Validator().validate(structuredClone(document))
assert(judged.valid, `the document is no OpenAPI: ${JSON.stringify(judged).slice(0, 2000)}`)
const ajv = formats(new Ajv2020({ strict: false, allErrors: false }))
ajv.addSchema(document, 'openapi')
for (const name of Object.keys(document.components.schemas)) assert(ajv.getSchema(`openapi#/components/schemas/${name}`), name)

const x = (n) => 'ab'.repeat(n)
const digest = 'sha256:' + x(32)
const definition = {
  name: 'web', tee: 'snp', emulated: true, cpus: 2, memory: 1 << 28, kernel: digest, initrd: digest, cmdline: 'console=ttyS0', policy: '0x30000',
  host_data: x(32), id_block: digest, id_auth: digest, certificates: digest, expect: { measurement: x(48) },
  disks: [{ image: digest, mode: 'copy', serial: 'root' }, { size: 1 << 20 }], networks: [{ kind: 'passt' }, { kind: 'tap', bridge: 'br0' }],
  vsock: true, restart: 'on-failure', labels: { tier: 'web', empty: '' },
  limits: { cpu_weight: 100, cpu_quota: 1500, cpus: '0-3,6', numa_node: 0, memory: 1 << 28, processes: 64,
    disk: { read_bytes: 0, write_bytes: 1, read_operations: 2, write_operations: 3, burst: 4 }, network: { in: 1, out: 2 } }
}
const bodies = {
  'tenant.create': { name: 'red', quotas: { guests: 1, running: 1, cpus: 1, memory: 1, storage: 1, images: 1, snp_guests: 1, tdx_guests: 1, networks: 1 }, labels: { a: 'b' } },
  'tenant.update': { quotas: { cpus: 3 }, labels: {} },
  'guest.create': definition,
  'guest.update': { tee: 'tdx', cpus: 1, memory: 1 << 28, kernel: digest, attributes: '0x1', mrconfigid: x(48), mrowner: x(48), mrownerconfig: x(48), expect: { rtmr: [x(48)] } },
  'guest.limit': definition.limits,
  'guest.stop': { seconds: 5 },
  'guest.restart': {},
  'guest.input': { data: 'AAAA' },
  'guest.evidence': { nonce: x(32) },
  'image.tag': { image: digest },
  'role.define': { operations: ['guest.*', 'image.list', '*'], help: 'for the test' },
  'grant.add': { identity: 'user:ann', role: 'operator', tenant: 'red', labels: { a: 'b' }, deny: false },
  'constraint.set': { tees: ['snp'], emulated: false, measurements: [x(48)], kernels: [digest], host_data: [x(32)], id_block: true, expect: true },
  'approval.refuse': { reason: 'no' },
  'audit.retain': { before: 5 },
}

// Each way to spoil, or to change without harm, what stands at one place.
function * changes (value) {
  if (Array.isArray(value)) {
    yield []
    yield {}
    yield Array(300).fill(value[0])
    for (const [i, part] of value.entries()) for (const other of changes(part)) yield value.with(i, other)
  } else if (value !== null && typeof value === 'object') {
    yield []
    yield 7
    yield { ...value, surplus: 1 }
    for (const [name, part] of Object.entries(value)) {
      const { [name]: gone, ...rest } = value
      yield rest
      yield { ...value, [name]: null }
      for (const other of changes(part)) yield { ...value, [name]: other }
    }
  } else if (typeof value === 'number') {
    for (const other of [-1, 0, 1, 1.5, 10, 65536, 1e9, Number.MAX_SAFE_INTEGER, String(value)]) yield other
  } else if (typeof value === 'string') {
    for (const other of ['', 'a', 'A', '-a', 'a-', 'a b', 'a\n', 'a\u0001', 'ab', 'abc', '0x', '0xg', '0x1', 'ä', '../a', digest, digest + '0', digest.toUpperCase(),
      x(16), x(32), x(48), x(64), 'guest.start', 'guest.fly', '*', '0-3,6', 'AAAA', 'AAA', 'a'.repeat(64), 'a'.repeat(5000), 7, true, null, [value]]) yield other
  } else for (const other of [!value, 0, 'true', null]) yield other
}

// What a schema does not say, and a table's rule does: these sentences only.
const beyond = [/: it is for tee /, /^id_block, id_auth: /, /either image or size/, /: it goes with /, /: a tap needs one/, /^expect: a plain guest/, /^emulated: a plain/,
  /: it must be CPUs in ascending order/, /: it must be an operation/, /: it must be base64/, /: it must be 0 for no limit, or at least /]
const cases = []
for (const [operation, body] of Object.entries(bodies)) {
  cases.push([operation, body])
  for (const other of changes(body)) cases.push([operation, other])
}
for (const { operationId, requestBody } of Object.values(document.paths).flatMap((p) => Object.values(p)))
  assert(!requestBody?.content['application/json'] || operationId in bodies, `${operationId} is not tried`)
const said = read(cases.map(([operation, body]) => `${operation}\t${JSON.stringify(body)}`)).slice(1)
const validators = Object.fromEntries(Object.values(document.paths).flatMap((p) => Object.values(p)).filter((o) => o.operationId in bodies)
  .map((o) => [o.operationId, ajv.getSchema('openapi' + o.requestBody.content['application/json'].schema.$ref)]))
let taken = 0
for (const [i, [operation, body]] of cases.entries()) {
  const ours = said[i] === 'ok', theirs = validators[operation](body)
  taken += ours
  assert(ours === theirs || (theirs && beyond.some((sentence) => sentence.test(said[i]))),
    `${operation} ${JSON.stringify(body).slice(0, 600)}: cofred says ${said[i]}, the document ${JSON.stringify(validators[operation].errors)}`)
}
for (const operation of Object.keys(bodies)) assert.equal(said[cases.findIndex(([name]) => name === operation)], 'ok', `${operation}, whole`)
console.log(`${cases.length} bodies, of which ${taken} are taken`)
