// Speaks HPKE (RFC 9180, base mode) with keys/hpke.c in both directions, by @hpke/core. Run by t/hpke_node.
import assert from 'node:assert'
import { execFileSync } from 'node:child_process'
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

const root = process.env.COFRE_HPKE_CORE
const { main, module } = JSON.parse(fs.readFileSync(path.join(root, 'package.json')))
const { CipherSuite, DhkemP256HkdfSha256, DhkemX25519HkdfSha256, HkdfSha256, Aes128Gcm, Aes256Gcm } =
  await import(path.join(root, module ?? main))

const ours = (...args) => execFileSync(process.env.COFRE_HPKE, args, { encoding: 'utf8' }).trim().split('\n')
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const bytes = (text) => new Uint8Array(Buffer.from(text, 'hex'))

const kems = { 'P-256': DhkemP256HkdfSha256, X25519: DhkemX25519HkdfSha256 }
const aeads = { 128: Aes128Gcm, 256: Aes256Gcm }
let spoken = 0
for (const kem of Object.keys(kems)) {
  for (const aead of Object.keys(aeads)) {
    const suite = new CipherSuite({ kem: new kems[kem](), kdf: new HkdfSha256(), aead: new aeads[aead]() })
    for (const size of [1, 32, 1000]) {
      const [info, aad, text] = [40, 12, size].map((n) => new Uint8Array(crypto.randomBytes(n)))

      // Ours to theirs.
      const pair = await suite.kem.generateKeyPair()
      const their = hex(await suite.kem.serializePublicKey(pair.publicKey))
      const [enc, sealed] = ours('seal', kem, aead, their, hex(info), hex(aad), hex(text))
      const recipient = await suite.createRecipientContext({ recipientKey: pair.privateKey, enc: bytes(enc), info })
      assert.equal(hex(await recipient.open(bytes(sealed), aad)), hex(text))
      const wrong = await suite.createRecipientContext({ recipientKey: pair.privateKey, enc: bytes(enc), info: aad })
      await assert.rejects(wrong.open(bytes(sealed), aad))

      // Theirs to ours.
      const [our] = ours('public', kem, aead, 'key.pem')
      const recipientPublicKey = await suite.kem.deserializePublicKey(bytes(our))
      const sender = await suite.createSenderContext({ recipientPublicKey, info })
      const ct = hex(await sender.seal(text, aad))
      assert.deepEqual(ours('open', kem, aead, 'key.pem', hex(sender.enc), hex(info), hex(aad), ct), [hex(text)])
      spoken++
    }
  }
}
assert.equal(spoken, 12)
console.log(`${spoken} messages each way, of 2 KEMs and 2 AEADs`)
