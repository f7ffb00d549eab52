// Reads what cofre log wrote into directories, with @auth0/cose for COSE and CBOR; the walk up the tree is written here from
// RFC 9162 (sections 2.1.3.2 and 2.1.4.2).
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';

const modules = process.env.COFRE_COSE;
const { Sign1 } = await import(`${modules}/@auth0/cose/dist/node/esm/index.js`);
const { Decoder } = await import(`${modules}/cbor-x/index.js`);
const decoder = new Decoder({ mapsAsObjects: false });

const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), crypto.createHash('sha256')).digest();
const leaf = (entry) => sha256(Buffer.from([0]), entry);
const node = (left, right) => sha256(Buffer.from([1]), left, right);

function includedRoot(entry, [size, index, path]) {
    let [fn, sn, r] = [index, size - 1, leaf(entry)];
    for (const p of path) {
        assert.notEqual(sn, 0);
        if (fn % 2 === 1 || fn === sn) {
            r = node(p, r);
            while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1];
        } else {
            r = node(r, p);
        }
        [fn, sn] = [fn >> 1, sn >> 1];
    }
    assert.equal(sn, 0);
    return r;
}

function grownRoot(older, [first, second, given]) {
    const path = [...given];
    if ((first & (first - 1)) === 0) path.unshift(older);
    let [fn, sn] = [first - 1, second - 1];
    while (fn % 2 === 1) [fn, sn] = [fn >> 1, sn >> 1];
    let [fr, sr] = [path[0], path[0]];
    for (const c of path.slice(1)) {
        assert.notEqual(sn, 0);
        if (fn % 2 === 1 || fn === sn) {
            [fr, sr] = [node(c, fr), node(c, sr)];
            while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1];
        } else {
            sr = node(sr, c);
        }
        [fn, sn] = [fn >> 1, sn >> 1];
    }
    assert.equal(sn, 0);
    assert.deepEqual(Buffer.from(fr), Buffer.from(older));
    return sr;
}

// The one proof of that kind, of a message whose tree is RFC9162_SHA256.
function proofOf(message, label) {
    assert.equal(message.protectedHeaders.get(395), 1);
    const proofs = message.unprotectedHeaders.get(396).get(label);
    assert.equal(proofs.length, 1);
    return decoder.decode(proofs[0]);
}

for (const dir of process.argv.slice(2)) {
    const read = (name) => fs.readFileSync(`${dir}/${name}`);
    const key = crypto.createPublicKey(read('key.pub'));
    const [older, newer] = ['older', 'newer'].map((n) => Sign1.decode(read(`${n}.head`)));
    for (const head of [older, newer]) {
        await head.verify(key);
        assert.equal(head.protectedHeaders.get(395), 1);
        assert.equal(head.protectedHeaders.get(15).get(1), 'interop');
    }
    assert.equal(older.protectedHeaders.get(15).get(-65537), 4);
    assert.equal(newer.protectedHeaders.get(15).get(-65537), 7);
    assert.equal(newer.protectedHeaders.get(15).get(2), leaf(read('0.entry')).toString('hex'));
    for (let i = 0; i < 7; i++) {
        const receipt = Sign1.decode(read(`${i}.receipt`));
        const proof = proofOf(receipt, -1);
        assert.deepEqual([proof[0], proof[1]], [7, i]);
        const root = includedRoot(read(`${i}.entry`), proof);
        assert.deepEqual(root, Buffer.from(newer.payload));
        await receipt.verify(key, { detachedPayload: root });
        const another = includedRoot(Buffer.from('not the entry'), proof);
        await assert.rejects(receipt.verify(key, { detachedPayload: another }));
    }
    const growth = Sign1.decode(read('growth.receipt'));
    const proof = proofOf(growth, -2);
    assert.deepEqual([proof[0], proof[1]], [4, 7]);
    await growth.verify(key, { detachedPayload: grownRoot(older.payload, proof) });
    await assert.rejects(growth.verify(key, { detachedPayload: older.payload }));
    // A bundle: every entry by its receipt, every receipt by the bundle's head, which grew out of the older one.
    const bundle = decoder.decode(read('bundle'));
    const top = Sign1.decode(bundle.get(1));
    await top.verify(key);
    assert.deepEqual(bundle.get(2), [5, 8]);
    assert.deepEqual(bundle.get(3).map(([number]) => number), [5, 6, 7, 8]);
    for (const [number, entry, encoded] of bundle.get(3)) {
        const receipt = Sign1.decode(encoded);
        const [size, index, path] = proofOf(receipt, -1);
        assert.deepEqual([size, index], [9, number]);
        const root = includedRoot(entry, [size, index, path]);
        assert.deepEqual(Buffer.from(root), Buffer.from(top.payload));
        await receipt.verify(key, { detachedPayload: root });
    }
    const [before, grown] = bundle.get(4).map((m) => Sign1.decode(m));
    await before.verify(key);
    const later = grownRoot(before.payload, proofOf(grown, -2));
    assert.deepEqual(Buffer.from(later), Buffer.from(top.payload));
    await grown.verify(key, { detachedPayload: later });
    // What was bundled last: an operation and a launch, as docs/log.md has them.
    const [operation, launch] = bundle.get(3).slice(-2).map(([, entry]) => decoder.decode(entry));
    assert.deepEqual([operation.get(0), operation.get(1), operation.get(21)], [2, 3, 'guest.start']);
    assert.deepEqual([launch.get(0), launch.get(1), launch.get(25)], [2, 4, 7]);
    assert.equal(launch.get(29).length, 48);
    // The log's file is a CBOR sequence: a text, a number, entries, and heads in tag 24.
    const seen = { entries: 0, heads: 0 };
    decoder.decodeMultiple(read('log'), (item) => {
        if (Buffer.isBuffer(item) || item instanceof Uint8Array) seen.entries++;
        else if (typeof item === 'object') seen.heads++;
    });
    assert.equal(seen.entries + seen.heads, 14);
    console.log(`${dir}: 2 heads, 7 entries, 1 growth, 1 bundle verified`);
}
