// Holds data against a schema in CDDL. npm's cddl parses the schema; it validates no data, so the walk over its tree is here: the
// types that our schemas use, over objects and Maps alike.
import assert from 'node:assert';
import fs from 'node:fs';

// That parser knows no numbers as keys, and reads tags as fractions, of which it drops trailing zeros: keys are given to it as text,
// tags with a 9 behind them.
function load(parse, file, scratch) {
    const text = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(scratch, text.replace(/(-?\d+)(?= =>)/g, '"$1"').replace(/#6\.(\d+)/g, '#6.$19'));
    return new Map(parse(scratch).map((rule) => [rule.Name, rule]));
}

const basic = {
    text: (v) => typeof v === 'string',
    tstr: (v) => typeof v === 'string',
    int: (v) => Number.isInteger(v) || typeof v === 'bigint',
    uint: (v) => (Number.isInteger(v) || typeof v === 'bigint') && v >= 0,
    bytes: (v) => v instanceof Uint8Array,
    bstr: (v) => v instanceof Uint8Array,
    bool: (v) => typeof v === 'boolean',
};
const one = (x) => [x].flat();
// cbor-x makes a Date of tag 1.
const tagged = (v) => (v instanceof Date ? { tag: 1, value: v.getTime() / 1000 } : v);

export function schema(parse, file, scratch) {
    const rules = load(parse, file, scratch);
    const any = (types, v) => one(types).some((t) => fits(t, v));

    function fits(type, v) {
        if (typeof type === 'string')
            return type in basic ? basic[type](v) : fits(rules.get(type), v);
        switch (type.Type) {
            case 'variable': return any(type.PropertyType, v);
            case 'literal': return v === type.Value;
            case 'range': return Number.isInteger(v) && v >= type.Value.Min.Value && v <= type.Value.Max.Value;
            case 'array': return Array.isArray(v) && fitsItems(type.Values.flat(), v);
            case 'tag': return tagged(v)?.tag === Number(String(type.Value.NumericPart).slice(2, -1)) &&
                fits(type.Value.TypePart, tagged(v).value);
            case 'group': return type.Properties ? fitsMap(type.Properties, v) : fits(type.Value, v);
            default: throw new Error(`CDDL type ${JSON.stringify(type)}`);
        }
    }

    // Each takes as many as it can: no schema of ours needs more.
    function fitsItems(wanted, items) {
        let at = 0;
        for (const { Type: type, Occurrence: { n, m } } of wanted) {
            let count = 0;
            while (at < items.length && (m === null || count < m) && any(type, items[at]))
                at++, count++;
            if (count < n)
                return false;
        }
        return at === items.length;
    }

    function fitsMap(properties, v) {
        if (typeof v !== 'object' || v === null || Array.isArray(v) || v instanceof Uint8Array)
            return false;
        const members = new Map((v instanceof Map ? [...v] : Object.entries(v)).map(([k, m]) => [String(k), m]));
        for (const p of properties.flat()) {
            const keys = p.Name === 'text' ? [...members.keys()] : [String(p.Name)].filter((k) => members.has(k));
            if (keys.length < p.Occurrence.n || !keys.every((k) => any(p.Type, members.get(k))))
                return false;
            keys.forEach((k) => members.delete(k));
        }
        return members.size === 0;
    }

    // It fits, and fits no more when it was spoilt in any of these ways.
    function check(rule, data, spoil = []) {
        assert.equal(fits(rules.get(rule), data), true, `${rule} does not fit`);
        for (const change of spoil) {
            const bad = structuredClone(data);
            change(bad);
            assert.equal(fits(rules.get(rule), bad), false, `${rule} fits what it should not: ${change}`);
        }
    }
    return { check };
}
