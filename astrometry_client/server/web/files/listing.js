import { BUSY_MS, IDLE_MS, all, find, made, say, watch } from "./common.js";
import { leave, session } from "./login.js";

// The list.

function fill(item, entry) {
  const [link, state, about, time] = item.children;
  link.textContent = entry.name || "(no name)";
  link.href = entry.address;
  state.textContent = entry.state;
  state.className = `state ${entry.state}`;
  const whole = (textContent) => made("span", { className: "whole", textContent });
  about.replaceChildren(...(entry.place ? [whole(entry.place), " · ", whole(entry.size)] : [entry.reason ?? ""]));
  time.dateTime = entry.started ?? "";
  time.textContent = entry.started ? `${entry.started.slice(0, 16).replace("T", " ")} UT` : "";
}

function emptyItem(key) {
  const item = made("li", {}, made("a"), made("span"), made("span", { className: "about" }), made("time"));
  item.dataset.key = key;
  return item;
}

/** Bring the list up to date without touching what stays, so that focus and reading place stay too. */
function render(list, entries) {
  const wanted = new Set(entries.map((entry) => entry.key));
  for (const item of [...list.children]) {
    if (wanted.has(item.dataset.key)) continue;
    if (item.contains(document.activeElement)) list.parentElement.focus();
    item.remove();
  }
  entries.forEach((entry, at) => {
    const there = [...list.children].find((item) => item.dataset.key === entry.key);
    const item = there ?? emptyItem(entry.key);
    if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
    fill(item, entry);
  });
}

/** Tell what went on since the list was seen before; a submission becomes its images, so new ones count. */
function tell(entries, before) {
  const news = (entry) => (before.has(entry.key) ? before.get(entry.key) !== entry.state : entry.state !== "queued");
  const changed = entries.filter(news);
  if (changed.length > 3) say(`${changed.length} images changed their state`);
  else if (changed.length) say(changed.map((entry) => `${entry.name}: ${entry.state}`).join("; "));
}

export function setUpListing(section) {
  const { submission } = section.dataset;
  const view = { state: "", page: 0 };
  let seen;
  let states;

  function show(document_) {
    const { counts, entries, pages } = document_;
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const button of all(".filters button", section)) {
      find("span", button).textContent = button.dataset.state ? counts[button.dataset.state] : total;
    }
    render(find(".entries", section), entries);
    const empty = find(".empty", section);
    empty.hidden = entries.length > 0;
    empty.textContent = total ? `No image is ${view.state || "here"}.` : "No images yet.";
    find(".entries", section).hidden = !empty.hidden;
    find(".filters", section).hidden = !total;
    find(".pages", section).hidden = pages < 2;
    find("#newer").disabled = view.page === 0;
    find("#older").disabled = view.page >= pages - 1;
    if (states) tell(entries, states);
    states = new Map(entries.map((entry) => [entry.key, entry.state]));
    return counts.queued + counts.solving ? BUSY_MS : IDLE_MS;
  }

  const trouble = find("#trouble");
  let pause = IDLE_MS;
  async function look(isLatest) {
    if (!submission && !session()) return 0;
    const query = new URLSearchParams(submission ? { ...view, submission } : view);
    const headers = submission ? {} : { authorization: `Bearer ${session()}` };
    try {
      const response = await fetch(`/web/list?${query}`, { headers, cache: "no-cache" });
      if (response.status === 401) return leave("The login has ended. Log in again.");
      if (!response.ok) throw new Error(`status ${response.status}`);
      const now = `${query} ${response.headers.get("etag")}`;
      const reply = await response.json();
      if (!isLatest()) return 0;
      if (now !== seen) pause = show(reply);
      seen = now;
      trouble.hidden = true;
      return pause;
    } catch {
      trouble.textContent = "The server does not answer. The list is as it was; it is asked for again from time to time.";
      trouble.hidden = false;
      return IDLE_MS;
    }
  }

  section.hidden = !submission && !session();
  const again = watch(look);
  function turnTo(other) {
    Object.assign(view, other);
    states = undefined; // what is on another page is no news
    again();
  }
  for (const button of all(".filters button", section)) {
    button.addEventListener("click", () => {
      for (const other of all(".filters button", section)) other.ariaPressed = String(other === button);
      turnTo({ state: button.dataset.state, page: 0 });
    });
  }
  find("#newer").addEventListener("click", () => turnTo({ page: view.page - 1 }));
  find("#older").addEventListener("click", () => turnTo({ page: view.page + 1 }));
  return again;
}
