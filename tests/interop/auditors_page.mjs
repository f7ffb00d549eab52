// The auditors' page in Chromium, as somebody with a keyboard, a narrow screen, a dark scheme, or a screen reader has it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.COFRE_READERS}/`);
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const out = process.argv[2], socketPath = process.env.COFRE_SOCKET;

// cofred listens on a unix socket, which no browser opens.
const proxy = http.createServer((request, response) => {
    const to = http.request({ socketPath, path: request.url, method: request.method, headers: request.headers }, (from) => {
        response.writeHead(from.statusCode, from.headers);
        from.pipe(response);
    });
    to.on("error", () => response.destroy());
    request.pipe(to);
});
await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
const home = `http://127.0.0.1:${proxy.address().port}`;

function ask(method, path, body, type = "application/json") {
    return new Promise((done, failed) => {
        const request = http.request({ socketPath, path, method, headers: { host: "cofred", "content-type": type } }, (from) => {
            let text = "";
            from.on("data", (data) => (text += data));
            from.on("end", () => done({ status: from.statusCode, json: text ? JSON.parse(text) : null }));
        });
        request.on("error", failed);
        request.end(body);
    });
}

const kernel = Buffer.from("a kernel of the test");
const digest = `sha256:${createHash("sha256").update(kernel).digest("hex")}`;
assert.equal((await ask("PUT", `/v1/tenants/shop/images/${digest}`, kernel, "application/octet-stream")).status, 201);
for (const name of ["web", "database-of-the-shop-with-a-long-name", "batch"]) {
    const guest = { name, tee: "none", cpus: 1, memory: 67108864, kernel: digest };
    assert.equal((await ask("POST", "/v1/tenants/shop/guests", JSON.stringify(guest))).status, 201);
}
const kept = (await ask("GET", "/v1/audit/head")).json;
assert.equal((await ask("POST", "/v1/tenants", JSON.stringify({ name: "later" }))).status, 201);

const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"], protocolTimeout: 60000 });
const page = await browser.newPage();
const complaints = [];
page.on("dialog", (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
page.on("console", (line) => line.type() === "error" && !line.text().includes("status of 40") && complaints.push(line.text()));

async function open(path, status = 200) {
    const began = performance.now();
    const response = await page.goto(home + path);
    const took = performance.now() - began;
    assert.equal(response.status(), status, path);
    return took;
}

const pages = {
    overview: "/audit", guests: "/audit/guests?tenant=shop", launches: "/audit/launches", differing: "/audit/launches?differing=true",
    narrowed: "/audit/launches?tenant=red&from=2020-01-01&to=2036-10-02&guest=guest-7", operations: "/audit/operations",
    log: `/audit/log?size=${kept.size}&root=${kept.root}`, entry: "/audit/entries/0", refused: "/audit/launches?from=yesterday",
};
const screens = [["light", 1280], ["dark", 1280], ["dark", 360], ["light", 360]];
const faults = [];
for (const [name, path] of Object.entries(pages)) {
    for (const [scheme, width] of screens) {
        await page.setViewport({ width, height: 800 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        const took = await open(path, name === "refused" ? 400 : 200);
        if (scheme === "light" && width === 1280) console.log(`${name}: ${took.toFixed(0)} ms`);
        await page.screenshot({ path: `${out}/${name}-${width}-${scheme}.png`, fullPage: true });
        const [wide, room] = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]");
        if (wide > room) faults.push(`${name}: ${wide} pixels wide, of ${room}`);
        await page.evaluate(axe);
        const { violations } = await page.evaluate("axe.run({resultTypes: ['violations']})");
        for (const v of violations)
            faults.push(`${name}, ${width}, ${scheme}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
    }
}
assert.deepEqual(faults, []);

// From here on without JavaScript, of which axe alone had need.
await page.setJavaScriptEnabled(false);

// What tenants wrote is text.
await page.setViewport({ width: 1280, height: 800 });
await page.emulateMediaFeatures([]);
let hostile = 0;
for (const path of [pages.differing, pages.operations]) {
    await open(path);
    assert.equal(await page.evaluate("document.querySelectorAll('main script, main img, main b, [onerror]').length"), 0);
    const text = await page.evaluate("document.querySelector('main').innerText");
    hostile += text.split("<script>").length - 1 + text.split("<b>ann</b>").length - 1;
    assert.ok(!text.includes("\u202e"));
}
assert.ok(hostile > 0);

// Old pages are as near as new ones, and no entry is on two.
const seen = new Set();
await open(pages.operations);
for (let turn = 0; turn < 5; turn++) {
    const numbers = await page.evaluate("[...document.querySelectorAll('tbody th a')].map(a => a.textContent)");
    assert.ok(numbers.length > 0 && numbers.every((n) => !seen.has(n)));
    numbers.forEach((n) => seen.add(n));
    await Promise.all([page.waitForNavigation(), page.evaluate("[...document.querySelectorAll('.pages a')].find(a => a.textContent === 'Older').click()")]);
}
console.log(`the oldest: ${(await open("/audit/operations?after=60")).toFixed(0)} ms`);

// By keyboard alone: each stop is seen, and leads on.
const at = () => page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent");
async function tabTo(text) {
    for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
        assert.notEqual(outline, "none", `"${await at()}" does not show that it is focused`);
        if ((await at()) === text) return;
    }
    assert.fail(`no way by Tab to "${text}"`);
}
const follow = (key) => Promise.all([page.waitForNavigation(), page.keyboard.press(key)]);
const title = () => page.evaluate("document.querySelector('h1').textContent");
await open("/audit");
await page.keyboard.press("Tab");
assert.equal(await at(), "Skip to the content");
await tabTo("Launches");
await follow("Enter");
assert.equal(await title(), "Launches");
await tabTo("Only those that differ");
await page.keyboard.press("Space");
await tabTo("Show");
await follow("Enter");
assert.ok(page.url().includes("differing=true"));
const first = await page.evaluate("document.querySelector('tbody th a').textContent");
await tabTo(first);
await page.screenshot({ path: `${out}/focus.png` });
await follow("Enter");
assert.equal(await title(), "Entry");
assert.ok(await page.evaluate("document.querySelector('.good') !== null && document.querySelector('mark') !== null"));
await page.setViewport({ width: 360, height: 800 });
await page.screenshot({ path: `${out}/entry-differs-360.png`, fullPage: true });
await page.setViewport({ width: 1280, height: 800 });
await page.screenshot({ path: `${out}/entry-differs-1280.png`, fullPage: true });

// A head that was kept: the log grew out of it, and out of no other one.
await open(pages.log);
assert.ok(await page.evaluate("document.querySelector('[role=status] .good') !== null"));
await open(`/audit/log?size=${kept.size}&root=${"0".repeat(64)}`);
assert.ok(await page.evaluate("document.querySelector('[role=status] .problem') !== null"));
await open(pages.launches);
await page.pdf({ path: `${out}/launches.pdf` });
await open("/audit/nothing", 404);
assert.deepEqual(complaints, []);
await browser.close();
proxy.close();
