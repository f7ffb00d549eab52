// Microseconds that @phala/dcap-qvl takes for one of emulated_quote's quotes; of several rounds the fastest.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { X509Certificate } from 'node:crypto';

const { QuoteVerifier } = createRequire(`${process.env.COFRE_VERIFIER}/`)('@phala/dcap-qvl');
const dir = process.argv[2];
const quote = fs.readFileSync(`${dir}/quote.bin`);
const collateral = JSON.parse(fs.readFileSync(`${dir}/collateral.json`));
const verifier = new QuoteVerifier(new X509Certificate(fs.readFileSync(`${dir}/root.pem`)).raw);
const now = Math.floor(Date.now() / 1000);
const rounds = [];
for (let round = 0; round < 15; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < 20; i++)
        verifier.verify(quote, collateral, now);
    const used = process.cpuUsage(start);
    rounds.push((used.user + used.system) / 20);
}
console.log(Math.min(...rounds).toFixed(0));
