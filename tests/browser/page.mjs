// The pages of `fhirline serve` in a real browser: they move by themselves, find things, have the figures of the manifest, and report
// nothing on the console.
//
//   node page.mjs PLAYWRIGHT CHROMIUM URL TASK FOLDER [PICTURE]
//
// PLAYWRIGHT is the folder of the package playwright-core. When the first page is open, `open` is written to the standard output: from then
// on an export of TASK is to run. It comes to an end in FOLDER. PICTURE is written at the end, with the pages in light and dark.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const [playwright, executablePath, url, task, folder, picture] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
const PATIENCE_MS = 120_000;

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, colorScheme: "light" });
context.setDefaultTimeout(PATIENCE_MS);
const page = await context.newPage();
const complaints = [];
page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("requestfailed", (request) => {
  // Streams and loads end with the page that they belong to.
  if (request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
});

const shot = async (scheme, fullPage = false) => {
  await page.emulateMedia({ colorScheme: scheme });
  return (await page.screenshot({ fullPage })).toString("base64");
};

// It moves: the page is never loaded again by this script.
await page.goto(url);
await page.waitForFunction(() => document.getElementById("live").textContent === "· live");
console.log("open");
const bar = "#running progress";
await page.waitForSelector(bar);
const seen = (least) =>
  page.waitForFunction(([bar, least]) => {
    const value = document.querySelector(bar)?.getAttribute("value");
    return value !== undefined && value !== null && Number(value) > least && Number(value);
  }, [bar, least]).then((handle) => handle.jsonValue());
const pace = setInterval(() => console.log("more"), 400);
const first = await seen(0);
const second = await seen(first);
assert.ok(second > first, "progress moves");
const pictures = picture ? [await shot("light")] : [];
const row = page.locator("#rows tr", { hasText: task });
await row.locator(".state", { hasText: /^done$/ }).waitFor();
clearInterval(pace);

// It finds.
await page.getByLabel("Id of an export, task, connection or patient").fill(task.slice(3).toUpperCase());
await page.getByRole("button", { name: "Search" }).click();
await page.waitForURL(/q=/);
assert.deepEqual(await page.locator("#rows tbody th a").allTextContents(), [task]);
await page.getByLabel("State").selectOption("expired");
await page.getByRole("button", { name: "Search" }).click();
await page.getByText("Nothing was found.").waitFor();
await page.getByRole("link", { name: "All", exact: true }).click();

// Its figures are those of the manifest.
await page.getByRole("link", { name: task }).first().click();
await page.getByRole("heading", { name: "Resources by type" }).waitFor();
const manifest = JSON.parse(await readFile(`${folder}/manifest.json`, "utf8"));
const account = manifest.extension.fhirline.account;
const bars = await page.locator("svg.bars g").evaluateAll((all) =>
  Object.fromEntries(all.map((one) => [one.dataset.type, Number(one.lastElementChild.textContent.replaceAll(",", ""))])));
assert.deepEqual(bars, Object.fromEntries(account.types.map((of) => [of.type, of.records])));
const delivered = await page.locator("[data-figure=delivered]").textContent();
assert.equal(Number(delivered.replaceAll(",", "")), account.ledger.records.delivered);
if (picture) {
  await page.evaluate(() => document.activeElement?.blur());
  pictures.push(await shot("dark"));
}

// It is read without a mouse: the first key leads past the header.
await page.goto(url);
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");

assert.deepEqual(complaints, [], "the console is silent");

if (picture) {
  const both = await browser.newPage({ viewport: { width: 1500, height: 620 } });
  const style = "margin:0;display:flex;gap:16px;padding:16px;background:#8a929a";
  const images = pictures.map((data) => `<img width="726" src="data:image/png;base64,${data}">`);
  await both.setContent(`<body style="${style}">${images.join("")}</body>`);
  await both.screenshot({ path: picture, fullPage: true });
}
await browser.close();
