// Signs in and out behind nginx with TLS, at the root of a host and under a path: node tls.mjs. HOST and TOKEN are those of the
// server, PORT is that of nginx.
import { check, finish, launch, listen } from "./lib.mjs";

const { HOST, TOKEN, PORT } = process.env;
const PASSWORD = "correct horse battery staple";

const person = { name: "Ada", email: "ada@example.com", password: PASSWORD, is_sso_user: false };
const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
await fetch(`${HOST}/api/v2/users/admin_batch_create`, { method: "POST", headers, body: JSON.stringify([person]) });
const users = JSON.stringify({ users: [{ user: person.email }] });
const { results } = await (await fetch(`${HOST}/api/v2/users/password_links`, { method: "POST", headers, body: users })).json();

const browser = await launch("--host-resolver-rules=MAP *.example.org 127.0.0.1");

/** A browser of its own, and what its cookies are after signing in. */
async function visit(site, where, enter) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  listen(() => where, page);
  await enter(page);
  await page.waitForURL(`${site}account`);
  check(where, (await page.locator("h1").innerText()) === "Ada", page.url());
  const cookies = (await context.cookies()).sort((a, b) => a.name.localeCompare(b.name));
  check(where, cookies.map(cookie => cookie.name).join(" ") === "__Host-Http-muster __Host-Http-muster-device", JSON.stringify(cookies));
  check(where, cookies.every(cookie => cookie.httpOnly && cookie.secure && cookie.sameSite === "Lax" && cookie.path === "/"), JSON.stringify(cookies));
  await page.getByRole("navigation").getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(`${site}sign-out`);
  check(where, (await page.locator("h1").innerText()) === "You are signed out", page.url());
  check(where, !(await context.cookies()).some(cookie => cookie.name === "__Host-Http-muster"), "the cookie of the session is gone");
  await page.goto(`${site}account`);
  check(where, page.url().startsWith(`${site}sign-in`), page.url());
  await context.close();
}

const withPassword = site => async page => {
  await page.goto(`${site}sign-in`);
  await page.getByLabel("E-mail address").fill(person.email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
};

const [root, path] = [`https://muster.example.org:${PORT}/`, `https://tools.example.org:${PORT}/muster/`];
check("link", results[0].link.startsWith(root), results[0].link);
await visit(root, "link", async page => {
  await page.goto(results[0].link);
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByRole("button", { name: "Set password and sign in" }).click();
});
await visit(root, "root", withPassword(root));
await visit(path, "path", withPassword(path));
await browser.close();
finish(3);
