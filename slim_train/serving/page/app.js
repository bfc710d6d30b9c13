// An image in, bars out. Images come from the file chooser, by drag and drop, or from the clipboard.

const $ = (id) => document.getElementById(id);
const KEY = "slim-train-key";
const KEPT_PICTURES = 12;

let pending = null; // aborts the question whose answer nobody waits for any more
let current = null; // the image that is shown
let explaining = new Set(); // the models that can show where they look
let loaded = new Set(); // those that were loaded when the server was asked for its models

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const response = await fetch(path, { ...options, headers: key ? { Authorization: `Bearer ${key}` } : {} });
  const type = response.headers.get("content-type") || "";
  const content = type.includes("json") ? await response.json()
    : type.startsWith("image/") ? await response.blob() : await response.text();
  if (response.ok) return content;
  const error = new Error((content && content.error) || `The server answered ${response.status}.`);
  error.status = response.status;
  throw error;
}

function show(id) {
  for (const part of ["empty", "busy", "error", "result"]) $(part).hidden = part !== id;
  $("key-form").hidden = true;
}

function showError(error) {
  show("error");
  $("error").textContent = error.message;
  if (error.status === 401) {
    $("key-form").hidden = false;
    $("key").focus();
  }
}

function percent(score) {
  const value = 100 * score;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value.toFixed(1)} %`;
}

function bar([label, score], index) {
  const item = document.createElement("li");
  const parts = ["label", "share", "track"].map((name) => {
    const part = document.createElement(name === "track" ? "div" : "span");
    part.className = name;
    item.append(part);
    return part;
  });
  parts[0].textContent = label;
  parts[1].textContent = percent(score);
  const fill = document.createElement("div");
  fill.className = "fill";
  parts[2].append(fill);
  parts[2].setAttribute("aria-hidden", "true");
  setTimeout(() => { fill.style.width = `${Math.max(100 * score, 0.5)}%`; }, 40 * index);
  return item;
}

function isPairs(answer) {
  return Array.isArray(answer) && answer.length > 0 &&
    answer.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[1] === "number");
}

function showAnswer(picture) {
  const { answer, seconds } = picture;
  const pairs = isPairs(answer);
  $("verdict").textContent = pairs ? answer[0][0] : "";
  $("verdict").hidden = !pairs;
  $("classes").replaceChildren(...(pairs ? answer.map(bar) : []));
  $("text").hidden = pairs;
  $("text").textContent = pairs ? "" : typeof answer === "string" ? answer : JSON.stringify(answer, null, 2);
  $("timing").textContent = `Answered in ${Math.round(1000 * seconds)} ms.`;
  $("explain").hidden = !pairs || !explaining.has($("model").value);
  show("result");
}

// Shows the image as it is, or where the net looks; the server is asked once for each image and model.
async function toggleExplanation() {
  const picture = current, model = $("model").value, button = $("explain");
  if (button.getAttribute("aria-pressed") === "true") {
    showPicture(picture);
    return;
  }
  button.disabled = true;
  $("explain-error").hidden = true;
  try {
    if (!picture.heat || picture.heatModel !== model) {
      const heat = await ask(`explain/${encodeURIComponent(model)}`, { method: "POST", body: picture.file });
      if (picture.heat) URL.revokeObjectURL(picture.heat);
      picture.heat = URL.createObjectURL(heat);
      picture.heatModel = model;
    }
    if (current === picture) {
      $("preview").src = picture.heat;
      $("preview").alt = `Where the net looks in ${picture.name}: yellow the most, dark blue not at all`;
      button.setAttribute("aria-pressed", "true");
    }
  } catch (error) {
    $("explain-error").hidden = false;
    $("explain-error").textContent = error instanceof TypeError ? "The server does not answer." : error.message;
  } finally {
    button.disabled = false;
  }
}

function showPicture(picture) {
  current = picture;
  const preview = $("preview");
  preview.hidden = false;
  $("no-preview").hidden = true;
  preview.src = picture.url;
  preview.alt = picture.name;
  $("explain").setAttribute("aria-pressed", "false");
  $("explain-error").hidden = true;
  $("name").textContent = picture.name;
  document.body.classList.add("shown");
  for (const button of $("thumbnails").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.picture === picture));
  }
}

async function classify(picture) {
  if (pending) pending.abort();
  const abort = pending = new AbortController();
  showPicture(picture);
  show("busy");
  const model = $("model").value;
  const began = performance.now();
  try {
    picture.answer = await ask(model ? `service/${encodeURIComponent(model)}` : "service",
      { method: "POST", body: picture.file, signal: abort.signal });
    picture.seconds = (performance.now() - began) / 1000;
    if (!loaded.has($("model").value)) await listModels(); // it was not loaded when the page was opened
    if (abort.signal.aborted) return;
    showAnswer(picture);
    remember(picture);
  } catch (error) {
    if (error.name !== "AbortError") showError(error instanceof TypeError ? new Error("The server does not answer.") : error);
  }
}

function remember(picture) {
  const list = $("thumbnails");
  for (const button of list.querySelectorAll("button")) {
    if (button.picture === picture) button.parentElement.remove();
  }
  const button = document.createElement("button");
  const image = document.createElement("img");
  const label = document.createElement("span");
  image.src = picture.url;
  image.alt = "";
  label.textContent = isPairs(picture.answer) ? picture.answer[0][0] : picture.name;
  button.type = "button";
  button.picture = picture;
  button.title = picture.name;
  button.setAttribute("aria-current", "true");
  button.append(image, label);
  button.addEventListener("click", () => { if (pending) pending.abort(); showPicture(picture); showAnswer(picture); });
  const item = document.createElement("li");
  item.append(button);
  list.prepend(item);
  while (list.children.length > KEPT_PICTURES) {
    const { url, heat } = list.lastChild.querySelector("button").picture;
    URL.revokeObjectURL(url);
    if (heat) URL.revokeObjectURL(heat);
    list.lastChild.remove();
  }
  $("history").hidden = list.children.length < 2;
}

function take(files) {
  const file = [...files].find((candidate) => candidate.type.startsWith("image/")) || files[0];
  if (file) classify({ file, name: file.name || "Pasted image", url: URL.createObjectURL(file) });
}

$("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
$("preview").addEventListener("error", () => { $("preview").hidden = true; $("no-preview").hidden = false; });
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
});
$("explain").addEventListener("click", toggleExplanation);
$("model").addEventListener("change", () => { if (current) classify(current); });
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key").value);
  $("key").value = "";
  listModels();
  if (current) classify(current);
});

async function listModels() {
  try {
    const models = await ask("models");
    const chosen = $("model").value;
    $("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    if (models.some(({ name }) => name === chosen)) $("model").value = chosen;
    $("model-field").hidden = models.length < 2;
    loaded = new Set(models.filter((model) => model.ready).map(({ name }) => name));
    explaining = new Set(models.filter((model) => model.explains).map(({ name }) => name));
    const labels = models[0].labels;
    if (models.length === 1 && labels && labels.length <= 12) {
      $("lead").textContent = `Choose an image, drop it here or paste it. This model tells apart: ${labels.join(", ")}.`;
    }
    if (!current) show("empty");
  } catch (error) {
    showError(error);
  }
}

listModels();
