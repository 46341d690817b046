// Walks through the console of a server with Chromium, as administrators do: node console.mjs. HOST and TOKEN are those of the server.
// With SHOTS=FOLDER, keeps a picture of every page in every mode.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import { accessible, check, finish, fits, launch, listen, validate } from "./lib.mjs";

const { HOST, TOKEN, SHOTS } = process.env;
const PASSWORD = "correct horse battery staple";
const HOSTILE = "\"><script>alert(1)</script>\u202e";

async function api(method, path, body) {
  const response = await fetch(`${HOST}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  const text = await response.text();
  return text && JSON.parse(text);
}

// People with ordinary names, the longest ones, ones written from right to left, and ones that are code.
const names = [
  ["Ingrid", "Berg", "Head of platform"], ["Marit", "Halvorsen", "Control engineer"], ["Zoë", "Rossi", null], ["Nguyễn", "Holm", ""],
  ["Wolfeschlegelsteinhausenbergerdorff".repeat(3), "Featherstonehaugh ".repeat(4).trim(), "Vice president of everything"],
  ["נועה", "לוי", "مهندسة"], [HOSTILE.replace("\u202e", ""), "O’Neil & Söhne", "{{7*7}}"],
];
const people = names.map(([name, lastname, title], n) => ({
  name, lastname, title, email: `person-${n}@meridian-hydro.example`, is_sso_user: n === 1, permission_level: n === 0 ? "owner" : "collaborator",
}));
for (let n = 0; n < 60; n += 1)
  people.push({ name: `Person ${String(n).padStart(2, "0")}`, email: `crowd-${n}@tidewater.example`, is_sso_user: n % 2 === 0 });
const { results: created, metadata: { batch_id: batch } } = await api("POST", "/api/v2/users/admin_batch_create", people);
const ids = created.map(user => user.user_id);
await api("POST", `/api/v2/users/${ids[9]}/suspend`, {});
const deleted = created[10].user_id;
await fetch(`${HOST}/api/v2/users/${deleted}`, { method: "DELETE", headers: { authorization: `Bearer ${TOKEN}` } });
await api("POST", "/api/v2/user_groups/", { name: HOSTILE.replace("\u202e", "") });
const refused = await fetch(`${HOST}/api/v2/users/admin_batch_create`, {
  method: "POST", headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" }, body: JSON.stringify([{ name: "x", email: "y", is_sso_user: true }]),
});
assert.equal(refused.status, 422);
const [event] = (await api("GET", "/api/v2/audit/events?count=1")).results;
const group = (await api("POST", "/api/v2/user_groups/", { name: "Platform team" })).result.id;
await api("POST", `/api/v2/user_groups/${group}/members`, { user_ids: ids.slice(1, 8) });
const service = (await api("POST", "/api/v2/users/service_accounts?name=nightly-import", null)).result.user_id;
await api("POST", `/api/v2/users/service_accounts?name=${"a-long-name-".repeat(5)}zzz`, null);
const { key_id: key } = (await api("POST", "/api/v2/api_keys", { name: "nightly", user_id: service, scopes: ["users:read", "audit:read"] })).result;
const makes = (await api("POST", "/api/v2/api_keys", { name: HOSTILE.replace("\u202e", ""), expires_in_seconds: 86400 })).result;
await fetch(`${HOST}/api/v2/api_keys`, {
  method: "POST", headers: { authorization: `Bearer ${makes.token}`, "content-type": "application/json" }, body: JSON.stringify({ name: "a key that another key has made, with a long name" }),
});
const link = async user => (await api("POST", "/api/v2/users/password_links", { users: [{ user }] })).results[0].link;

const invited = await api("POST", "/api/v2/organization_invitations/admin_batch_create", [
  { email: "sigrid@meridian-hydro.example" }, { email: "o'neil&sons+the-longest-address-that-anybody-has-ever-invited@tidewater.example", permission_level: "owner" }, { email: "gone@tidewater.example" },
]);
await api("POST", `/api/v2/organization_invitations/${invited.results[2].id}/invalidate`, {});
// A program that signs in, whose name is code.
const signedIn = await fetch(`${HOST}/api/v2/users/reset_password`, {
  method: "POST", headers: { "content-type": "application/json", origin: HOST, "sec-fetch-site": "same-origin", "user-agent": "\"><b>bot/1" },
  body: JSON.stringify({ token: (await link(ids[3])).split("/").pop(), new_password: PASSWORD }),
});
assert.ok(signedIn.ok, await signedIn.text());

/** An identity provider that only says what it is; on a server whose owners configure providers. */
const providers = {};
let idp;
if (process.env.MUSTER_SSO__OWNERS_MAY_CONFIGURE) {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "1", use: "sig", alg: "RS256" }] });
  idp = http.createServer((request, response) => {
    const issuer = `http://127.0.0.1:${idp.address().port}`;
    response.setHeader("content-type", "application/json");
    response.end(request.url === "/keys" ? keys : JSON.stringify({
      issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`, response_types_supported: ["code"],
      subject_types_supported: ["public"], id_token_signing_alg_values_supported: ["RS256"],
    }));
  });
  await new Promise(resolve => idp.listen(0, "127.0.0.1", resolve));
  await api("POST", "/api/v2/sso/providers", {
    name: "hydro", title: HOSTILE.replace("\u202e", ""), issuer: `http://127.0.0.1:${idp.address().port}`, client_id: "muster", domains: ["meridian-hydro.example", "tidewater.example"],
  });
  Object.assign(providers, { provider: "/console/providers/hydro", "provider-disable": "/console/providers/hydro/disable", "provider-remove": "/console/providers/hydro/remove" });
}

const browser = await launch();
let steps = 0;

const MODES = [
  { viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  { viewport: { width: 1024, height: 800 }, colorScheme: "dark" },
  { viewport: { width: 360, height: 740 }, colorScheme: "light" },
  { viewport: { width: 320, height: 640 }, colorScheme: "dark" },
  { viewport: { width: 1440, height: 900 }, colorScheme: "light", contrast: "more" },
  { viewport: { width: 1024, height: 800 }, colorScheme: "light", forcedColors: "active" },
];

async function signIn(context) {
  const page = await context.newPage();
  await page.goto(await link(ids[0]));
  await page.fill("#password", PASSWORD);
  await page.click("button.primary");
  await page.goto(`${HOST}/console`);
  return page;
}

/** Every page in every mode. */
const PAGES = {
  home: "/console",
  people: "/console/people", nobody: "/console/people?q=nobody-at-all", wrong: "/console/people?shade=red",
  person: `/console/people/${ids[1]}`, self: `/console/people/${ids[0]}`, long: `/console/people/${ids[4]}`, rtl: `/console/people/${ids[5]}`,
  hostile: `/console/people/${ids[6]}`, suspended: `/console/people/${ids[9]}`, edit: `/console/people/${ids[4]}/edit`,
  suspend: `/console/people/${ids[1]}/suspend`, level: `/console/people/${ids[1]}/level`, signin: `/console/people/${ids[1]}/sign-in`,
  batches: "/console/batches", batch: `/console/batches/${batch}`, undo: `/console/batches/${batch}/undo`, links: `/console/batches/${batch}/links`,
  groups: "/console/groups", group: `/console/groups/${group}`, policy: `/console/groups/${group}/policy?role=owner`,
  remove: `/console/people/${ids[1]}/delete`, link: `/console/people/${ids[2]}/link`, missing: "/console/nothing",
  audit: "/console/audit", "audit-all": "/console/audit?entries=all", "audit-some": "/console/audit?outcome=refused&actor=Administrator&since=2026-01-01",
  "audit-none": "/console/audit?action=keys&until=2020-01-01", "audit-wrong": "/console/audit?actor=nobody", entry: `/console/audit/${event.event_id}`,
  deleted: `/console/people/${deleted}`, changes: "/console/people/changes",
  keys: "/console/keys", "keys-some": `/console/keys?owner=${service}&ends=30&unused=1&state=any`, "key-new": `/console/keys/new?for=${service}`,
  key: `/console/keys/${key}`, "key-rotate": `/console/keys/${key}/rotate`, "key-revoke": `/console/keys/${makes.key_id}/revoke`,
  services: "/console/services", service: `/console/services/${service}`,
  settings: "/console/settings", "settings-off": "/console/settings/sign-in?policy=off", "settings-no": "/console/settings/sign-in?policy=required",
  invitations: "/console/invitations", "invitations-none": "/console/invitations?state=expired&q=nobody", invite: "/console/invitations/new",
  invitation: `/console/invitations/${invited.results[1].id}`, revoked: `/console/invitations/${invited.results[2].id}`,
  sessions: "/console/sessions", "sessions-of": `/console/sessions?user=${ids[3]}`, "sessions-whose": "/console/sessions?user=person&method=link", "sessions-end": "/console/sessions/end",
  providers: "/console/providers", ...providers,
};
const state = await (async () => {
  const context = await browser.newContext();
  const page = await signIn(context);
  // A file of changes, which only this browser opens.
  await page.goto(`${HOST}/console/people/changes`);
  const rows = [[created[2], "Owner of the boat", "owner"], [created[5], HOSTILE, "collaborator"]];
  const quoted = text => `"${text.replaceAll('"', '""')}"`;
  const file = ["email,title,permission_level", ...rows.map(([user, title, level]) => `${user.email},${quoted(title)},${level}`)].join("\n");
  await page.setInputFiles("#file", { name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(file.replace("\u202e", "")) });
  await page.click("text=Compare the file");
  assert.equal(await page.locator("h1").innerText(), "Apply to 2 people?");
  PAGES.differences = new URL(page.url()).pathname;
  const state = await context.storageState();
  await context.close();
  return state;
})();
for (const [number, mode] of MODES.entries()) {
  const context = await browser.newContext({ ...mode, storageState: state, reducedMotion: "reduce", bypassCSP: true });
  const page = await context.newPage();
  let where = "";
  listen(() => where, page);
  for (const [name, path] of Object.entries(PAGES)) {
    where = `${name} ${mode.viewport.width} ${mode.contrast ?? (mode.forcedColors ? "forced" : mode.colorScheme)}`;
    steps += 1;
    const response = await page.goto(`${HOST}${path}`);
    check(where, (await page.locator("h1").count()) === 1, "one h1");
    await fits(where, page);
    await accessible(where, page);
    if (number === 0) await validate(where, await response.text());
    check(where, !(await page.content()).includes("<script>alert"), "a name is code");
    if (SHOTS) {
      fs.mkdirSync(SHOTS, { recursive: true });
      await page.screenshot({ path: `${SHOTS}/${name}-${where.split(" ").slice(1).join("-")}.png`, fullPage: true });
    }
  }
  await context.close();
}

/** Pages that answer a form. */
for (const [number, mode] of MODES.entries()) {
  const context = await browser.newContext({ ...mode, storageState: state, reducedMotion: "reduce", bypassCSP: true });
  const page = await context.newPage();
  let where = "";
  listen(() => where, page);
  const look = async (name, heading) => {
    where = `${name} ${mode.viewport.width} ${mode.contrast ?? (mode.forcedColors ? "forced" : mode.colorScheme)}`;
    steps += 1;
    check(where, (await page.locator("h1").innerText()) === heading, `the heading is ${await page.locator("h1").innerText()}`);
    await fits(where, page);
    await accessible(where, page);
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${where.split(" ").slice(1).join("-")}.png`, fullPage: true });
  };
  await page.goto(`${HOST}/console/invitations/new`);
  await page.fill("#addresses", `guest-${number}@tidewater.example, nobody, person-1@meridian-hydro.example\nsigrid@meridian-hydro.example`);
  await page.click("text=Review");
  await look("invite-wrong", "Invite people");
  await page.click("text=Review the other 2");
  await look("invite-review", "Invite 1 person?");
  await page.click("button.primary");
  await look("invite-links", "1 invitation link");
  if (process.env.MUSTER_SSO__OWNERS_MAY_CONFIGURE) {
    await page.goto(`${HOST}/console/providers/hydro`);
    await page.click("text=Test");
    await look("provider-tested", HOSTILE.replace("\u202e", ""));
  }
  await context.close();
}

/** The policy of the browser is not bypassed here: nothing may be blocked, and everything works with scripts, without, and with a broken one. */
for (const script of ["on", "off", "broken"]) {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 }, storageState: state, javaScriptEnabled: script !== "off" });
  const page = await context.newPage();
  const where = `a day, script ${script}`;
  if (script === "broken") await page.route("**/assets/*.js", route => route.abort());
  else listen(() => where, page);
  await page.goto(`${HOST}/console/people?q=crowd-${["on", "off", "broken"].indexOf(script) * 2 + 11}`);
  await page.click("tbody a");
  await page.click("text=Edit");
  await page.fill("#title", "Deckhand");
  await page.click("text=Save");
  check(where, (await page.locator("[role=status].note").innerText()) === "The changes are saved.", "saved");
  await page.click("text=Suspend…");
  check(where, (await page.locator("h1").innerText()).startsWith("Suspend Person"), "asks");
  await page.click("button.danger");
  check(where, (await page.locator(".state").first().innerText()) === "Suspended", "suspended");
  await page.click("text=Reactivate…");
  await page.click("button.primary");
  check(where, (await page.locator("[role=status].note").innerText()) === "The account is active again.", "reactivated");
  await page.goto(`${HOST}/console/keys/new`);
  await page.fill("#name", `by hand, script ${script}`);
  await page.click("text=Make the key");
  check(where, (await page.locator("#made").innerText()) === "The secret is shown only now", "made");
  await fits(where, page);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/key-made-${script}.png`, fullPage: true });
  await page.click("text=I have kept it");
  await page.click("text=Revoke…");
  await page.click("text=Revoke 1 key");
  check(where, (await page.locator("[role=status].note").innerText()) === "1 API key is revoked.", "revoked");
  // The navigation of a phone needs no script.
  await page.click(".menu");
  await page.click(".nav >> text=People");
  check(where, (await page.locator("h1").innerText()) === "People", "navigation");
  steps += 7;
  await context.close();
}

await browser.close();
idp?.close();
finish(steps);
