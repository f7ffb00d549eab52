// Reads the tokens that issued_token wrote: jose the JWT, @auth0/cose the CWT, each by the key set of its form. The claims
// are held against ear.cddl.
import assert from 'node:assert';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { schema as cddl } from './cddl.mjs';

const require = createRequire(`${process.env.COFRE_READERS}/`);
const load = (name) => import(require.resolve(name));
const { createLocalJWKSet, jwtVerify, importJWK, calculateJwkThumbprint } = await load('jose');
const { Sign1, COSEKey } = require('@auth0/cose');
const { Decoder } = require('cbor-x');
const { parse } = require('cddl');
const [dir, schema] = process.argv.slice(2);
const cbor = new Decoder({ mapsAsObjects: false });
const read = (name) => fs.readFileSync(`${dir}/${name}`);

const { check } = cddl(parse, schema, `${dir}/ear.cddl`);

const jwt = read('token.jwt').toString();
const jwks = JSON.parse(read('keys.json'));
const { payload, protectedHeader } = await jwtVerify(jwt, createLocalJWKSet(jwks), { issuer: 'https://verifier.example', typ: 'eat+jwt' });
assert.equal(protectedHeader.alg, 'ES384');
for (const jwk of jwks.keys)
    assert.equal(jwk.kid, await calculateJwkThumbprint(jwk));
const snp = payload.submods.snp;
assert.equal(Buffer.from(payload.eat_nonce, 'base64url').toString(), 'interop-nonce');
assert.equal(snp.ear_verifier_claims.cofre_emulated, true);
assert.equal(snp.ear_status, 'contraindicated');
check('ear-json', payload, [(c) => delete c.iat, (c) => (c.exp = '1'), (c) => (c.submods = {}), (c) => (c.other = 1),
    (c) => (c.submods.snp.ear_status = 'good'), (c) => (c.submods.snp.ear_trustworthiness_vector.hardware = 128),
    (c) => (c.submods.snp.ear_appraisal_policy_ids = [])]);
const other = jwt.slice(0, -8) + (jwt.endsWith('AAAAAAAA') ? 'BBBBBBBB' : 'AAAAAAAA');
await assert.rejects(jwtVerify(other, createLocalJWKSet(jwks)), /signature/);

const token = read('token.cwt');
const sign1 = Sign1.decode(token);
const kid = Buffer.from(sign1.protectedHeaders.get(4));
const published = cbor.decode(read('keys.cose')).find((key) => kid.equals(key.get(2)));
assert.ok(published, 'no key of the COSE key set has the kid of the token');
const key = await importJWK(jwks.keys.find((jwk) => Buffer.from(jwk.x, 'base64url').equals(Buffer.from(published.get(-2)))), 'ES384');
assert.ok(COSEKey.import(published).get(-3));
await sign1.verify(key, { algorithms: [-35] });
const claims = cbor.decode(sign1.payload);
check('ear-cbor', claims, [(c) => c.delete(6), (c) => c.set(4, 'x'), (c) => c.set(266, new Map()), (c) => c.set(9999, 1),
    (c) => c.get(266).get('snp').set(1000, 3), (c) => c.get(266).get('snp').get(1001).set(4, -129)]);
assert.equal(claims.get(266).get('snp').get(1001).get(4), snp.ear_trustworthiness_vector.hardware);
assert.equal(Buffer.from(claims.get(266).get('snp').get(1006).get(-65559)).toString('base64url'), snp.ear_verifier_claims.cofre_evidence_digest);
for (const at of [12, 100, token.length - 1]) {
    const changed = Uint8Array.from(token);
    changed[at] ^= 1;
    await assert.rejects(async () => Sign1.decode(changed).verify(key, { algorithms: [-35] }));
}
console.log('jose and @auth0/cose read and verify the result; changed ones are refused; the claims fit ear.cddl');
