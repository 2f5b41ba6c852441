// The login: the key goes to the server once, the session key stays in this tab.

import { find } from "./common.js";

const ANYONE = Boolean(find("#login")?.dataset.anyone); // this server asks for no key

let afterLogin;

export const session = () => sessionStorage.getItem("session");

async function logIn(key) {
  const body = new URLSearchParams({ "request-json": JSON.stringify({ apikey: key }) });
  const reply = await (await fetch("/api/login", { method: "POST", body })).json();
  if (reply.status !== "success") throw new Error(`The server refused it: ${reply.errormessage}`);
  sessionStorage.setItem("session", reply.session);
  find("#key").value = find("#key-error").textContent = "";
  showHome();
  afterLogin();
}

async function tryKey(key) {
  try {
    await logIn(key);
  } catch (error) {
    find("#key-error").textContent = error.message;
    find("#key").focus();
  }
}

function showHome() {
  const known = Boolean(session());
  find("#login").hidden = known || ANYONE;
  find("#upload").hidden = find(".listing").hidden = !known;
  find("#leave").hidden = !known || ANYONE;
  if (known) find("#choose").focus({ preventScroll: true });
  else if (!ANYONE) find("#key").focus({ preventScroll: true });
}

/** Forget the login and tell why. */
export function leave(reason) {
  sessionStorage.removeItem("session");
  showHome();
  find("#key-error").textContent = reason;
  if (ANYONE) tryKey("anyone");
}

export function setUpLogin(next) {
  afterLogin = next;
  find("#leave").addEventListener("click", () => leave(""));
  find("#key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    tryKey(find("#key").value.trim());
  });
  showHome();
  if (ANYONE && !session()) tryKey("anyone");
}
