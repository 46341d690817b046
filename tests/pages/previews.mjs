// Checks the previews of all pages in all states: node previews.mjs FOLDER. With SHOTS=FOLDER it takes pictures instead;
// further arguments select pages by the beginning of their names.
import http from "node:http";
import fs from "node:fs";
import path from "node:path";
import { accessible, finish, fits, launch, listen, validate } from "./lib.mjs";

const [folder, ...only] = process.argv.slice(2);
const headers = {
  "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};
const types = { ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const server = http.createServer((request, response) => {
  const file = path.join(folder, path.normalize(new URL(request.url, "http://localhost").pathname));
  if (!fs.existsSync(file)) return response.writeHead(404, headers).end();
  response.writeHead(200, { ...headers, "content-type": types[path.extname(file)] }).end(fs.readFileSync(file));
}).listen(0, "127.0.0.1");
await new Promise(resolve => server.once("listening", resolve));
const base = `http://127.0.0.1:${server.address().port}/`;

const all = fs.readdirSync(folder).filter(file => file.endsWith(".html")).map(file => file.slice(0, -5)).sort();
const pages = all.filter(page => !only.length || only.some(start => page.startsWith(start)));
// Names only change what fits, and how the page reads.
const isVariant = page => /-(long|rtl|hostile)$/.test(page);
const browser = await launch();

async function each(options, pages, visit) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const tab = await context.newPage();
  let where = "";
  listen(() => where, tab);
  const { width } = options.viewport;
  for (const page of pages) {
    where = `${page} ${width} ${options.colorScheme ?? "light"} ${options.label ?? ""}`.trim();
    await tab.goto(`${base}${page}.html`);
    await visit(page, tab, where);
  }
  await context.close();
}

const size = width => ({ viewport: { width, height: width < 500 ? 780 : 900 } });
if (process.env.SHOTS) {
  fs.mkdirSync(process.env.SHOTS, { recursive: true });
  for (const mode of (process.env.MODES ?? "1440:light,360:light,1440:dark,320:dark").split(",")) {
    const [width, colorScheme] = mode.split(":");
    const options = { ...size(+width), colorScheme: colorScheme === "forced" ? "dark" : colorScheme, forcedColors: colorScheme === "forced" ? "active" : "none" };
    await each(options, pages, (page, tab) => tab.screenshot({ path: `${process.env.SHOTS}/${page}-${width}-${colorScheme}.png`, fullPage: true }));
  }
} else {
  for (const page of pages) await validate(page, fs.readFileSync(path.join(folder, `${page}.html`), "utf8"));
  // With the Content Security Policy in force.
  for (const width of [320, 768, 1440])
    await each(size(width), pages, (page, tab, where) => fits(where, tab));
  await each({ ...size(1280), bypassCSP: true, label: "text of 200 %" }, pages, async (page, tab, where) => {
    await tab.addStyleTag({ content: "html { font-size: 200% }" });
    await fits(where, tab);
  });
  const ordinary = pages.filter(page => !isVariant(page));
  for (const options of [
    { ...size(1440), colorScheme: "light" },
    { ...size(1440), colorScheme: "dark" },
    { ...size(320), colorScheme: "light" },
    { ...size(360), colorScheme: "dark", contrast: "more", label: "more contrast" },
  ]) await each({ ...options, bypassCSP: true }, ordinary, (page, tab, where) => accessible(where, tab));
  finish(pages.length);
}
await browser.close();
server.close();
