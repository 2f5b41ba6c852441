import { find } from "./common.js";

// The login: the key goes to the server once, the session key stays in this tab.

export const session = () => sessionStorage.getItem("session");

export function leave(reason) {
  sessionStorage.removeItem("session");
  showHome();
  find("#key-error").textContent = reason;
}

async function logIn(key) {
  const body = new URLSearchParams({ "request-json": JSON.stringify({ apikey: key }) });
  const reply = await (await fetch("/api/login", { method: "POST", body })).json();
  if (reply.status !== "success") throw new Error(`The server refused it: ${reply.errormessage}`);
  sessionStorage.setItem("session", reply.session);
}

export function showHome() {
  const known = Boolean(session());
  find("#login").hidden = known;
  find("#upload").hidden = find(".listing").hidden = find("#leave").hidden = !known;
  (known ? find("#choose") : find("#key")).focus({ preventScroll: true });
}

export function setUpLogin(afterLogin) {
  find("#leave").addEventListener("click", () => leave(""));
  find("#key-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = find("#key");
    try {
      await logIn(field.value.trim());
    } catch (error) {
      find("#key-error").textContent = error.message;
      field.focus();
      return;
    }
    field.value = find("#key-error").textContent = "";
    showHome();
    afterLogin();
  });
}
