// The page on which people look after their tokens. It talks to the same routes as every other
// client, and keeps the session in a variable: nothing is stored, and no other tab sees it.
"use strict";

const $ = (id) => document.getElementById(id);

let session = null;
let me = null;
let accounts = [];
let tokens = [];
let next = null;
// Counts the lists that were asked for, so that an answer that comes late is not shown.
let asked = 0;

// ---- Asking the server

class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = problem.code;
    this.field = problem.field;
    this.method = problem.method;
  }
}

async function call(method, path, body) {
  const headers = {};
  if (session) headers.Authorization = `Bearer ${session}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, { detail: "the server cannot be reached" });
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem);
}

// Does something and shows what went wrong, if it did; true when it went well.
async function attempt(action, form) {
  say("");
  complain("");
  for (const field of form?.elements ?? []) field.removeAttribute("aria-invalid");
  const buttons = [...document.querySelectorAll("main button")].filter((b) => !b.disabled);
  buttons.forEach((button) => (button.disabled = true));
  try {
    await action();
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401 && session) {
      forget();
      complain("You are signed out: your session is over. Please sign in again.");
    } else {
      complain(sentence(error.message));
      const field = error.field && form?.elements.namedItem(error.field);
      if (field instanceof HTMLElement) {
        field.setAttribute("aria-invalid", "true");
        field.focus();
      }
    }
    return false;
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

// ---- Signing in and out

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  // The code is among them once one was asked for.
  const credentials = Object.fromEntries(new FormData(form));
  attempt(async () => {
    try {
      session = (await call("POST", "/login", credentials)).token;
    } catch (error) {
      if (error.code !== "second_factor_required") throw error;
      askForCode(error);
      return;
    }
    await loadAccounts();
    form.reset();
    forgetCode();
    $("sign-in").hidden = true;
    $("signed-in").hidden = false;
    document.body.classList.add("wide");
    $("who").hidden = false;
    $("who-name").textContent = me.name || me.username;
    $("owner").hidden = !me.administrator;
    await loadTokens();
    $("new").querySelector("summary").focus();
  }, form).then((done) => {
    if (done) return;
    session = null;
    const { code, password } = form.elements;
    // Whoever got as far as the code had the right password.
    const again = code.disabled ? password : code;
    again.value = "";
    again.focus();
  });
});

function askForCode({ message, method }) {
  $("code").hidden = false;
  $("code-about").textContent = method === "email" ? "Code from the mail" : "Code of your authenticator";
  const { code } = $("sign-in-form").elements;
  code.disabled = false;
  code.required = true;
  code.focus();
  say(sentence(message));
}

function forgetCode() {
  $("code").hidden = true;
  const { code } = $("sign-in-form").elements;
  code.value = "";
  code.disabled = true;
}

// Somebody else signs in without a code, until one is asked for.
for (const name of ["username", "password"]) {
  $("sign-in-form").elements[name].addEventListener("input", forgetCode);
}

$("sign-out").addEventListener("click", () => {
  attempt(async () => {
    await call("DELETE", "/tokens/current");
    forget();
    say("You are signed out.");
  });
});

function forget() {
  session = me = next = null;
  accounts = [];
  tokens = [];
  asked += 1;
  hideSecret();
  if ($("question").open) $("question").close("no");
  $("rows").replaceChildren();
  $("owner-choice").replaceChildren();
  $("who-name").textContent = "";
  $("new-form").reset();
  $("signed-in").hidden = true;
  document.body.classList.remove("wide");
  $("who").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-form").elements.username.focus();
}

// ---- Whose tokens

const EVERYBODY = "";

async function loadAccounts() {
  const answer = await call("GET", "/accounts");
  accounts = answer.accounts;
  me = accounts.find((account) => account.id === answer.me);
  const choice = $("owner-choice");
  const chosen = choice.value;
  const option = (value, text) => element("option", { value }, text);
  choice.replaceChildren(
    option(me.id, "myself"),
    option(EVERYBODY, "everybody"),
    ...accounts
      .filter((account) => account !== me)
      .map((account) => option(account.id, called(account.id))),
  );
  if (accounts.some((account) => account.id === chosen)) choice.value = chosen;
}

const accountOf = (id) => accounts.find((account) => account.id === id);

function called(id) {
  const account = accountOf(id);
  return account?.name ? `${account.name} (${account.username})` : (account?.username ?? id);
}

// Whose tokens are shown; null for everybody's.
const chosenOwner = () => ($("owner-choice").value === EVERYBODY ? null : $("owner-choice").value);

function showOwner() {
  const account = accountOf(chosenOwner());
  const other = account && account !== me;
  const active = account?.state === "active";
  $("owner-state").textContent = !other
    ? ""
    : active
      ? "The account is active."
      : "The account is deactivated: none of its tokens works.";
  const toggle = $("owner-toggle");
  toggle.hidden = !other;
  toggle.textContent = active ? "Deactivate account" : "Reactivate account";
  toggle.className = active ? "danger" : "";
  $("new-title").textContent = other ? `New token for ${called(account.id)}` : "New token";
  $("list-title").textContent = other ? `Tokens of ${called(account.id)}` : "Tokens";
}

$("owner-choice").addEventListener("change", () => attempt(loadTokens));

$("owner-toggle").addEventListener("click", async () => {
  const account = accountOf(chosenOwner());
  const active = account.state === "active";
  const yes =
    !active ||
    (await ask({
      title: `Deactivate ${called(account.id)}?`,
      text: "Its tokens and sessions stop working at once. Reactivating the account lets them work again.",
      yes: "Deactivate account",
    }));
  if (!yes) return;
  await attempt(async () => {
    const change = active ? "deactivate" : "reactivate";
    await call("POST", `/owners/${encodeURIComponent(account.id)}/${change}`);
    await loadAccounts();
    await loadTokens();
    say(`${called(account.id)} is ${active ? "deactivated" : "active again"}.`);
  });
  $("owner-toggle").focus();
});

// ---- The list

async function loadTokens() {
  asked += 1;
  const mine = asked;
  const owner = chosenOwner();
  const list = (id, cursor) => {
    const query = new URLSearchParams({ owner: id, limit: "200" });
    if (cursor) query.set("cursor", cursor);
    return call("GET", `/tokens?${query}`);
  };
  let found = [];
  let rest = null;
  if (owner) {
    const page = await list(owner);
    found = page.tokens;
    rest = page.next && { owner, cursor: page.next, list };
  } else {
    for (const account of accounts) found.push(...(await list(account.id)).tokens);
    found.sort((a, b) => b.created_at.localeCompare(a.created_at));
  }
  if (mine !== asked) return;
  tokens = found;
  next = rest;
  showOwner();
  showTokens();
}

$("more").addEventListener("click", () =>
  attempt(async () => {
    const { owner, cursor, list } = next;
    const mine = asked;
    const page = await list(owner, cursor);
    if (mine !== asked) return;
    tokens = tokens.concat(page.tokens);
    next = page.next && { owner, cursor: page.next, list };
    showTokens();
  }),
);

for (const id of ["show-sessions", "show-ended"]) $(id).addEventListener("change", showTokens);

function showTokens() {
  const shown = tokens.filter((token) => {
    const state = stateOf(token);
    const ended = state.name === "revoked" || state.name === "expired";
    return (!ended || $("show-ended").checked) &&
      (token.kind !== "session" || $("show-sessions").checked);
  });
  $("tokens").classList.toggle("with-owner", chosenOwner() === null);
  $("tokens").hidden = shown.length === 0;
  $("empty").hidden = shown.length > 0;
  $("more").hidden = !next;
  $("rows").replaceChildren(...shown.map(row));
}

function row(token) {
  const state = stateOf(token);
  const why = token.ended?.why;
  const details = [
    token.kind === "session" ? "a session" : `ends with ${token.hint}`,
    `created ${when(token.created_at)}`,
  ];
  const overlap = token.overlap_ends_at;
  return element("tr", {},
    cell("", element("span", { className: "name", title: token.name }, token.name || "(without a name)"),
      element("span", { className: "about" }, details.join(", ")),
      token.note && element("span", { className: "about" }, token.note)),
    cell("Owner", accountOf(token.owner)?.name || token.owner,
      element("span", { className: "about" }, accountOf(token.owner)?.username)),
    cell("State", element("span", { className: `state ${state.name}` }, state.text),
      why && element("span", { className: "about" }, why),
      overlap && element("span", { className: "about" }, "the old secret works until ", time(overlap))),
    cell("May", token.scopes === "full" ? "everything" : token.scopes.join(", ")),
    cell("Expires", token.expires_at ? time(token.expires_at) : "never"),
    cell("Last used", token.last_used_at ? ago(token.last_used_at) : "never",
      token.last_used_from && element("span", { className: "about" }, `from ${token.last_used_from}`)),
    cell("", element("div", { className: "actions" }, ...actions(token, state))),
  );
}

function stateOf(token) {
  const now = Date.now();
  if (token.state === "revoked") return { name: "revoked", text: "revoked" };
  if (token.expires_at && Date.parse(token.expires_at) <= now) return { name: "expired", text: "expired" };
  if (token.state === "deactivated") return { name: "deactivated", text: "deactivated" };
  if (accountOf(token.owner)?.state !== "active") return { name: "waiting", text: "account deactivated" };
  if (token.not_before && Date.parse(token.not_before) > now) return { name: "waiting", text: "not valid yet" };
  return { name: "active", text: "active" };
}

// ---- What can be done with a token

function actions(token, state) {
  if (state.name === "revoked" || state.name === "expired") return [];
  const button = (text, className, action) => {
    const made = element("button", { type: "button", className }, text);
    made.setAttribute("aria-label", `${text} ${token.name || token.id}`);
    made.dataset.does = `${token.id} ${text}`;
    made.addEventListener("click", () => action(token));
    return made;
  };
  return [
    token.state === "active" && token.kind !== "session" && button("Rotate", "", rotate),
    token.state === "active"
      ? button("Deactivate", "", deactivate)
      : button("Reactivate", "", reactivate),
    button("Revoke", "danger", revoke),
  ].filter(Boolean);
}

const path = (token, verb) => `/tokens/${token.id}${verb ? `/${verb}` : ""}`;
const quoted = (token) => (token.name ? `“${token.name}”` : "the token without a name");

function deactivate(token) {
  return change(token, "Reactivate", `${quoted(token)} is deactivated.`, () =>
    call("POST", path(token, "deactivate")));
}

function reactivate(token) {
  return change(token, "Deactivate", `${quoted(token)} works again.`, () =>
    call("POST", path(token, "reactivate")));
}

async function revoke(token) {
  const yes = await ask({
    title: `Revoke ${quoted(token)}?`,
    text: "Whatever uses it stops working at once, for good.",
    yes: "Revoke",
  });
  if (yes) {
    await change(token, null, `${quoted(token)} is revoked.`, () => call("DELETE", path(token)));
  }
}

async function rotate(token) {
  const yes = await ask({
    title: `Give ${quoted(token)} a new secret?`,
    text: "Name, scopes and expiry stay as they are.",
    yes: "Rotate",
    overlap: true,
  });
  if (!yes) return;
  const overlap_seconds = Number($("overlap").value);
  await change(token, "Rotate", `${quoted(token)} has a new secret.`, async () => {
    showSecret(await call("POST", path(token, "rotate"), { overlap_seconds }));
  });
}

// Makes a change, shows the list anew and leaves the keyboard where it was.
async function change(token, then, told, action) {
  const done = await attempt(async () => {
    await action();
    await loadTokens();
    say(sentence(told));
  });
  if (!session || $("secret").open) return;
  const again = document.querySelector(`[data-does="${token.id} ${done ? then : "Revoke"}"]`);
  (again ?? $("new").querySelector("summary")).focus();
}

$("new-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const { name, note, scopes, days } = Object.fromEntries(new FormData(form));
  const owner = chosenOwner() ?? me.id;
  attempt(async () => {
    const made = await call("POST", `/tokens?${new URLSearchParams({ owner })}`, {
      name,
      note,
      scopes: scopes === "full" ? "full" : [scopes],
      expires_in: Number(days) * 86400,
    });
    showSecret(made);
    form.reset();
    $("new").open = false;
    await loadTokens();
    say(`${quoted(made)} is created.`);
  }, form);
});

// ---- The secret, shown once

function showSecret(shown) {
  $("secret-owner").textContent = shown.owner === me.id ? "you" : called(shown.owner);
  $("secret-text").value = shown.token;
  $("secret").showModal();
  $("secret-text").select();
}

function hideSecret() {
  $("secret-text").value = "";
  $("secret-copied").textContent = "";
  if ($("secret").open) $("secret").close();
}

$("secret-copy").addEventListener("click", async () => {
  $("secret-text").select();
  let copied = true;
  try {
    await navigator.clipboard.writeText($("secret-text").value);
  } catch {
    copied = document.execCommand("copy");
  }
  $("secret-copied").textContent = copied ? "Copied." : "It is selected: copy it with the keyboard.";
});

$("secret-done").addEventListener("click", () => {
  hideSecret();
  $("new").querySelector("summary").focus();
});

// A stray Escape must not lose what cannot be shown again. Browsers that do not know `closedby`
// let a second one through unless the key itself is held back.
$("secret").addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.preventDefault();
});
$("secret").addEventListener("cancel", (event) => event.preventDefault());
$("secret").addEventListener("close", hideSecret);

// ---- Small things

function ask({ title, text, yes, overlap = false }) {
  const dialog = $("question");
  $("question-title").textContent = title;
  $("question-text").textContent = text;
  $("question-yes").textContent = yes;
  $("question-yes").className = overlap ? "primary" : "danger";
  $("question-overlap").hidden = !overlap;
  $("overlap").value = "0";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

function say(text) {
  $("status").textContent = text;
  $("status").hidden = !text;
}

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function when(instant) {
  return new Date(instant).toLocaleDateString(undefined, { dateStyle: "medium" });
}

function time(instant, text) {
  const date = new Date(instant);
  const title = date.toLocaleString(undefined, { dateStyle: "long", timeStyle: "long" });
  const near = Math.abs(date - Date.now()) < 86_400_000;
  const style = near ? { dateStyle: "medium", timeStyle: "short" } : { dateStyle: "medium" };
  return element("time", { dateTime: instant, title, className: "when" },
    text ?? date.toLocaleString(undefined, style));
}

function ago(instant) {
  const minutes = Math.round((Date.parse(instant) - Date.now()) / 60_000);
  const written = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  if (minutes > -1) return time(instant, "just now");
  if (minutes > -60) return time(instant, written.format(minutes, "minute"));
  if (minutes > -1440) return time(instant, written.format(Math.round(minutes / 60), "hour"));
  if (minutes > -43_200) return time(instant, written.format(Math.round(minutes / 1440), "day"));
  return time(instant);
}

// Children are elements or texts; a text is only ever text.
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function cell(label, ...children) {
  const made = element("td", {}, element("div", {}, ...children));
  if (label) made.dataset.label = label;
  if (label === "Owner") made.className = "owner-column";
  return made;
}
