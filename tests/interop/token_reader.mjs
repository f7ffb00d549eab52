// Reads the tokens that issued_token wrote: jose the JWT, @auth0/cose the CWT, each by the key set of its form. The claims
// are held against ear.cddl: npm's cddl parses it, and the walk over its tree is here, because that package validates no data.
import assert from 'node:assert';
import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.COFRE_READERS}/`);
const load = (name) => import(require.resolve(name));
const { createLocalJWKSet, jwtVerify, importJWK, calculateJwkThumbprint } = await load('jose');
const { Sign1, COSEKey } = require('@auth0/cose');
const { Decoder } = require('cbor-x');
const { parse } = require('cddl');
const [dir, schema] = process.argv.slice(2);
const cbor = new Decoder({ mapsAsObjects: false });
const read = (name) => fs.readFileSync(`${dir}/${name}`);

// CDDL: the types that ear.cddl uses, over objects and Maps alike.
// That parser knows no numbers as keys: they are given to it as text, and keys of claims are compared as text.
const quoted = `${dir}/ear.cddl`;
fs.writeFileSync(quoted, fs.readFileSync(schema, 'utf8').replace(/(-?\d+)(?= =>)/g, '"$1"'));
const rules = new Map(parse(quoted).map((rule) => [rule.Name, rule]));
const basic = {
    text: (v) => typeof v === 'string',
    tstr: (v) => typeof v === 'string',
    int: (v) => Number.isInteger(v),
    uint: (v) => Number.isInteger(v) && v >= 0,
    bytes: (v) => v instanceof Uint8Array,
    bstr: (v) => v instanceof Uint8Array,
    bool: (v) => typeof v === 'boolean',
};
const one = (x) => [x].flat();
function fits(type, v) {
    if (typeof type === 'string')
        return type in basic ? basic[type](v) : fits(rules.get(type), v);
    switch (type.Type) {
        case 'variable': return one(type.PropertyType).some((t) => fits(t, v));
        case 'literal': return v === type.Value;
        case 'range': return Number.isInteger(v) && v >= type.Value.Min.Value && v <= type.Value.Max.Value;
        case 'array': return Array.isArray(v) && v.length >= type.Values[0].Occurrence.n &&
            v.every((item) => one(type.Values[0].Type).some((t) => fits(t, item)));
        case 'group': return type.Properties ? fitsMap(type.Properties, v) : fits(type.Value, v);
        default: throw new Error(`CDDL type ${JSON.stringify(type)}`);
    }
}
function fitsMap(properties, v) {
    if (typeof v !== 'object' || v === null || Array.isArray(v) || v instanceof Uint8Array)
        return false;
    const members = new Map((v instanceof Map ? [...v] : Object.entries(v)).map(([k, m]) => [String(k), m]));
    for (const p of properties.flat()) {
        const keys = p.Name === 'text' ? [...members.keys()] : [String(p.Name)].filter((k) => members.has(k));
        if (keys.length < p.Occurrence.n || !keys.every((k) => one(p.Type).some((t) => fits(t, members.get(k)))))
            return false;
        keys.forEach((k) => members.delete(k));
    }
    return members.size === 0;
}
function check(rule, claims, spoil) {
    assert.equal(fits(rules.get(rule), claims), true, `${rule} does not fit`);
    for (const change of spoil) {
        const bad = structuredClone(claims);
        change(bad);
        assert.equal(fits(rules.get(rule), bad), false, `${rule} fits what it should not: ${change}`);
    }
}

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
