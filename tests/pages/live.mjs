// Walks through the pages of a server with Chromium, as people do: node live.mjs. HOST and TOKEN are those of the server.
import assert from "node:assert/strict";
import { accessible, check, finish, fits, launch, listen, validate } from "./lib.mjs";

const { HOST, TOKEN } = process.env;
const PASSWORD = "correct horse battery staple";
const NEW = "seven purple walrus lanterns";

async function api(method, path, body) {
  const response = await fetch(`${HOST}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

const people = ["ada", "grace", "edsger"].map(name => ({ name, lastname: "Example", email: `${name}@example.com`, password: PASSWORD, is_sso_user: false }));
await api("POST", "/api/v2/users/admin_batch_create", people);
const link = async email => (await api("POST", "/api/v2/users/password_links", { users: [{ user: email }] })).results[0].link;

const browser = await launch();
let steps = 0;

/** A browser of its own. `look` runs the checks of each page, which needs scripts; the pages themselves have none. */
async function person(options, walk) {
  const context = await browser.newContext({ reducedMotion: "reduce", bypassCSP: options.javaScriptEnabled !== false, ...options });
  const page = await context.newPage();
  let where = "";
  listen(() => where, page);
  const posts = [];
  page.on("request", async request => {
    if (request.method() === "POST") posts.push(await request.allHeaders());
  });
  // The page as the server sent it.
  let sent;
  page.on("response", response => {
    if (response.request().isNavigationRequest() && ![303, 204].includes(response.status())) sent = response.text().catch(() => undefined);
  });
  const step = async (name, heading) => {
    steps += 1;
    where = `${name} ${options.viewport.width} ${options.javaScriptEnabled === false ? "without scripts" : ""}`.trim();
    check(where, (await page.locator("h1").innerText()) === heading, `${await page.locator("h1").innerText()} at ${page.url()}`);
    check(where, (await page.title()).endsWith(" · muster"), await page.title());
    if (options.javaScriptEnabled === false) return;
    await fits(where, page);
    await accessible(where, page);
    await validate(where, await sent);
  };
  await walk(page, step, context);
  // Section 0: `no-referrer` would make this `null`, and every form would be rejected.
  for (const headers of posts) check("forms", headers.origin === HOST, `origin ${headers.origin}`);
  await context.close();
}

const focused = page => page.evaluate(() => document.activeElement.id);

/** An initial password: sign in by keyboard, choose another, look at the account, sign out, go back. */
async function first(page, step, context) {
  const scripts = await page.evaluate(() => true).catch(() => false);
  await page.goto(`${HOST}/`);
  await step("sign-in", "Sign in");
  if (scripts) check("sign-in", (await focused(page)) === "email", "the first field has the focus");
  await page.keyboard.type("ada@example.com");
  await page.keyboard.press("Tab");
  await page.keyboard.type("wrong password");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  await step("refused", "Sign in");
  check("refused", (await page.getByLabel("Password").inputValue()) === "", "the password does not come back");
  check("refused", (await page.getByLabel("E-mail address").inputValue()) === "ada@example.com", "the address is kept");
  if (scripts) check("refused", (await focused(page)) === "password", "the wrong field has the focus");
  await page.keyboard.type(people[0].current ?? PASSWORD);
  await page.keyboard.press("Enter");
  if (!people[0].current) {
    await page.waitForURL(/\/account\/password/);
    await step("initial password", "Choose your own password");
    check("initial password", (await page.getByLabel("Current password").count()) === 0, "it was just entered");
    await page.getByLabel("New password").fill("short");
    await page.getByRole("button", { name: "Set password" }).click();
    await page.getByRole("alert").waitFor();
    await step("rejected", "Choose your own password");
    await page.getByLabel("New password").fill(NEW);
    await page.getByRole("button", { name: "Set password" }).click();
    people[0].current = NEW;
  }
  await page.waitForURL(/\/account(\?|$)/);
  await step("account", "ada Example");
  const cookies = await context.cookies();
  check("cookies", cookies.length === 2 && cookies.every(cookie =>
    cookie.name.startsWith("__Host-Http-muster") && cookie.httpOnly && cookie.secure && cookie.sameSite === "Lax" && cookie.path === "/"
  ), JSON.stringify(cookies));
  await page.getByRole("navigation").getByRole("button", { name: "Sign out" }).click();
  await step("signed out", "You are signed out");
  await page.goto(`${HOST}/account`);
  await step("after signing out", "Sign in");
  // S-45: the pages from before are not kept.
  await page.goBack();
  await page.goBack();
  check("back", !(await page.content()).includes("Where you are signed in"), "back shows nothing of the account");
}

/** A link: choose a password, end the other session, change the password. */
async function withLink(page, step, context) {
  const other = await context.browser().newContext({ viewport: { width: 800, height: 600 } });
  const elsewhere = await other.newPage();
  await page.goto(await link("grace@example.com"));
  await step("link", "Choose a password");
  await page.getByLabel("New password").fill("grace@example.com");
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await page.getByRole("alert").waitFor();
  await step("link rejected", "Choose a password");
  await page.getByLabel("New password").fill(PASSWORD);
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await page.waitForURL(/\/account$/);
  await elsewhere.goto(`${HOST}/sign-in`);
  await elsewhere.getByLabel("E-mail address").fill("grace@example.com");
  await elsewhere.getByLabel("Password").fill(PASSWORD);
  await elsewhere.getByRole("button", { name: "Sign in" }).click();
  await elsewhere.waitForURL(/\/account$/);
  await page.reload();
  await step("two sessions", "grace Example");
  await page.getByRole("button", { name: /^End the session of Chrome on Linux/ }).click();
  await page.getByRole("status").filter({ hasText: "The session has ended." }).waitFor();
  await step("session ended", "grace Example");
  await elsewhere.goto(`${HOST}/account`);
  check("ended", elsewhere.url().includes("/sign-in"), elsewhere.url());
  await other.close();
  await page.getByRole("link", { name: "Change password" }).click();
  await step("change password", "Change password");
  await page.getByLabel("Current password").fill(PASSWORD);
  await page.getByLabel("New password").fill(NEW);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByRole("status").filter({ hasText: "Your password is changed." }).waitFor();
  await step("changed", "grace Example");
}

/** A login of a program: sign in to see it, approve one, deny one. */
async function approve(page, step) {
  const start = async () => (await (await fetch(`${HOST}/api/v2/users/create_otp_token?machine=laptop`)).json()).result;
  const fetched = async otp => (await fetch(`${HOST}/api/v2/users/request_otp_token/${otp}`)).json();
  const [first, second] = [await start(), await start()];
  await page.goto(first.url);
  await step("login of a stranger", "Approve a login");
  await page.getByRole("link", { name: "Sign in to approve" }).click();
  await page.getByLabel("E-mail address").fill("grace@example.com");
  await page.getByLabel("Password").fill(NEW);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(first.url);
  await step("login", "Approve a login");
  await page.getByRole("button", { name: "Approve" }).click();
  await step("approved", "Approved");
  check("approved", (await fetched(first.otp)).result.valid === true, "the program gets its key");
  await page.goto(second.url);
  await page.getByRole("button", { name: "Not me" }).click();
  await step("denied", "The login is denied");
  check("denied", (await fetched(second.otp)).error.code === "conflict", "the program gets no key");
}

/** Pages that need nobody. */
async function others(page, step) {
  for (const [path, heading] of [
    ["/password/forgot", "Ask for a link"],
    ["/password/x", "This link can’t be used"],
    ["/invitations/x", "This invitation can’t be used"],
    ["/sign-in/check", "Sign-in did not work"],
    ["/sign-in/nowhere", "Page not found"],
    ["/v2/api-keys", "API keys"],
  ]) {
    await page.goto(`${HOST}${path}`);
    await step(path, heading);
  }
  const [{ data }] = (await api("POST", "/api/v2/organization_invitations/batch_create", [{ email: "alan@example.com" }])).results;
  await page.goto(data.link);
  await step("invitation", "Join Default organization");
  await page.getByLabel("Name", { exact: true }).fill("Alan");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await step("accepted", "Your account is ready");
}

const size = width => ({ viewport: { width, height: 800 } });
await person({ ...size(1280), colorScheme: "light" }, first);
await person({ ...size(360), javaScriptEnabled: false }, first);
await person({ ...size(320), colorScheme: "dark" }, withLink);
await person({ ...size(800) }, approve);
await person({ ...size(390) }, others);
await browser.close();
finish(steps);
