// Tools of the page. What comes from the server or from a file name becomes text of the page, never HTML.

export const BUSY_MS = 3000; // between two looks while something is queued or solving
export const IDLE_MS = 20000;

export const find = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

export function say(text) {
  find("#said").textContent = text;
}

export function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/**
 * Look again and again, but only while somebody can see the page.
 * `look` returns the pause to the next look; it is given a question: is this still the latest one?
 */
export function watch(look) {
  let timer;
  let looks = 0;
  async function again() {
    clearTimeout(timer);
    if (document.hidden) return;
    const own = ++looks;
    const pause = await look(() => own === looks);
    if (own === looks && pause) timer = setTimeout(again, pause);
  }
  document.addEventListener("visibilitychange", again);
  again();
  return again;
}
