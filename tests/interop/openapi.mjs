// openapi.mjs SET-UP INIT-JSON ROOT GUEST: starts a cofre-trust from a set-up, and holds it to its own document.
import { spawn, execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import fs from 'node:fs'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'

const require = createRequire(path.join(process.env.COFRE_READERS, 'x.js'))
const { Validator } = await import(path.join(process.env.COFRE_READERS, '@seriousme/openapi-schema-validator/index.js'))
const Ajv2020 = require('ajv/dist/2020').default
const formats = require('ajv-formats').default
const [setUp, initFile, root, guest] = process.argv.slice(2)
const init = JSON.parse(fs.readFileSync(initFile))
const fail = (why) => { throw new Error(why) }

// The service, on a port that was free a moment ago.
const port = await new Promise((resolve) => {
  const probe = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address()
    probe.close(() => resolve(port))
  })
})
const configFile = path.join(setUp, 'trust.json')
const config = JSON.parse(fs.readFileSync(configFile))
fs.writeFileSync(configFile, JSON.stringify({ ...config, listen: [`127.0.0.1:${port}`], trust_roots: [path.resolve(root)],
  crls: [path.resolve(guest, 'crl.der')], root_key: path.resolve('root.key') }))
const service = spawn(process.env.COFRE_TRUST, ['--config', configFile], { stdio: ['ignore', 'inherit', 'inherit'] })
const ended = new Promise((resolve) => service.once('exit', resolve))
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: fs.readFileSync(init.ca) })

function ask (method, where, { token, body, headers = {}, over = agent, socket = () => {} } = {}) {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const request = https.request({ agent: over, host: 'localhost', port, method, path: where, timeout: 30000,
      lookup: (name, options, give) => options.all ? give(null, [{ address: '127.0.0.1', family: 4 }]) : give(null, '127.0.0.1', 4),
      headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(text !== undefined && { 'Content-Type': 'application/json' }),
        ...headers } }, (answer) => {
      const parts = []
      answer.on('data', (part) => parts.push(part)).on('end', () => resolve({ status: answer.statusCode,
        type: answer.headers['content-type'], headers: answer.headers, data: Buffer.concat(parts) }))
    })
    request.on('error', reject)
    request.on('socket', socket)
    request.end(text)
  })
}

