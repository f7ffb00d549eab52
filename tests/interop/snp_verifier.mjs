// Runs @tinfoilsh/verifier's own code over directories that emulated_report wrote. It knows Genoa's chain only, so of a
// Milan it judges report and signature.
import assert from 'node:assert';
import fs from 'node:fs';

const modules = process.env.COFRE_VERIFIER;
const sev = `${modules}/@tinfoilsh/verifier/dist/sev`;
const { Report } = await import(`${sev}/report.js`);
const { CertificateChain } = await import(`${sev}/cert-chain.js`);
const { verifyAttestation } = await import(`${sev}/verify.js`);
const { X509Certificate } = await import(`${modules}/@freedomofpress/sigstore-browser/dist/index.js`);

// AMD's organisation is the one thing in the certificates that the emulated platform does not claim.
class EmulatedChain extends CertificateChain {
    validateAmdLocation(name) {
        assert.equal(name.get('O'), 'EMULATED by Cofre');
        return super.validateAmdLocation(new Map([...name, ['O', 'Advanced Micro Devices']]));
    }
}

// For products that the verifier's chain checks do not know.
class SignaturesOnly extends CertificateChain {
    async verifyChain() {
        return (await this.ark.verify()) && (await this.ask.verify(this.ark)) && (await this.vcek.verify(this.ask));
    }
}

const readFile = (dir, name) => new Uint8Array(fs.readFileSync(`${dir}/${name}`));
const certificates = (dir) => ['ark', 'ask', 'leaf'].map((n) => X509Certificate.parse(readFile(dir, `${n}.der`)));

async function refused(chain, raw, offset) {
    const changed = raw.slice();
    changed[offset] ^= 1;
    try {
        return !(await verifyAttestation(chain, new Report(changed)));
    } catch {
        return true;
    }
}

for (const dir of process.argv.slice(2)) {
    const raw = readFile(dir, 'report.bin');
    const report = new Report(raw);
    const genoa = dir.startsWith('Genoa');
    const chain = new (genoa ? EmulatedChain : SignaturesOnly)(...certificates(dir));
    await assert.rejects(new CertificateChain(...certificates(dir)).verifyChain(), /AMD organization/);
    assert.equal(await verifyAttestation(chain, report), true);
    if (genoa) {
        const spl = (byte) => Number((report.reportedTcb >> BigInt(8 * byte)) & 0xffn);
        chain.validateVcekTcb({ blSpl: spl(0), teeSpl: spl(1), snpSpl: spl(6), ucodeSpl: spl(7) });
        chain.validateVcekHwid(report.chipId);
    }
    for (const offset of [0x08, 0x50, 0x90, 0xc0, 0x140, 0x180, 0x1a0, 0x1f0, 0x2a0, 0x2e8])
        assert.equal(await refused(chain, raw, offset), true, `${dir}: a change at ${offset} is not noticed`);
    console.log(`${dir}: version ${report.version}, ${report.productName}: accepted; changed reports refused`);
}
