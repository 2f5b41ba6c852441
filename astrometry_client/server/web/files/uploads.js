import { find, made, say } from "./common.js";
import { leave, session } from "./login.js";
import { inWords, readOptions } from "./options.js";

// Uploads, one at a time.

const MIB = 2 ** 20;

/** Send a file; resolves when the server has it, rejects with what to tell. */
function send(file, options, row) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("request-json", JSON.stringify({ session: session(), ...options }));
    form.append("file", file);
    request.upload.onprogress = (event) => row.progress(event.loaded / event.total);
    request.onerror = () => reject(new Error("It could not be sent: the file or the server cannot be reached."));
    request.onabort = () => reject(new Error("Stopped."));
    request.onload = () => {
      try {
        const reply = JSON.parse(request.responseText);
        if (reply.status === "success") resolve();
        else reject(new Error(reply.errormessage));
      } catch {
        reject(new Error(`The server refused it, with status ${request.status}.`));
      }
    };
    row.stop = () => request.abort();
    request.open("POST", "/api/upload");
    request.send(form);
  });
}

/** Show a file on its way. */
function uploadRow(file) {
  const bar = made("progress", { max: 1, value: 0, ariaLabel: `Upload of ${file.name}` });
  const said = made("span", { className: "said", textContent: "waits for the one before" });
  const button = made("button", { type: "button", textContent: "Stop", ariaLabel: `Stop the upload of ${file.name}` });
  const item = made("li", {}, made("span", { textContent: file.name }), bar, said, button);
  find("#uploads").append(item);
  const row = {
    stop: () => { row.stopped = true; row.failed("Stopped."); },
    progress(part) {
      bar.value = part;
      said.textContent = part < 1 ? `${Math.round(part * 100)} %` : "sent; the server writes it to its disk";
    },
    failed(message) {
      bar.remove();
      said.className = "said error";
      said.textContent = message;
      Object.assign(button, { textContent: "Dismiss", ariaLabel: `Dismiss ${file.name}` });
      row.stop = row.done;
      say(`${file.name}: ${message}`);
    },
    done() {
      if (item.contains(document.activeElement)) find("#choose").focus();
      item.remove();
    },
  };
  button.addEventListener("click", () => row.stop());
  return row;
}

export function setUpUploads(afterUpload) {
  const form = find("#options-form");
  const input = find("#files");
  let line = Promise.resolve();

  async function upload(file, options, row) {
    if (row.stopped) return;
    try {
      const largest = Number(input.dataset.largest);
      if (file.size > largest) throw new Error(`It is larger than this server takes (${Math.floor(largest / MIB)} MiB).`);
      row.progress(0);
      await send(file, options, row);
      row.done();
      say(`${file.name}: uploaded`);
      afterUpload();
    } catch (error) {
      row.failed(error.message);
      if (/session|authenticated/.test(error.message)) leave("The login has ended. Log in, then upload again.");
    }
  }

  /** Return the options, told beside their heading; nothing if one is wrong. */
  function toldOptions() {
    const options = readOptions(form);
    if (options) find("#options-told").textContent = inWords(options);
    return options;
  }

  function take(files) {
    const options = toldOptions();
    if (!options) return;
    for (const file of files) {
      const row = uploadRow(file);
      line = line.then(() => upload(file, options, row));
    }
  }

  find("#choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => event.target.setCustomValidity(""));
  form.addEventListener("change", toldOptions);
  form.addEventListener("reset", () => { find("#options-told").textContent = inWords({}); });

  const drag = (on) => document.body.classList.toggle("dragging", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drag(Boolean(session()));
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) drag(false); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drag(false);
    if (session()) take([...event.dataTransfer.files]);
  });
}
