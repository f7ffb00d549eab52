// docs/policy.schema.json against cofre's own reader: ajv and policy_parse must find the same of policies that have every member,
// and of each that differs from them in one place.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.COFRE_AJV}/`);
const Ajv = require('ajv/dist/2020.js');
const [schemaFile, reader] = process.argv.slice(2);
const schema = JSON.parse(fs.readFileSync(schemaFile));
const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);

const x = (n, fill = 'ab') => fill.repeat(n);
const full = {
    snp: {
        measurement: [x(48), x(48, 'CD')], reference: ['web', 'web 2.0'], host_data: [x(32)], family_id: [x(16)], image_id: [x(16)],
        report_id: [x(32)], report_id_ma: [x(32)], report_data: x(64), id_key_digest: [x(48)], author_key_digest: [x(48)],
        chip_id: [x(64), x(8)], csp_id: ['61'], products: ['Milan', 'Turin'],
        min_tcb: { Milan: { boot_loader: 1, tee: 0, snp: 2, microcode: 255 }, Turin: { fmc: 1 } },
        max_vmpl: 3, min_guest_svn: 4294967295, min_abi: '1.55', mitigations: 'ff', guest_policy: { debug: 'any', smt: 'forbidden' },
        platform_info: { tio: 'required' }, provisional_firmware: 'any', unknown_bits: 'any',
    },
    tdx: {
        mrtd: [x(48)], rtmr0: [x(48)], rtmr1: [x(48)], rtmr2: [x(48)], rtmr3: [x(48)], mrconfigid: [x(48)], mrowner: [x(48)],
        mrownerconfig: [x(48)], mrseam: [x(48)], mrsignerseam: [x(48)], mrservicetd: [x(48)], reference: ['web'],
        platform_instance: [x(16)], report_data: x(64), min_tee_tcb_svn: x(16), td_attributes: { debug: 'any', pks: 'required' },
        xfam: { mask: '600E7', value: '0' }, platform: { smt: 'forbidden' }, tcb_status: ['UpToDate', 'OutOfDate'],
        reject_advisories: ['INTEL-SA-00001'], min_tcb_date: '2023-11-14T22:13:20Z', min_evaluation_data_number: 17,
        max_collateral_age_days: 7, grace_days: 30, event_log: 'required', unknown_bits: 'any', events: [{ rtmr: 3, digest: [x(48)] }],
    },
};

// Each way to spoil, or to change without harm, what stands at one place.
function* changes(value) {
    if (Array.isArray(value)) {
        yield [];
        yield {};
        yield [...value, 7];
    } else if (typeof value === 'object') {
        yield [];
        yield 'any';
        yield { ...value, not_a_member: 1 };
        for (const name of Object.keys(value)) {
            const { [name]: gone, ...rest } = value;
            yield rest;
        }
    } else if (typeof value === 'number') {
        yield -1;
        yield value + 4294967296;
        yield 36501;
        yield 1.5;
        yield String(value);
    } else {
        yield 7;
        yield '';
        yield 'zz';
        yield `${value}0`;
        yield `${value}00`;
        yield 'required';
        yield 'Revoked';
    }
}
function* everywhere(value, put) {
    for (const other of changes(value))
        yield put(other);
    if (typeof value === 'object')
        for (const name of Object.keys(value))
            yield* everywhere(value[name], (inner) =>
                put(Array.isArray(value) ? value.map((v, i) => (String(i) === name ? inner : v)) : { ...value, [name]: inner }));
}
const extra = [
    { snp: { min_tcb: { Milan: { fmc: 1 } } } }, { snp: { min_tcb: { Turin: { fmc: 256 } } } }, { snp: { min_abi: '1.256' } },
    { snp: { min_abi: '255.255' } }, { snp: { min_abi: '1' } }, { snp: { chip_id: [x(9)] } }, { snp: { csp_id: [x(65)] } },
    { snp: { reference: [' web'] } }, { snp: { reference: ['a/b'] } }, { snp: { reference: [x(32)] } }, { snp: { reference: [x(32, 'abc')] } },
    { tdx: { tcb_status: ['Revoked'] } }, { tdx: { min_tcb_date: '2023-11-14' } }, { tdx: { events: [{ rtmr: 4, digest: [x(48)] }] } },
    { tdx: { reject_advisories: [x(33)] } }, { snp: {} }, { tdx: {} },
];

const policies = [full, ...everywhere(full, (whole) => whole), ...extra];
const { stdout, status } = spawnSync(reader, { input: policies.map((p) => `${JSON.stringify(p)}\n`).join(''), encoding: 'utf8' });
assert.equal(status, 0);
const said = stdout.trimEnd().split('\n');
assert.equal(said.length, policies.length);
let good = 0, bad = 0;
policies.forEach((policy, i) => {
    const valid = validate(policy);
    assert.equal(valid, said[i] === 'ok', `${JSON.stringify(policy)}\ncofre: ${said[i]}\najv: ${JSON.stringify(validate.errors)}`);
    valid ? good++ : bad++;
});

// The schema has no member that the policies above have not.
for (const tee of ['snp', 'tdx'])
    assert.deepEqual(Object.keys(schema.properties[tee].properties).sort(), Object.keys(full[tee]).sort());
assert.ok(good > 40 && bad > 300, `${good} and ${bad}`);
console.log(`ajv and cofre agree on ${good} good and ${bad} bad policies`);
