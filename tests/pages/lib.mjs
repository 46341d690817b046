// What both checks share: the browser, axe, and what a page must satisfy at a size.
import { createRequire } from "node:module";
import fs from "node:fs";

const require = createRequire(`${process.env.MODULES}/`);
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { HtmlValidate, FileSystemConfigLoader } = require("html-validate");

export const launch = (...args) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", ...args], // the tests may run as root; the pages are muster's own
});

let failures = 0;
export function fail(where, what) {
  failures += 1;
  console.log(`FAILED ${where}: ${what}`);
}
export function check(where, is, what = "") {
  if (!is) fail(where, what);
}
export function finish(count) {
  console.log(`${count} passed, ${failures} failed`);
  process.exitCode = failures ? 1 : 0;
}

const validator = new HtmlValidate(new FileSystemConfigLoader(
  JSON.parse(fs.readFileSync(new URL("./htmlvalidate.json", import.meta.url), "utf8"))));
export async function validate(where, html) {
  const report = await validator.validateString(html);
  for (const { messages } of report.results)
    for (const message of messages) fail(where, `html-validate: ${message.ruleId}: ${message.message} (line ${message.line})`);
}

/** WCAG 2.2 A and AA, and best practices. The context needs `bypassCSP`. */
export async function accessible(where, page) {
  await page.evaluate(axe);
  const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { violations } = await page.evaluate(runOnly => globalThis.axe.run(document, { runOnly }), runOnly);
  for (const { id, nodes } of violations)
    fail(where, `axe: ${id}: ${nodes[0].html.slice(0, 160)}: ${nodes[0].failureSummary?.replace(/\s+/g, " ").slice(0, 240)}`);
}

/** Nothing is wider than the window, and no control is smaller than 24 pixels. */
export async function fits(where, page) {
  const found = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const name = element => `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 40)}`;
    const shown = [...document.querySelectorAll("body *")].filter(element => element.getClientRects().length && !element.closest(".vh, .skip"));
    const wide = shown.filter(element => element.getBoundingClientRect().right > width + 1 && !element.closest("pre, .views, .sheet")).map(name);
    const small = shown.filter(element => element.matches("button, .button, input") && !["checkbox", "radio"].includes(element.type) && !element.matches(".sheet .fix") && element.getBoundingClientRect().height < (element.matches(".plain, .copy, .fix, .chip") ? 20 : element.matches(".sheet input") ? 24 : 36)).map(name);
    return { scrolls: document.documentElement.scrollWidth > width, wide: wide.slice(0, 3), small: small.slice(0, 3) };
  });
  check(where, !found.scrolls, `scrolls sideways: ${found.wide}`);
  check(where, !found.wide.length, `wider than the window: ${found.wide}`);
  check(where, !found.small.length, `too small: ${found.small}`);
}

/** Messages of the browser, such as violations of the Content Security Policy, and requests that fail. */
export function listen(where, page) {
  page.on("console", message => {
    if (["error", "warning"].includes(message.type()) && !/status of (4|5)\d\d/.test(message.text())) fail(where(), message.text());
  });
  page.on("pageerror", error => fail(where(), error.message));
  // A page that is left before its icon has loaded aborts that request.
  page.on("requestfailed", request => request.failure()?.errorText.includes("ABORTED") || fail(where(), `${request.url()} ${request.failure()?.errorText}`));
}
