// Reads the CoRIMs that issued_corim wrote: cbor-x their CBOR, which is held against corim.cddl; @auth0/cose the signature.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { schema } from './cddl.mjs';

const require = createRequire(`${process.env.COFRE_READERS}/`);
const { Sign1 } = require('@auth0/cose');
const { Decoder } = require('cbor-x');
const { parse } = require('cddl');
const [dir, file] = process.argv.slice(2);
const { check } = schema(parse, file, `${dir}/corim.cddl`);
const cbor = new Decoder({ mapsAsObjects: false });
const read = (name) => fs.readFileSync(`${dir}/${name}`);

const amdClass = (last) => Buffer.from(`06092b060104019c7803${last}`, 'hex');
const bytes = (fill, size) => Buffer.alloc(size, fill);

function checkSnp(corim) {
    check('corim', corim, [(c) => (c.tag = 500), (c) => c.value.delete(0), (c) => c.value.set(1, []), (c) => c.value.set(2, []),
        (c) => (c.value.get(3).value = 'tag:example'), (c) => c.value.get(4).delete(1), (c) => c.value.get(5)[0].set(2, [])]);
    assert.equal(corim.value.get(0), 'https://build.example/web');
    assert.equal(corim.value.get(4).get(1).getTime(), 1900000000000);
    const comids = corim.value.get(1).map((tag) => cbor.decode(tag.value));
    assert.deepEqual(comids.map((c) => [...c.get(1).values()]), [['web', 3], ['database', 3]]);
    for (const comid of comids)
        check('snp-comid', comid, [(c) => c.get(1).delete(0), (c) => c.set(3, []), (c) => c.get(4).set(1, []),
            (c) => c.get(4).get(0)[0].pop(), (c) => c.get(4).get(0)[0][0].get(0).set(2, 'model'),
            (c) => (c.get(4).get(0)[0][1] = []), (c) => c.get(4).get(0)[0][1][0].get(1).clear()]);
    const classes = comids.map((c) => c.get(4).get(0).map((triple) => Buffer.from(triple[0].get(0).get(0).value)));
    assert.deepEqual(classes, [[amdClass('01'), amdClass('02')], [amdClass('02')]]);
    const fields = new Map(comids[0].get(4).get(0)[0][1].map((m) => [m.get(0), m.get(1)]));
    const [alg, launch] = fields.get(641).get(2)[0];
    assert.equal(alg, 7);
    assert.deepEqual(Buffer.from(launch), bytes(0x11, 48));
    assert.equal(fields.get(647).get(1).tag, 552);
    assert.equal(BigInt(fields.get(647).get(1).value), 0xdbdbdbdbdbdbdbdbn);
    assert.equal(fields.get(3968).get(1).tag, 553);
    assert.equal(fields.get(2).get(4).tag, 563);
    assert.equal(fields.get(5).get(15), 0);
}

function checkTdx(corim) {
    check('corim', corim);
    assert.equal(Buffer.from(corim.value.get(3).value).toString('hex'), '6086480186f84d011001');
    const comid = cbor.decode(corim.value.get(1)[0].value);
    check('tdx-comid', comid, [(c) => c.get(4).get(0)[0][1].push(c.get(4).get(0)[0][1][0]),
        (c) => c.get(4).get(0)[0][0].get(0).set(2, 'TDX SEAM'), (c) => c.get(4).get(0)[0][1][0].get(1).delete(-83),
        (c) => c.get(4).get(0)[0][1][0].get(1).get(14).set(4, []), (c) => c.get(4).get(0)[0][1][0].set(0, 1),
        (c) => (c.get(4).get(0)[0][1][0].get(1).get(-125)[3].value[0] = 3)]);
    const mval = comid.get(4).get(0)[0][1][0].get(1);
    assert.equal(mval.get(14).size, 3);
    assert.deepEqual(mval.get(-125).map((c) => c.value[1]), new Array(16).fill(2));
}

checkSnp(cbor.decode(read('snp.corim')));
checkTdx(cbor.decode(read('tdx.corim')));

const message = read('signed.corim');
const sign1 = Sign1.decode(message);
const key = crypto.createPublicKey(read('key.pub'));
await sign1.verify(key);
await assert.rejects(Sign1.decode(Buffer.concat([message.subarray(0, -1), Buffer.from([message.at(-1) ^ 1])])).verify(key));
check('header', sign1.protectedHeaders, [(h) => h.delete(15), (h) => h.set(3, 'application/cbor'), (h) => h.set(8, 1)]);
assert.equal(sign1.protectedHeaders.get(15).get(1), 'build.example');
checkSnp(cbor.decode(sign1.payload));
console.log('cbor-x reads the CoRIMs, which fit corim.cddl; @auth0/cose verifies the signature, and refuses a changed one');
