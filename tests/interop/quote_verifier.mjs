// @phala/dcap-qvl judges quotes of an emulated platform (directories that emulated_quote wrote), and real ones where
// COFRE_EVIDENCE has them.
import assert from 'node:assert';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { X509Certificate } from 'node:crypto';

const { QuoteVerifier } = createRequire(`${process.env.COFRE_VERIFIER}/`)('@phala/dcap-qvl');

function refuses(verifier, quote, collateral, at, what) {
    assert.throws(() => verifier.verify(quote, collateral, at), undefined, `${what} is not noticed`);
}

function changed(bytes, offset) {
    const copy = Buffer.from(bytes);
    copy[offset] ^= 1;
    return copy;
}

// A changed digit of a signature or a number, a changed letter of a certificate.
function changedText(text, offset) {
    return text.slice(0, offset) + (text[offset] === '1' ? '2' : '1') + text.slice(offset + 1);
}

// Offsets of what is signed, by name: of the header, of the body's fields, and of what follows it.
function covered(quote) {
    const begin = quote.readUInt16LE(0) === 5 ? 54 : 48;
    const end = begin + (begin === 54 ? quote.readUInt32LE(50) : 584);
    return {
        'vendor': 12, 'user data': 30, 'TEE_TCB_SVN': begin, 'MRSEAM': begin + 16, 'TD attributes': begin + 120,
        'XFAM': begin + 128, 'MRTD': begin + 136, 'MRCONFIGID': begin + 184, 'MROWNER': begin + 232,
        'MROWNERCONFIG': begin + 280, 'RTMR0': begin + 328, 'RTMR3': begin + 472, 'report data': begin + 583,
        'body\'s last byte': end - 1, 'signature': end + 4, 'attestation key': end + 68, 'QE\'s CPUSVN': end + 138,
        'QE\'s MRSIGNER': end + 138 + 128, 'QE\'s report data': end + 138 + 320, 'QE report\'s signature': end + 138 + 384,
        'authentication data': end + 138 + 384 + 64 + 2,
    };
}

function judgeEmulated(dir) {
    const quote = fs.readFileSync(`${dir}/quote.bin`);
    const collateral = JSON.parse(fs.readFileSync(`${dir}/collateral.json`));
    const verifier = new QuoteVerifier(new X509Certificate(fs.readFileSync(`${dir}/root.pem`)).raw);
    const now = Math.floor(Date.now() / 1000);
    const found = verifier.verify(quote, collateral, now);
    assert.equal(found.status, 'UpToDate');
    const report = found.report.data.base ?? found.report.data;
    assert.equal(Buffer.from(report.mrTd).toString('hex'), '11'.repeat(48));
    assert.equal(Buffer.from(report.rtMr2).toString('hex'), '52'.repeat(48));
    assert.equal(Buffer.from(report.reportData).toString('hex'), '66'.repeat(64));

    const offsets = covered(quote);
    for (const name in offsets)
        refuses(verifier, changed(quote, offsets[name]), collateral, now, `a changed ${name}`);
    for (const name of ['tcb_info', 'qe_identity', 'tcb_info_signature', 'qe_identity_signature'])
        refuses(verifier, quote, { ...collateral, [name]: changedText(collateral[name], 60) }, now, `a changed ${name}`);
    refuses(QuoteVerifier.newProd(), quote, collateral, now, 'a root that is not Intel\'s');
    refuses(verifier, quote, collateral, now + 40 * 365 * 86400, 'collateral of long ago');
    console.log(`${dir}: ${found.status}; ${Object.keys(offsets).length} changes of the quote, 4 of the collateral refused`);
}

// What README.md says of it and us must stay so.
function judgeReal(evidence) {
    const quote = fs.readFileSync(`${evidence}/tdx/b-quote.dat`);
    const collateral = JSON.parse(fs.readFileSync(`${evidence}/tdx/b-collateral.json`));
    const at = Date.parse('2025-06-20T00:00:00Z') / 1000;
    const verifier = QuoteVerifier.newProd();
    assert.equal(verifier.verify(quote, collateral, at).status, 'UpToDate');
    refuses(verifier, quote, collateral, at + 60 * 86400, 'expired collateral');
    for (const name of ['pck_crl', 'root_ca_crl']) { // we refuse these
        const crl = changed(Buffer.from(collateral[name], 'hex'), collateral[name].length / 2 - 1).toString('hex');
        assert.equal(verifier.verify(quote, { ...collateral, [name]: crl }, at).status, 'UpToDate');
    }
    console.log('b-quote.dat: UpToDate; the signatures of revocation lists are not looked at');
}

process.argv.slice(2).forEach(judgeEmulated);
if (fs.existsSync(`${process.env.COFRE_EVIDENCE}/tdx/b-quote.dat`))
    judgeReal(process.env.COFRE_EVIDENCE);
