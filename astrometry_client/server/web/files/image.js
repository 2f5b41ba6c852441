import { BUSY_MS, IDLE_MS, all, find, say, watch } from "./common.js";

// One image.

function setUpPicture(figure) {
  const { job, name } = figure.dataset;
  const image = find("img", figure);
  const view = find(".view", figure);
  const zoom = find("#zoom", figure);
  let toCentre = false;

  function show() {
    const layer = find("input:checked", figure);
    const full = zoom.ariaPressed === "true";
    view.classList.add("waiting");
    view.classList.toggle("full", full);
    image.src = `/${layer.value}_${full ? "full" : "display"}/${job}`;
    image.alt = `${name}. ${layer.dataset.caption}`;
    find("figcaption span", figure).textContent = layer.dataset.caption;
  }

  image.addEventListener("load", () => {
    view.classList.remove("waiting");
    if (toCentre) view.scrollTo((view.scrollWidth - view.clientWidth) / 2, (view.scrollHeight - view.clientHeight) / 2);
    toCentre = false;
  });
  image.addEventListener("error", () => {
    view.classList.remove("waiting");
    find("figcaption span", figure).textContent = "This picture could not be made.";
  });
  zoom.addEventListener("click", () => {
    zoom.ariaPressed = String(zoom.ariaPressed !== "true");
    toCentre = true;
    show();
  });
  for (const radio of all(".layers input", figure)) radio.addEventListener("change", show);
}

/** Set the article of an image to work, and put a new one in its place whenever its state has changed. */
export function setUpImage() {
  if (find("figure")) setUpPicture(find("figure"));
  watch(async (isLatest) => {
    const article = find("article");
    const { image, state } = article.dataset;
    if (!["queued", "solving"].includes(state)) return 0;
    try {
      const response = await fetch(`/web/list?image=${image}`, { cache: "no-cache" });
      const [entry] = (await response.json()).entries;
      if (entry.state === state) return BUSY_MS;
      const page = await (await fetch(location.href)).text();
      if (!isLatest()) return 0;
      article.replaceWith(find("article", new DOMParser().parseFromString(page, "text/html")));
      if (find("figure")) setUpPicture(find("figure"));
      say(`${entry.name}: ${entry.state}`);
      return BUSY_MS;
    } catch {
      return IDLE_MS;
    }
  });
}
