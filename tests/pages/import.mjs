// Imports a list with mistakes in the console of a server, with Chromium: node import.mjs. HOST and TOKEN are those of the server.
// With SHOTS=FOLDER, keeps a picture of every step in every mode; with PICTURES=FOLDER, those of the documentation.
import assert from "node:assert/strict";
import fs from "node:fs";
import { accessible, check, finish, fits, launch, listen, validate } from "./lib.mjs";

const { HOST, TOKEN, SHOTS, PICTURES } = process.env;
const PASSWORD = "correct horse battery staple";

async function api(method, path, body) {
  const response = await fetch(`${HOST}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

const owner = { name: "Ingrid", lastname: "Berg", email: "importer@meridian-hydro.example", is_sso_user: false, permission_level: "owner" };
const created = (await api("POST", "/api/v2/users/admin_batch_create", [owner])).results;
const { link } = (await api("POST", "/api/v2/users/password_links", { users: [{ user: created[0].user_id }] })).results[0];

const browser = await launch();
let steps = 0;

const state = await (async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(link);
  await page.fill("#password", PASSWORD);
  await page.click("button.primary");
  const state = await context.storageState();
  await context.close();
  return state;
})();

/** A list of 60 people with nine mistakes of seven kinds, at the domain of a walk. */
function list(domain) {
  const rows = ["Vorname;Nachname;E-Mail;SSO;Kennwort;Abteilung"];
  for (let n = 0; n < 51; n += 1) rows.push(`Person${n};Holm;person-${n}@${domain};ja;;Turbinen`);
  rows.push(
    `Ragnhild;Berg;ragnhild.berg@${domain.replace(".", ",")};ja;;Netz`, `Ingrid;Dahl;importer@meridian-hydro.example;ja;;Netz`,
    `;Văn;vt.van@${domain};ja;;Netz`, `Zoë;Rossi;z.rossi@${domain};nein;zk9!q;Netz`, `Zoë;Rossi;Z.Rossi@${domain};nein;;Netz`,
    `Jonas;Eide;j.eide@${domain};ja;tidal-Plum-anchor-77;Netz`, `Kaja;Moen;k.moen@${domain};nein;Password123!;Netz`,
    `נועה;לוי;eva.lien(at)${domain};nein;;Netz`, `;Dahl;i.dahl@${domain};ja;;Netz`,
  );
  return Buffer.from(`\ufeff${rows.join("\r\n")}\r\n`);
}

const WALKS = [
  { viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  { viewport: { width: 1024, height: 800 }, colorScheme: "dark" },
  { viewport: { width: 360, height: 740 }, colorScheme: "light", javaScriptEnabled: false },
  { viewport: { width: 320, height: 640 }, colorScheme: "dark" },
];
for (const [number, mode] of WALKS.entries()) {
  // axe needs a policy that is bypassed; the walk without scripts has the real one.
  const bypassCSP = mode.javaScriptEnabled !== false;
  const context = await browser.newContext({ ...mode, storageState: state, reducedMotion: "reduce", bypassCSP });
  const page = await context.newPage();
  let where = "";
  listen(() => where, page);
  const look = async name => {
    where = `import ${name} ${mode.viewport.width} ${mode.colorScheme}`;
    steps += 1;
    check(where, (await page.locator("h1").count()) === 1, "one h1");
    await fits(where, page);
    if (bypassCSP) await accessible(where, page);
    if (number === 0) await validate(where, await (await context.request.get(page.url())).text());
    for (const secret of ["zk9!q", "tidal-Plum", "Password123"]) check(where, !(await page.content()).includes(secret), "a password is shown");
    if (SHOTS) {
      fs.mkdirSync(SHOTS, { recursive: true });
      await page.screenshot({ path: `${SHOTS}/import-${name}-${mode.viewport.width}-${mode.colorScheme}.png`, fullPage: true });
    }
    if (PICTURES && number < 2 && ["columns", "rows", "review"].includes(name))
      await page.screenshot({ path: `${PICTURES}/import-${name}-${mode.colorScheme}.png` });
  };
  const heading = () => page.locator("h1").innerText();
  const press = name => Promise.all([page.waitForEvent("load"), page.click(name)]);

  await page.goto(`${HOST}/console/import`);
  await look("file");
  await page.setInputFiles("#file", { name: "old.xls", mimeType: "application/octet-stream", buffer: Buffer.from("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "latin1") });
  await press("text=Check the file");
  check(where, (await page.locator("[role=alert]").innerText()).includes("save the workbook as .xlsx"), "an old workbook says how to save it");
  await page.setInputFiles("#file", { name: "people-oslo.csv", mimeType: "text/csv", buffer: list(`walk${number}.example`) });
  await press("text=Check the file");
  check(where, (await heading()) === "Match the columns", await heading());
  await look("columns");
  await press("text=Check the rows");
  check(where, (await heading()) === "9 of 60 rows need fixing", await heading());
  await look("rows");
  await page.fill("[name='54:name']", "Vinh");
  await page.fill("[name='59:email']", `noa@walk${number}.example`);
  await page.fill("[name='60:name']", "Ida");
  await press("[name=repair][value='52:email']");
  check(where, (await heading()) === "5 of 60 rows need fixing", await heading());
  for (const repair of ["53:email", "56:email", "55:password", "57:password", "58:password"].slice(0, 5)) {
    if (await page.locator(`[name=repair][value='${repair}']`).count()) await press(`[name=repair][value='${repair}']`);
  }
  check(where, (await heading()) === "Every row is fine", await heading());
  await look("fine");
  await page.click("text=All rows");
  await look("all");
  await press("text=Save and review");
  check(where, (await heading()) === "Create 58 people?", await heading());
  await look("review");
  await page.goBack();
  await page.goForward();
  await press("button.primary");
  const batch = page.url();
  check(where, batch.includes("/console/batches/bat_"), batch);
  await page.goBack();
  await page.reload();
  check(where, page.url() === batch, "a list that was created leads to its batch");
  await context.close();
}

await browser.close();
finish(steps);