async function started () {
  for (let tries = 0; tries < 600; tries++) {
    try {
      return await ask('GET', '/readyz')
    } catch (why) {
      if (service.exitCode !== null || why.code !== 'ECONNREFUSED') throw why
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  fail('the service does not answer')
}

let ajv, document
const used = new Set()

// What the document says of that status, or of any other: its media type, and the schema where it has one.
function check (template, method, answer) {
  const operation = document.paths[template]?.[method.toLowerCase()] ?? fail(`${method} ${template} is not in the document`)
  const place = ['paths', template, method.toLowerCase(), 'responses']
  const key = String(answer.status) in operation.responses ? String(answer.status) : 'default'
  let said = operation.responses[key]
  let pointer = [...place, key]
  if (said.$ref) {
    pointer = said.$ref.slice(2).split('/')
    said = pointer.reduce((o, step) => o[step], document)
  } else used.add(operation.operationId)
  if (key === 'default' && answer.status < 400) fail(`${method} ${template} answers ${answer.status}, which is not in the document`)
  if (!said.content) {
    if (answer.data.length) fail(`${method} ${template}: ${answer.status} has a body`)
    return
  }
  const type = answer.type?.split(';')[0]
  const content = said.content[type] ?? fail(`${method} ${template} answers ${answer.status} as ${type}`)
  if (!content.schema) return
  const uri = '#/' + [...pointer, 'content', type, 'schema'].map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
  const valid = ajv.getSchema('openapi' + uri) ?? fail(`no schema at ${uri}`)
  const value = JSON.parse(answer.data)
  if (!valid(value)) fail(`${method} ${template} ${answer.status}: ${ajv.errorsText(valid.errors)}: ${answer.data}`)
  return value
}

// Asks, with a body that the document's schema takes (or, where wrong, does not), and checks the answer.
async function call (method, template, wanted, { values = {}, query = '', body, wrong, ...rest } = {}) {
  const where = template.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? fail(`${template}: no ${name}`)) + query
  if (body !== undefined && typeof body !== 'string') {
    const pointer = ['paths', template, method.toLowerCase(), 'requestBody', 'content', 'application/json', 'schema']
      .map((step) => encodeURIComponent(step.replaceAll('/', '~1'))).join('/')
    const valid = ajv.getSchema(`openapi#/${pointer}`)
    if (valid(body) !== !wrong) fail(`${method} ${template}: the document ${wrong ? 'takes' : 'refuses'} ${JSON.stringify(body)}: ${ajv.errorsText(valid.errors)}`)
  }
  const answer = await ask(method, where, { body, ...rest })
  if (answer.status !== wanted) fail(`${method} ${where}: ${answer.status} in place of ${wanted}: ${answer.data}`)
  return check(template, method, answer)
}

try {
  await started()
  const served = await ask('GET', '/v1/openapi.json')
  document = JSON.parse(served.data)
  const judged = await new Validator().validate(structuredClone(document))
  if (!judged.valid) fail(`the document is no OpenAPI: ${JSON.stringify(judged.errors).slice(0, 2000)}`)
  ajv = formats(new Ajv2020({ strict: false, allErrors: true }))
  ajv.addSchema(document, 'openapi')
  check('/v1/openapi.json', 'GET', served)

  const admin = init.administrator.token
  const soon = new Date(Date.now() + 86400000).toISOString().replace(/\.\d+/, '')
  const made = await call('POST', '/v1/credentials', 201, { token: admin, body: { name: 'guest', roles: 'submit', expires: soon } })
  const token = made.token
  await call('POST', '/v1/credentials', 201, { token: admin, body: { name: 'cert', roles: 'read', expires: soon, scope: 'web', certificate_sha256: '00'.repeat(32) } })
  await call('POST', '/v1/credentials', 409, { token: admin, body: { name: 'cert', roles: 'read', expires: soon, certificate_sha256: '00'.repeat(32) } })
  await call('POST', '/v1/credentials', 422, { token: admin, wrong: true, body: { name: 'a b', roles: 'submit', expires: soon } })
  await call('GET', '/v1/credentials', 200, { token: admin })
  await call('DELETE', '/v1/credentials/{name}', 204, { token: admin, values: { name: 'cert' } })
  await call('DELETE', '/v1/credentials/{name}', 404, { token: admin, values: { name: 'cert' } })
  await call('GET', '/v1/credentials', 403, { token })
  await call('GET', '/v1/credentials', 401)

  await call('POST', '/v1/policies/{name}', 201, { token: admin, values: { name: 'web' }, body: { snp: { max_vmpl: 0 } } })
  await call('POST', '/v1/policies/{name}', 422, { token: admin, values: { name: 'web' }, body: { snp: { unknown: 0 } } })
  await call('POST', '/v1/policies/{name}', 400, { token: admin, values: { name: 'web' }, body: '{' })
  await call('POST', '/v1/policies/{name}', 415, { token: admin, values: { name: 'web' } })
  await call('PUT', '/v1/policies/{name}/active', 200, { token: admin, values: { name: 'web' }, body: { version: 1 } })
  await call('PUT', '/v1/policies/{name}/active', 404, { token: admin, values: { name: 'web' }, body: { version: 9 } })
  await call('PUT', '/v1/policies/{name}/active', 422, { token: admin, values: { name: 'web' }, wrong: true, body: { version: 'x' } })
  await call('GET', '/v1/policies', 200, { token: admin })
  await call('GET', '/v1/policies/{name}', 200, { token: admin, values: { name: 'web' } })
  for (const version of ['1', 'active']) await call('GET', '/v1/policies/{name}/{version}', 200, { token: admin, values: { name: 'web', version } })
  await call('GET', '/v1/policies/{name}/{version}', 404, { token: admin, values: { name: 'web', version: '2' } })

  const number = 1, corim = fs.readFileSync(process.env.COFRE_CORIM).toString('base64')
  const brought = await call('POST', '/v1/reference-values', 201, { token: admin, body: { corim } })
  if (brought.reference_values[0].number !== number) fail(`the first value is ${JSON.stringify(brought)}`)
  await call('POST', '/v1/reference-values', 409, { token: admin, body: { corim } })
  await call('POST', '/v1/reference-values', 400, { token: admin, body: { corim: 'AAAA' } })
  await call('POST', '/v1/reference-values', 422, { token: admin, wrong: true, body: {} })
  await call('GET', '/v1/reference-values', 200, { token: admin })
  await call('GET', '/v1/collateral', 200, { token: admin })
  await call('GET', '/v1/reference-values.cose', 200, { token: admin, query: '?tee=snp' })
  await call('GET', '/v1/reference-values.cose', 404, { token: admin, query: '?tee=tdx' })
  await call('GET', '/v1/reference-values.cose', 422, { token: admin })
  await call('GET', '/v1/reference-values/{number}', 200, { token: admin, values: { number } })
  await call('GET', '/v1/reference-values/{number}', 404, { token: admin, values: { number: 99 } })
  await call('GET', '/v1/reference-values/{number}/file', 200, { token: admin, values: { number } })
  await call('PUT', '/v1/reference-values/{number}/retired', 200, { token: admin, values: { number }, body: { reason: 'a hole' } })
  await call('PUT', '/v1/reference-values/{number}/retired', 404, { token: admin, values: { number }, body: { reason: 'another' } })
  await call('PUT', '/v1/reference-values/{number}/retired', 422, { token: admin, values: { number }, wrong: true, body: { reason: '' } })
  await call('GET', '/v1/reference-values/{number}', 200, { token: admin, values: { number } })

  const challenge = await call('POST', '/v1/challenges', 201, { token })
  execFileSync(process.env.COFRE_REPORT, ['Milan', '3', 'vcek', process.env.COFRE_CHAIN, guest, challenge.nonce])
  const evidence = JSON.parse(fs.readFileSync(path.join(guest, 'evidence.json')))
  const result = await call('POST', '/v1/appraisals', 200, { token, body: { evidence, policy: 'web', challenge: challenge.nonce } })
  if (result.outcome !== 'pass') fail(`the verdict is ${result.outcome}: ${JSON.stringify(result.verdict.checks.filter((c) => c.ok === false))}`)
  await call('POST', '/v1/appraisals', 422, { token, wrong: true, body: { evidence, policy: 'web' } })
  await call('POST', '/v1/appraisals', 404, { token, body: { evidence, policy: 'other', nonce: challenge.nonce } })
  await call('POST', '/v1/appraisals', 409, { token, body: { evidence, policy: 'genuine', challenge: challenge.nonce } })
  const stranger = await call('POST', '/v1/appraisals', 200, { token, body: { evidence, policy: 'web', nonce: '11'.repeat(32) }, headers: { 'Idempotency-Key': 'x' } })
  if (stranger.outcome !== 'fail') fail(`another's nonce: ${stranger.outcome}`)
  await call('GET', '/v1/results/{id}', 200, { token, values: { id: result.id } })
  const short = await call('POST', '/v1/appraisals', 200, { token, body: { evidence, policy: 'web', nonce: '22'.repeat(32), jwt: false } })
  if (short.jwt) fail('a JWT that was declined')
  if (!(await call('GET', '/v1/results/{id}', 200, { token, values: { id: short.id } })).jwt) fail('no JWT, though it is asked for')
  await call('GET', '/v1/results/{id}', 404, { token, values: { id: 'none' } })
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(evidence.report, 'base64'))).toString('hex')
  const all = await call('GET', '/v1/results', 200, { token: admin, query: `?evidence_sha256=${digest}` })
  if (all.results.length !== 3) fail(`${all.results.length} results on the evidence`)
  await call('GET', '/v1/results', 422, { token: admin })

  // Keys for guests. The release is the guest's side by itself: the binding as docs/keys.md has it, HPKE by @hpke/core.
  const roles = async (name, roles) => (await call('POST', '/v1/credentials', 201, { token: admin, body: { name, roles, expires: soon } })).token
  const owner = await roles('owner', 'keys'), approver = await roles('approver', 'approve')
  const disk = { token: owner, values: { name: 'disk' } }
  const { CipherSuite, DhkemP256HkdfSha256, DhkemX25519HkdfSha256, HkdfSha256, Aes256Gcm } =
    await import(path.join(process.env.COFRE_READERS, '@hpke/core/esm/mod.js'))
  const suite = (Kem) => new CipherSuite({ kem: new Kem(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
  const hex = (bytes) => Buffer.from(bytes).toString('hex'), unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'))
  const utf8 = (text) => new TextEncoder().encode(text)
  const value = crypto.getRandomValues(new Uint8Array(48))
  const importKey = await call('GET', '/v1/import-key', 200, { token: owner })
  const x25519 = suite(DhkemX25519HkdfSha256)
  const sender = await x25519.createSenderContext({ recipientPublicKey: await x25519.kem.deserializePublicKey(unhex(importKey.public)),
    info: utf8('cofre key import 1') })
  const sealed = hex(await sender.seal(value, utf8('disk')))
  await call('POST', '/v1/keys/{name}', 201, { ...disk, body: { import: { enc: hex(sender.enc), sealed }, quorum: 1, per_guest: 2 } })
  await call('POST', '/v1/keys/{name}', 422, { ...disk, wrong: true, body: { size: 4 } })
  await call('POST', '/v1/keys/{name}/versions', 201, { ...disk, body: {} })
  await call('PUT', '/v1/keys/{name}/grants/{policy}', 200, { ...disk, values: { name: 'disk', policy: 'web' }, body: { version: 1 } })
  await call('PUT', '/v1/keys/{name}/grants/{policy}', 404, { ...disk, values: { name: 'disk', policy: 'none' }, body: {} })
  const over = new https.Agent({ keepAlive: true, maxSockets: 1, ca: fs.readFileSync(init.ca), cert: fs.readFileSync('guest.pem'),
    key: fs.readFileSync('guest.key') })
  const spki = new (await import('node:crypto')).X509Certificate(fs.readFileSync('guest.pem')).publicKey.export({ type: 'spki', format: 'der' })
  const long = (bytes) => { const n = Buffer.alloc(4); n.writeUInt32BE(bytes.length); return [n, Buffer.from(bytes)] }
  const release = async (wanted, Kem, change = {}) => {
    let socket
    const fresh = await call('POST', '/v1/challenges', 201, { token, over, socket: (s) => { socket = s } })
    const pair = await suite(Kem).kem.generateKeyPair(), recipient = new Uint8Array(await suite(Kem).kem.serializePublicKey(pair.publicKey))
    const hashed = (await import('node:crypto')).createHash('sha384').update(Buffer.concat([Buffer.from('c'), ...long(unhex(fresh.nonce)),
      socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding'), ...long(spki), ...long(recipient), ...long(utf8('disk'))])).digest()
    const reportData = Buffer.concat([Buffer.from('cofre release 1\0'), hashed])
    execFileSync(process.env.COFRE_REPORT, ['Milan', '3', 'vcek', process.env.COFRE_CHAIN, guest, reportData.toString('hex')])
    const evidence = JSON.parse(fs.readFileSync(path.join(guest, 'evidence.json')))
    const kem = Kem === DhkemP256HkdfSha256 ? 'P-256' : 'X25519'
    const given = await call('POST', '/v1/keys/{name}/release', wanted, { token, over, values: { name: 'disk' },
      body: { evidence, policy: 'web', challenge: fresh.nonce, recipient: hex(recipient), kem, version: 1, ...change } })
    if (wanted !== 200) return given
    const context = await suite(Kem).createRecipientContext({ recipientKey: pair.privateKey, enc: unhex(given.enc), info: utf8('cofre key release 1') })
    const opened = await context.open(unhex(given.sealed), utf8(`disk ${given.version} ${given.result}`))
    if (hex(opened) !== hex(value)) fail('the key is another')
  }
  for (const Kem of [DhkemP256HkdfSha256, DhkemX25519HkdfSha256]) {
    await release(403, Kem)
    const asks = (await call('GET', '/v1/keys/{name}', 200, { token: approver, values: { name: 'disk' } })).requests
    await call('POST', '/v1/keys/{name}/approvals', 200, { token: approver, values: { name: 'disk' }, body: { guest: asks[0].guest } })
    await release(200, Kem)
  }
  await release(429, DhkemP256HkdfSha256)
  await release(422, DhkemP256HkdfSha256, { policy: 'genuine' })
  await call('POST', '/v1/keys/{name}/approvals', 404, { token: approver, values: { name: 'disk' }, body: { guest: '00'.repeat(32) } })
  over.destroy()
  const to = await x25519.kem.generateKeyPair()
  await call('POST', '/v1/keys/{name}/export', 200, { ...disk, body: { recipient: hex(await x25519.kem.serializePublicKey(to.publicKey)), kem: 'X25519' } })
  await call('DELETE', '/v1/keys/{name}/versions/{number}', 200, { ...disk, values: { name: 'disk', number: 1 } })
  await call('GET', '/v1/keys', 200, { token: admin })
  await call('GET', '/v1/keys/{name}', 200, disk)
  await call('DELETE', '/v1/keys/{name}/grants/{policy}', 200, { ...disk, values: { name: 'disk', policy: 'web' } })
  const backup = await call('POST', '/v1/keys-backup', 200, { token: owner })
  await call('POST', '/v1/keys-restore', 422, { token: owner, body: { backup } })
  await call('POST', '/v1/keys-restore', 422, { token: owner, wrong: true, body: { backup, revive: 1 } })
  await call('PUT', '/v1/keys/{name}/state', 200, { ...disk, body: { state: 'destroyed' } })
  const restored = await call('POST', '/v1/keys-restore', 200, { token: owner, body: { backup, revive: 'disk' } })
  if (restored.brought !== 1) fail(`restored: ${JSON.stringify(restored)}`)
  await call('PUT', '/v1/keys/{name}/state', 200, { ...disk, body: { state: 'destroyed' } })
  await call('PUT', '/v1/keys/{name}/state', 422, { ...disk, wrong: true, body: { state: 'created' } })

  await call('GET', '/v1/keys.jwks', 200)
  await call('GET', '/v1/keys.cose', 200)
  await call('GET', '/v1/log/head', 200)
  await call('GET', '/v1/log/entries/{number}', 200, { token, values: { number: result.log_entry } })
  await call('GET', '/v1/log/entries/{number}', 403, { token, values: { number: 1 } })
  await call('GET', '/v1/log/entries/{number}', 404, { token, values: { number: 999 } })
  await call('GET', '/v1/log/entries/{number}/receipt', 200, { token, values: { number: result.log_entry } })
  await call('GET', '/v1/log/consistency/{size}', 200, { values: { size: 2 } })
  await call('GET', '/v1/log/consistency/{size}', 404, { values: { size: 999 } })
  await call('GET', '/metrics', 200, { token: admin })
  await call('GET', '/healthz', 200)
  await call('GET', '/readyz', 200)

  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods)).filter((o) => o.operationId)
  const untried = operations.filter((o) => !used.has(o.operationId)).map((o) => o.operationId)
  if (untried.length) fail(`no answer was seen of ${untried.join(', ')}`)
  console.log(`${operations.length} operations answered as the document says`)
} finally {
  agent.destroy()
  service.kill()
  const code = await ended
  if (code !== 0) {
    console.log(`cofre-trust ended with ${code}`)
    process.exitCode = 1
  }
}
